"""Writes tests/golden/quants.json: random ggml blocks and what gguf-py makes of them.

    python reference/quants_golden.py

Bytes and little-endian f32 results as hexadecimal; the Rust tests ask for the same bits.
"""

import json
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

OUT = Path(__file__).parent.parent / "tests" / "golden" / "quants.json"

# type: where its half-precision scales lie in a block
SCALES = {
    "F16": [0],
    "BF16": [],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}


def blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    kind = GGMLQuantizationType[name]
    length, size = GGML_QUANT_SIZES[kind]
    count = 32 if length == 1 else 4 if length == 32 else 2
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if name == "BF16":
        # exponents below the one of NaN
        raw[:, 1] &= 0xBF
    for at in SCALES[name]:
        # any finite half: both signs, subnormals among them
        raw[:, at + 1] &= 0xBB
        raw[0, at + 1] &= 0x83
    return raw


def main() -> None:
    rng = np.random.default_rng(20240607)
    cases = {}
    for name in SCALES:
        raw = blocks(name, rng)
        values = dequantize(raw, GGMLQuantizationType[name])
        assert np.isfinite(values).all(), name
        cases[name] = {"bytes": raw.tobytes().hex(), "values": values.astype("<f4").tobytes().hex()}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
