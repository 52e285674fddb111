"""The baseline of the speed comparison: transformers and SAELens, used well.

    python reference/pipeline.py --model DIR --sae 5=PATH --sae 12=PATH … --dataset FILE

f32 on all cores, texts sorted by length and padded on the right in batches of 8, one forward pass
for all layers, only the blocks up to the deepest SAE loaded, hooks that keep the last real token's
row, SAELens's own encoders over those rows, `torch.inference_mode` throughout. Three texts to a
triple. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="Hugging Face folder")
    parser.add_argument("--sae", action="append", required=True, metavar="LAYER=PATH")
    parser.add_argument("--dataset", type=Path, required=True, help="JSON array of triples")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, help="first N triples only")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="of the model")
    parser.add_argument("--decode", action="store_true", help="reconstruct as well as encode")
    return parser.parse_args()


def load_model(folder: Path, blocks: int, dtype):
    """The model without its head and cut after `blocks` blocks; weights beyond are not read."""
    from transformers import AutoConfig, AutoModel

    cfg = AutoConfig.from_pretrained(folder)
    if blocks > cfg.num_hidden_layers:
        raise SystemExit(f"{folder}: {cfg.num_hidden_layers} blocks, layer {blocks - 1} wanted")
    cfg.num_hidden_layers = blocks
    if getattr(cfg, "layer_types", None):
        cfg.layer_types = cfg.layer_types[:blocks]
    return AutoModel.from_pretrained(folder, config=cfg, dtype=dtype).eval()


def load_sae(path: Path):
    """Gemma Scope `params.npz`, a Gemma Scope 2 folder, or a SAELens folder."""
    import numpy as np
    import torch
    from safetensors.torch import load_file
    from sae_lens import SAE
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig

    if path.is_dir() and (path / "cfg.json").exists():
        return SAE.load_from_disk(path, dtype="float32")
    if path.is_dir() and (path / "params.npz").exists():
        path = path / "params.npz"
    if path.suffix == ".npz":
        with np.load(path) as data:
            state = {k: torch.from_numpy(data[k]) for k in data}
    else:
        state = load_file(path / "params.safetensors" if path.is_dir() else path)
    state = {("W_" + k[2:] if k.startswith("w_") else k): v.float() for k, v in state.items()}
    d, width = state["W_enc"].shape
    sae = JumpReLUSAE(JumpReLUSAEConfig(d, width, apply_b_dec_to_input=False))
    sae.load_state_dict(state)
    return sae


def texts_of(dataset: Path, limit: int | None) -> list[str]:
    rows = json.loads(dataset.read_text(encoding="utf-8"))[:limit]
    out = []
    for r in rows:
        out += [r["prompt"], f"{r['prompt']} {r['fact']}", f"{r['prompt']} {r['hallucination']}"]
    return out


def token_ids(folder: Path, model_type: str, texts: list[str]) -> list[list[int]]:
    from tokenizers import Tokenizer

    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [e.ids for e in tok.encode_batch(texts)]
    if model_type == "gpt2":
        ids = [[tok.token_to_id("<|endoftext|>")] + i for i in ids]
    return ids


def main() -> None:
    args = parse_args()
    # Before torch is imported: its thread pool is sized once.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    # Importing is nobody's loading time.
    import sae_lens  # noqa: F401
    import torch
    import transformers

    transformers.AutoModel  # noqa: B018  (lazy: resolves the module)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    saes = {int(layer): Path(p) for layer, p in (s.split("=", 1) for s in args.sae)}
    layers = sorted(saes)
    texts = texts_of(args.dataset, args.limit)

    started = time.perf_counter()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    model = load_model(args.model, layers[-1] + 1, dtype)
    encoders = {layer: load_sae(path) for layer, path in saes.items()}
    load_seconds = time.perf_counter() - started

    blocks = model.h if hasattr(model, "h") else model.layers
    last, rows = None, {}

    def hook_for(layer):
        def hook(_module, _args, out):
            x = out[0] if isinstance(out, tuple) else out
            rows[layer] = x[torch.arange(len(x)), last].float()

        return hook

    for layer in layers:
        blocks[layer].register_forward_hook(hook_for(layer))

    # One forward pass that nobody times, as any service would have behind it.
    last = torch.tensor([1])
    with torch.inference_mode():
        model(input_ids=torch.tensor([[1, 2]]), use_cache=False)
        for layer in layers:
            encoders[layer].encode(rows[layer])

    started = time.perf_counter()
    ids = token_ids(args.model, model.config.model_type, texts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    active = [{} for _ in texts]
    padded_tokens = 0
    with torch.inference_mode():
        for start in range(0, len(order), args.batch):
            chosen = order[start : start + args.batch]
            width = max(len(ids[i]) for i in chosen)
            batch = torch.zeros(len(chosen), width, dtype=torch.long)
            mask = torch.zeros_like(batch)
            for row, i in enumerate(chosen):
                batch[row, : len(ids[i])] = torch.tensor(ids[i])
                mask[row, : len(ids[i])] = 1
            last = mask.sum(1) - 1
            padded_tokens += batch.numel()
            model(input_ids=batch, attention_mask=mask, use_cache=False)
            for layer in layers:
                acts = encoders[layer].encode(rows[layer])
                if args.decode:
                    encoders[layer].decode(acts)
                for row, i in enumerate(chosen):
                    on = acts[row].nonzero().flatten()
                    active[i][layer] = (on.numpy(), acts[row][on].numpy())
    seconds = time.perf_counter() - started

    l0 = {layer: sum(len(a[layer][0]) for a in active) / len(texts) for layer in layers}
    print(
        json.dumps(
            {
                "texts": len(texts),
                "tokens": sum(map(len, ids)),
                "padded_tokens": padded_tokens,
                "seconds": round(seconds, 3),
                "texts_per_s": round(len(texts) / seconds, 3),
                "load_seconds": round(load_seconds, 3),
                "texts_per_s_with_loading": round(len(texts) / (seconds + load_seconds), 3),
                "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "mean_l0": {str(k): round(v, 3) for k, v in l0.items()},
                "threads": args.threads,
                "batch": args.batch,
                "dtype": args.dtype,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
