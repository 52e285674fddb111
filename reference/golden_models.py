"""Makes tests/golden/models: tiny checkpoints of every family with their reference numbers.

    python reference/golden_models.py [CASE]...

Each case is a folder: `model/` (Hugging Face layout), `saes/` (as its family publishes them),
`texts.json` (triples), `expected.json` and `expected.safetensors`; see tests/golden/models/README.md.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import safetensors
import sae_lens
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM

import slow_metrics
import tiny_models
import tiny_saes
import tiny_texts

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"
SEED = 20240607
SAES = {
    "gemma2": (tiny_saes.gemma_scope, (1, 2, 4)),
    "gemma3": (tiny_saes.gemma_scope_2, (2, 5, 6)),
    "llama": (tiny_saes.sae_lens_llama, (1, 2, 3)),
    "gpt2": (tiny_saes.sae_lens_gpt2, (1, 2, 3)),
}
FULL = "longer_than_window"  # the text whose every layer and position is kept
MARGIN = 1e-3  # inactive features nearer than this to firing are listed too


class InDouble(TorchFunctionMode):
    """Turns the float32 islands in the models' code (norms, softmax, rotary) into float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        kwargs = {
            k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()
        }
        return func(*args, **kwargs)


def bos_rule(case: str, tok: Tokenizer) -> str:
    """What stands first in every text of this case, in words."""
    if case.startswith("gpt2"):
        return "<|endoftext|> prepended"
    return "added by the post-processor" if tok.encode("").ids else "none"


def encode(case: str, tok: Tokenizer, text: str) -> list[int]:
    """Token ids with BOS as docs/METRICS.md has it."""
    ids = tok.encode(text).ids
    if case.startswith("gpt2"):
        ids = [tok.token_to_id("<|endoftext|>")] + ids
    return ids


def blocks(model):
    return model.transformer.h if hasattr(model, "transformer") else model.model.layers


def forward(model, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """resid_post of every block [L, T, d] by forward hooks, and logits [T, V]."""
    kept = []

    def hook(_module, _args, out):
        kept.append((out[0] if isinstance(out, tuple) else out)[0].detach().clone())

    handles = [b.register_forward_hook(hook) for b in blocks(model)]
    try:
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    finally:
        for h in handles:
            h.remove()
    return torch.stack(kept), logits


def logprob(logits: torch.Tensor, ids: list[int], prompt: list[int]) -> dict:
    """Σ log p of the tokens after the longest token prefix that text and prompt share.

    A first token without anything before it has no probability and is left out.
    """
    common = 0
    while common < min(len(ids), len(prompt)) and ids[common] == prompt[common]:
        common += 1
    logp = logits.double().log_softmax(-1)
    start = max(common, 1)
    total = sum(float(logp[i - 1, ids[i]]) for i in range(start, len(ids)))
    return {"common_prefix": common, "completion_tokens": len(ids) - start, "sum": total}


def load(folder: Path, dtype: torch.dtype):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def make(case: str, number: int) -> None:
    root = OUT / case
    shutil.rmtree(root, ignore_errors=True)
    tiny_models.build(case, root / "model", SEED + number)
    tok = Tokenizer.from_file(str(root / "model" / "tokenizer.json"))
    model = load(root / "model", torch.float32)
    double = load(root / "model", torch.float32).double()
    triples = tiny_texts.triples()
    (root / "texts.json").write_text(json.dumps(triples, indent=1, ensure_ascii=False) + "\n")

    ids, resid, resid64, logits = {}, {}, {}, {}
    for triple in triples:
        for kind, text in tiny_texts.texts(triple).items():
            key = f"{triple['id']}/{kind}"
            ids[key] = encode(case, tok, text)
            resid[key], logits[key] = forward(model, ids[key])
            with InDouble():
                resid64[key], exact = forward(double, ids[key])
            assert exact.dtype == resid64[key].dtype == torch.float64
            logits[key] = exact
    check_texts(case, ids)

    layers = SAES[case][1] if case in SAES else tuple(range(1, len(blocks(model)), 2))[:3]
    keys = list(ids)
    tensors = {}
    for layer in layers:
        tensors[f"resid_post.{layer}"] = torch.stack([resid64[k][layer, -1] for k in keys]).float()
        tensors[f"resid_post_f32.{layer}"] = torch.stack([resid[k][layer, -1] for k in keys])
    tensors["all_layers"] = resid64[f"{FULL}/fact"].float()
    tensors["all_layers_logits"] = logits[f"{FULL}/fact"].float()
    save_file({k: v.contiguous() for k, v in tensors.items()}, root / "expected.safetensors")

    expected = {
        "case": case,
        "bos": bos_rule(case, tok),
        "layers": list(layers),
        "texts": keys,
        "token_ids": ids,
        "all_layers_text": f"{FULL}/fact",
        "f32_against_f64": max(relative(resid[k][-1], resid64[k][-1]) for k in keys),
        "logprob": {
            k: logprob(logits[k], ids[k], ids[k.rsplit("/", 1)[0] + "/prompt"])
            for k in keys
            if not k.endswith("/prompt")
        },
    }
    if case in SAES:
        expected |= measure(case, root, layers, triples, resid, expected["logprob"], ids)
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    (root / "expected.json").write_text(text.replace("],\"", "],\n\"").replace("},\"", "},\n\"") + "\n")
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    print(f"{case}: {size / 1e3:.0f} kB, f32 against f64 {expected['f32_against_f64']:.1e}")


def measure(case, root, layers, triples, resid, logprobs, ids) -> dict:
    """SAEs fitted to these texts' residuals, their features, and every metric."""
    make_sae = SAES[case][0]
    gen = torch.Generator().manual_seed(SEED)
    saes, paths, health = {}, {}, {}
    keys = list(resid)
    a, x_hat, x, near, margin = {}, {}, {}, {}, {}
    for index, layer in enumerate(layers):
        # Every distinct prefix once: the same one in two texts differs by rounding only.
        distinct = {
            tuple(ids[k][: p + 1]): resid[k][layer, p] for k in keys for p in range(1, len(ids[k]))
        }
        rows = torch.stack(list(distinct.values()))
        paths[layer], saes[layer] = make_sae(root / "saes", layer, index, rows, gen)
        last = torch.stack([resid[k][layer, -1] for k in keys])
        with torch.no_grad():
            acts = saes[layer].encode(last)
            hats = saes[layer].decode(acts)
        gap = tiny_saes.margins(saes[layer], last)
        assert torch.equal(gap > 0, acts > 0), f"{case} {layer}: margins disagree with SAELens"
        x[layer] = {k: v.double().numpy() for k, v in zip(keys, last)}
        a[layer] = {k: v.numpy() for k, v in zip(keys, acts)}
        x_hat[layer] = {k: v.double().numpy() for k, v in zip(keys, hats)}
        margin[layer] = dict(zip(keys, gap))
        fvu = float(((last - hats) ** 2).sum() / ((last - last.mean(0)) ** 2).sum())
        closest = float(gap.abs().min())
        health[layer] = {"closest_margin": closest, "mean_l0": float((acts > 0).sum(1).float().mean()), "fvu": fvu}
    features = []
    for triple in triples:
        for kind in ("prompt", "fact", "hall"):
            for layer in layers:
                k = f"{triple['id']}/{kind}"
                on = np.flatnonzero(a[layer][k] > 0)
                gap = margin[layer][k].numpy()
                close = np.flatnonzero((gap <= 0) & (gap > -MARGIN))
                features.append({
                    "sample_id": triple["id"], "text": kind, "layer": layer,
                    "feature": on.tolist(),
                    "activation": [float(v) for v in a[layer][k][on]],
                    "margin": [float(f"{v:.4g}") for v in gap[on]],
                    "nearly": close.tolist(),
                })  # fmt: skip
    mu = {
        layer: np.mean([x[layer][k] for k in keys if not k.endswith("/prompt")], axis=0)
        for layer in layers
    }
    rows = []
    for triple in triples:
        def of(table):
            return {
                layer: {t: table[layer][f"{triple['id']}/{t}"] for t in ("prompt", "fact", "hall")}
                for layer in layers
            }

        w_dec = {layer: saes[layer].W_dec.detach().numpy() for layer in layers}
        row = slow_metrics.row(layers, of(x), of(a), of(x_hat), w_dec, mu)
        for t in ("prompt", "fact", "hall"):
            row[f"n_tokens_{t}"] = len(ids[f"{triple['id']}/{t}"])
        for t in ("fact", "hall"):
            row[f"logprob_{t}"] = logprobs[f"{triple['id']}/{t}"]["sum"]
        meta = {"sample_id": triple["id"], "domain": triple["domain"], "complexity": triple["complexity"]}
        rows.append(meta | row)
    return {
        "saes": {str(k): f"saes/{v}" for k, v in paths.items()},
        "sae_health": {str(k): v for k, v in health.items()},
        "features": features,
        "rows": rows,
    }


def check_texts(case: str, ids: dict[str, list[int]]) -> None:
    """The awkward texts are what they claim to be, under this tokenizer."""
    def is_prefix(name, kind):
        p, t = ids[f"{name}/prompt"], ids[f"{name}/{kind}"]
        return t[: len(p)] == p

    assert not is_prefix("merge_across_joint", "fact"), f"{case}: nothing merges across the joint"
    assert is_prefix("plain_entity", "fact")
    bos = ids["two_letters/prompt"][:-1]
    assert len(ids["one_token_prompt/prompt"]) == len(bos) + 1, f"{case}: prompt is not one token"
    assert len(ids[f"{FULL}/fact"]) >= 24 and len(ids["very_long/fact"]) >= 64, case
    assert max(map(len, ids.values())) <= 96, f"{case}: longer than gpt2's 96 positions"


def main() -> None:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.disable_progress_bar()
    chosen = sys.argv[1:] or list(tiny_models.CASES)
    for number, case in enumerate(tiny_models.CASES):
        if case in chosen:
            make(case, number)
    versions = {
        "seed": SEED, "numpy": np.__version__, "sae_lens": sae_lens.__version__,
        "safetensors": safetensors.__version__, "tokenizers": tokenizers.__version__,
        "torch": torch.__version__, "transformers": transformers.__version__,
    }  # fmt: skip
    (OUT / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
