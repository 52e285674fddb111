"""Reference numbers of two real models out of GGUF files.

    python reference/real_models.py --smollm2 FILE.gguf --gemma3 FILE.gguf
        [--gemma3-tokenizer tokenizer.json] --out DIR

Writes everything (all positions, several layers) to DIR and a compact summary of each model to
tests/golden/real/. Either model may be left out; its summary is then left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path


import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from gguf_models import load_gguf

SUMMARY = Path(__file__).resolve().parent.parent / "tests" / "golden" / "real"
TEXTS = [
    "The capital of France is",
    "The Eiffel Tower was completed in 1889 and stands in",
    "If all whales are mammals and Moby Dick is a whale, then Moby Dick is a",
    "Ünïcödé 漢字 🐋 and e\u0301: the naïve café costs 3.50€,",
    "Water boils at a lower temperature on a mountain because the air pressure there is lower "
    "than at the level of the sea, which is why an egg takes longer to cook in the Andes than in "
    "Lima, and why a climber who wants a hot cup of tea near the summit of a high peak will find "
    "that it is never quite as hot as",
]
LAYERS = {"smollm2": (6, 14, 23), "gemma3": (5, 9, 14)}
COORDINATES = 16


def sha256(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def forward(model, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """resid_post of every block [L, T, d] and the last token's log-probabilities [V]."""
    kept = []

    def hook(_module, _args, out):
        kept.append((out[0] if isinstance(out, tuple) else out)[0].detach().clone())

    handles = [b.register_forward_hook(hook) for b in model.model.layers]
    try:
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        for h in handles:
            h.remove()
    return torch.stack(kept), logits.double().log_softmax(-1)


def reference(name: str, path: Path, tokenizer: Path | None, out: Path) -> None:
    model, tok, bos = load_gguf(path)
    if tokenizer is not None:
        official = Tokenizer.from_file(str(tokenizer))
        for text in TEXTS:
            a, b = tok.encode(text).ids, official.encode(text).ids
            if a != b:
                raise SystemExit(f"{tokenizer} disagrees with {path} on {text!r}: {b} against {a}")
    d = model.config.hidden_size
    # Fixed coordinates, spread over the vector by a stride that shares no factor with d.
    coordinates = sorted({(7 + i * 37) % d for i in range(COORDINATES)})
    rows, tensors = [], {}
    for number, text in enumerate(TEXTS):
        ids = tok.encode(text).ids
        resid, logp = forward(model, ids)
        values, top = logp.topk(10)
        row = {"text": text, "token_ids": ids, "resid_post": {}}
        for layer in LAYERS[name]:
            x = resid[layer]
            tensors[f"text{number}.resid_post.{layer}"] = x.contiguous()
            row["resid_post"][str(layer)] = {
                "last": [float(x[-1, c]) for c in coordinates],
                "last_norm": float(x[-1].norm()),
                "norms": [float(f"{n:.6g}") for n in x.norm(dim=1)],
            }
        row["next"] = [
            {"id": int(i), "token": tok.id_to_token(int(i)), "logprob": float(v)}
            for i, v in zip(top, values)
        ]
        rows.append(row)
        print(name, repr(text[:40]), [(n["token"], round(n["logprob"], 3)) for n in row["next"][:5]])
    meta = {
        "model": name, "file": path.name, "sha256": sha256(path), "bos": bos,
        "layers": list(LAYERS[name]), "coordinates": coordinates,
        "made_by": {
            "gguf": version("gguf"), "numpy": np.__version__, "tokenizers": tokenizers.__version__,
            "torch": torch.__version__, "transformers": transformers.__version__,
        },
        "method": "blocks dequantised to f32 by the gguf package, transformers eager, f32, CPU",
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / f"{name}.safetensors")
    (out / f"{name}.json").write_text(json.dumps(meta | {"texts": rows}, ensure_ascii=False, indent=1))
    for row in rows:
        row["next"] = row["next"][:5]
    SUMMARY.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    head = json.dumps(meta, indent=1)[:-2]
    (SUMMARY / f"{name}.json").write_text(f'{head},\n "texts": [\n{lines}\n]\n}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smollm2", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--gemma3", type=Path, help="gemma-3-270m-q4_k_m.gguf")
    parser.add_argument("--gemma3-tokenizer", type=Path, help="tokenizer.json to compare with")
    parser.add_argument("--out", type=Path, required=True, help="folder for the full reference")
    args = parser.parse_args()
    if args.smollm2:
        reference("smollm2", args.smollm2, None, args.out)
    if args.gemma3:
        reference("gemma3", args.gemma3, args.gemma3_tokenizer, args.out)


if __name__ == "__main__":
    main()
