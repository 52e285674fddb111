"""Trains the demo SAEs for SmolLM2-135M-Instruct with SAELens, in three steps:

    python reference/train_saes.py cache --model FILE.gguf --texts DIR --work DIR
    python reference/train_saes.py train --work DIR --layer N
    python reference/train_saes.py export --model FILE.gguf --texts DIR --work DIR --out models/…

`cache` runs the model once (bf16) and keeps resid_post of all three layers; `train` is SAELens's
own BatchTopK trainer over those rows; `export` writes SAELens folders in half precision, measures
them on held-out text (f32), and writes the model card's figures.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from sae_lens import SAE
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAEConfig
from sae_lens.saes.sae import SAEMetadata, TrainStepInput
from sae_lens.training.sae_trainer import SAETrainer

import model_card
from gguf_models import load_gguf
from measure_saes import cross_entropy, health
from quick_batchtopk import QuickBatchTopKTrainingSAE
from residual_rows import OUTLIER, SEED, batches, residuals
from train_corpus import OTHERS, PROBES, corpus

MODEL_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
LAYERS = (6, 14, 23)  # about the relative depth of 5, 12 and 20 in 26
MAX_TOKENS = 192


def tokenise(tok, rows: list[dict]) -> list[list[int]]:
    """First MAX_TOKENS tokens of each passage, as the tokenizer gives them (no BOS)."""
    encoded = tok.encode_batch([r["text"] for r in rows])
    return [e.ids[:MAX_TOKENS] for e in encoded if len(e.ids) >= 4]


def cache(args) -> None:
    model, tok, bos = load_gguf(args.model)
    assert not bos, "the corpus is tokenised without BOS, as this model's tokenizer does"
    model.model.layers = model.model.layers[: max(LAYERS) + 1]
    model.set_attn_implementation("sdpa")
    model.to(torch.bfloat16)
    ids = tokenise(tok, corpus(args.texts, SEED)["train"])
    args.work.mkdir(parents=True, exist_ok=True)
    d = model.config.hidden_size
    files = {layer: open(args.work / f"resid_{layer}.f16", "wb") for layer in LAYERS}
    limit, seen, medians, started = None, 0, {}, time.time()
    written = dict.fromkeys(LAYERS, 0)
    for number, batch in enumerate(batches(ids, 6144)):
        rows = residuals(model, [ids[i] for i in batch], LAYERS)
        norms = {layer: r.float().norm(dim=1) for layer, r in rows.items()}
        if limit is None:
            medians = {layer: float(n.median()) for layer, n in norms.items()}
            limit = {layer: OUTLIER * m for layer, m in medians.items()}
            print({layer: norms[layer].topk(5).values.tolist() for layer in LAYERS}, limit)
        for layer in LAYERS:
            keep = norms[layer] < limit[layer]
            files[layer].write(rows[layer][keep].half().numpy().tobytes())
            written[layer] += int(keep.sum())
        seen += len(norms[LAYERS[0]])
        if number % 10 == 0:
            rate = seen / (time.time() - started)
            print(f"{seen} tokens, kept {written}, {rate:.0f} tokens/s", flush=True)
        if seen >= args.tokens:
            break
    for f in files.values():
        f.close()
    meta = {
        "d": d, "rows": written, "seen": seen, "first_batch_median_norm": medians,
        "norm_limit": limit, "seconds": time.time() - started,
    }  # fmt: skip
    (args.work / "cache.json").write_text(json.dumps(meta, indent=1))


def rows_of(work: Path, layer: int, d: int = 576) -> torch.Tensor:
    """The cached residuals [N, d], half precision."""
    flat = np.fromfile(work / f"resid_{layer}.f16", dtype=np.float16)
    return torch.from_numpy(flat[: len(flat) // d * d].reshape(-1, d))


def epochs(rows: torch.Tensor, batch: int):
    """Batches [batch, d] in f32, every row once an epoch, forever."""
    gen = torch.Generator().manual_seed(SEED)
    while True:
        order = torch.randperm(len(rows), generator=gen)
        for start in range(0, len(order) - batch + 1, batch):
            yield rows[order[start : start + batch]].float()


class LoggingTrainer(SAETrainer):
    """SAELens's trainer with a line of JSON now and then instead of wandb and a bar."""

    def __init__(self, *args, log: Path, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # One pass over the parameters instead of several; the same update.
        self.optimizer.param_groups[0].update(fused=True, foreach=False)
        self.log, self.started, self.sums = log, time.time(), [0.0, 0.0, 0.0, 0]

    def _train_step(self, sae, sae_in):
        """SAELens's own step; its firing counts come from the kept indices instead of four passes
        over the dense activations."""
        sae.train()
        with self.autocast_if_enabled:
            out = sae.training_forward_pass(
                TrainStepInput(
                    sae_in=sae_in,
                    dead_neuron_mask=self.dead_neurons,
                    coefficients=self.get_coefficients(),
                    n_training_steps=self.n_training_steps,
                    is_logging_step=False,
                )
            )
        counts = sae.activation_fn.counts(sae.cfg.d_sae, out.feature_acts)
        self.n_forward_passes_since_fired += 1
        self.n_forward_passes_since_fired[counts > 0] = 0
        self.act_freq_scores += counts
        self.n_frac_active_samples += self.cfg.train_batch_size_samples
        self.mean_l0 = float(counts.sum()) / len(sae_in)
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.lr_scheduler.step()
        for scheduler in self.coefficient_schedulers.values():
            scheduler.step()
        return out

    @torch.no_grad()
    def _update_pbar(self, step_output, pbar, update_interval=100) -> None:
        x, x_hat = step_output.sae_in, step_output.sae_out.float()
        self.sums[0] += float((x - x_hat).pow(2).sum())
        self.sums[1] += float((x - x.mean(0)).pow(2).sum())
        self.sums[2] += self.mean_l0
        self.sums[3] += 1
        if self.n_training_steps % 20 == 0:
            line = {
                "step": self.n_training_steps, "samples": self.n_training_samples,
                "fvu": self.sums[0] / self.sums[1], "l0": self.sums[2] / self.sums[3],
                "dead": int(self.dead_neurons.sum()), "threshold": float(self.sae.topk_threshold),
                "lr": self.optimizer.param_groups[0]["lr"], "seconds": time.time() - self.started,
            }  # fmt: skip
            with open(self.log, "a") as f:
                f.write(json.dumps(line) + "\n")
            self.sums = [0.0, 0.0, 0.0, 0]


def train(args) -> None:
    layer = args.layer
    rows = rows_of(args.work, layer)
    d = rows.shape[1]
    probe = rows[:: max(1, len(rows) // 100_000)].float()
    scale = math.sqrt(d) / float(probe.norm(dim=1).mean())
    metadata = SAEMetadata(
        model_name=MODEL_NAME, hook_name=f"blocks.{layer}.hook_resid_post",
        hf_hook_name=f"model.layers.{layer}.output", prepend_bos=False, context_size=MAX_TOKENS,
        dataset="sae-probes 0.4.2 (no toxic sets), WordNet 3.0, Python 3.11 documentation",
        training_rows=len(rows), training_samples=args.samples, seed=SEED, k=args.k, lr=args.lr,
        batch=args.batch, skipped_positions=f"the first, and norm > {OUTLIER} medians",
    )  # fmt: skip
    sae = QuickBatchTopKTrainingSAE(
        BatchTopKTrainingSAEConfig(
            d, args.width, k=args.k, apply_b_dec_to_input=True, decoder_init_norm=1.0,
            normalize_activations="expected_average_only_in", metadata=metadata,
        )
    )  # fmt: skip
    sae.b_dec.data = scale * probe.mean(0)
    steps = args.samples // args.batch
    cfg = SAETrainerConfig(
        total_training_samples=args.samples, train_batch_size_samples=args.batch, lr=args.lr,
        lr_end=args.lr / 100, lr_warm_up_steps=min(100, steps // 10), lr_decay_steps=steps // 2,
        autocast=True, dead_feature_window=300_000 // args.batch, n_checkpoints=5,
    )  # fmt: skip
    out = args.work / f"layer_{layer}"

    def checkpoint(checkpoint_path=None) -> None:
        """An inference form as it would be if training ended here."""
        twin = QuickBatchTopKTrainingSAE(copy.deepcopy(sae.cfg))
        twin.load_state_dict(sae.state_dict())
        if trainer.activation_scaler.scaling_factor is not None:
            twin.fold_activation_norm_scaling_factor(trainer.activation_scaler.scaling_factor)
        twin.save_inference_model(out)
        print(f"layer {layer}: saved at {trainer.n_training_samples} samples", flush=True)

    trainer = LoggingTrainer(
        cfg, sae, epochs(rows, args.batch), save_checkpoint_fn=checkpoint,
        log=args.work / f"train_{layer}.jsonl",
    )  # fmt: skip
    trainer.activation_scaler.scaling_factor = scale
    trainer.fit()
    # fit() has folded the scale into the weights by now.
    checkpoint()


def export(args) -> None:
    """SAELens folders in half precision, the held-out sample, and their measured health."""
    texts = corpus(args.texts, SEED)
    model, tok, _ = load_gguf(args.model)
    fits = [len(e.ids) <= MAX_TOKENS for e in tok.encode_batch([r["text"] for r in texts["sample"]])]
    texts["sample"] = [r for r, ok in zip(texts["sample"], fits) if ok]
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(r, ensure_ascii=False) for r in texts["sample"]]
    (args.out / "held_out.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    saes = {}
    for layer in args.layers:
        folder = args.out / f"layer_{layer:02d}"
        half = SAE.load_from_disk(args.work / f"layer_{layer}").to(torch.float16)
        half.save_model(folder)
        cfg = json.loads((folder / "cfg.json").read_text())
        (folder / "cfg.json").write_text(json.dumps(cfg, indent=1, sort_keys=True) + "\n")
        (folder / "sae_weights.safetensors").chmod(0o644)
        # What anyone else will read: the half-precision file, computed with in f32.
        saes[layer] = SAE.load_from_disk(folder, dtype="float32")
    whole = model.model.layers
    model.set_attn_implementation("sdpa")
    model.model.layers = whole[: max(saes) + 1]
    order = np.random.default_rng(SEED).permutation(len(texts["held_out"]))
    texts["held_out"] = [texts["held_out"][i] for i in order[: args.texts_measured]]
    figures = {
        name: health(model, saes, tokenise(tok, texts[name])) for name in ("held_out", "sample")
    }
    model.model.layers = whole
    limits = {layer: OUTLIER * h["median_norm"] for layer, h in figures["held_out"].items()}
    ids = tokenise(tok, texts["held_out"])[: args.ce_texts]
    figures["cross_entropy"] = cross_entropy(model, saes, ids, limits)
    figures["outlier"] = OUTLIER
    with open(args.model, "rb") as f:
        figures["model_sha256"] = hashlib.file_digest(f, "sha256").hexdigest()
    packages = ("torch", "sae-lens", "transformers", "gguf", "numpy")
    figures["versions"] = {n: version(n) for n in packages}
    (args.out / "health.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    model_card.write(args.out, args.work, args.layers, PROBES | OTHERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["cache", "train", "export"])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=1_600_000)
    parser.add_argument("--layer", type=int, choices=LAYERS)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--k", type=float, default=45.0)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=4_000_000)
    parser.add_argument("--layers", type=int, nargs="*", default=LAYERS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--texts-measured", type=int, default=2000)
    parser.add_argument("--ce-texts", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    {"cache": cache, "train": train, "export": export}[args.step](args)


if __name__ == "__main__":
    main()
