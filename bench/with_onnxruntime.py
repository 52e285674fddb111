"""The small model's forward pass by onnxruntime over the built-in texts. Prints one JSON object.

    python bench/with_onnxruntime.py --files DIR --form f32|int8 [--batches 8,32] [--rows FILE.npy]

DIR is what bench/export_small.py wrote. Texts sorted by length, padded on the right, in batches; tokenising is timed,
loading is not; each batch size is run once after a pass that nobody times. `--rows` gets the residuals
[texts, layers, d]. The python that runs it needs bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from common import need, peak_bytes, threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, required=True, help="of bench/export_small.py")
    parser.add_argument("--form", required=True, help="a file's name without .onnx")
    parser.add_argument("--batches", default="8,32")
    parser.add_argument("--rows", type=Path)
    args = parser.parse_args()
    need("onnxruntime", "tokenizers")
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    described = json.loads((args.files / "texts.json").read_text())
    tokenizer = Tokenizer.from_file(str(args.files / "tokenizer.json"))

    def tokenize(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch(texts)]

    if tokenize(described["texts"]) != described["ids"]:
        raise SystemExit(f"{args.files}/texts.json: other token ids than tokenizer.json gives")

    began = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    path = str(args.files / f"{args.form}.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    load_seconds = time.perf_counter() - began

    def forward(ids: list[list[int]]) -> list:
        batch = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
        for row, its in enumerate(ids):
            batch[row, : len(its)] = its
        return session.run(None, {"ids": batch, "last": np.array([len(its) - 1 for its in ids])})

    settings = []
    for size in map(int, args.batches.split(",")):
        forward(described["ids"][:size])
        began = time.perf_counter()
        ids = tokenize(described["texts"])
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        rows, padded = [None] * len(ids), 0
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            padded += len(chosen) * len(ids[chosen[-1]])
            for at, *residuals in zip(chosen, *forward([ids[at] for at in chosen])):
                rows[at] = residuals
        seconds = time.perf_counter() - began
        settings.append({"setting": f"batch {size}", "seconds": round(seconds, 3), "tokens": padded})
    if args.rows:
        np.save(args.rows, np.array(rows, dtype=np.float32))
    print(
        json.dumps(
            {
                "version": f"onnxruntime {onnxruntime.__version__}",
                "texts": len(described["texts"]),
                "settings": settings,
                "load_seconds": round(load_seconds, 3),
                "peak": peak_bytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
