"""Writes tests/golden/quantize.json: random rows and what gguf-py quantises them to.

    python reference/quantize_golden.py

Little-endian f32 values and bytes as hexadecimal; the Rust tests ask for the same bytes.
"""

import json
from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import quantize

OUT = Path(__file__).parent.parent / "tests" / "golden" / "quantize.json"


def rows(rng: np.random.Generator) -> np.ndarray:
    """Blocks of many sizes, one of zeros, one that is constant, and ties for the largest magnitude."""
    values = rng.standard_normal((24, 32), dtype=np.float32)
    values *= np.float32(10.0) ** rng.integers(-6, 4, (24, 1)).astype(np.float32)
    values[3] = 0.0
    values[4] = -0.25
    values[5, 7], values[5, 20] = 4.0, -4.0
    values[6, 7], values[6, 20] = -4.0, 4.0
    # halves between two codes of Q8_0
    values[7] = (np.arange(32) - 16).astype(np.float32) + np.float32(0.5)
    values[7, 0] = 127.0
    # scales that are subnormal as f16, and that vanish
    values[8] *= np.float32(1e-3) / np.abs(values[8]).max()
    values[9] *= np.float32(1e-7) / np.abs(values[9]).max()
    return values


def main() -> None:
    values = rows(np.random.default_rng(20261129))
    cases = {"values": values.astype("<f4").tobytes().hex()}
    for name in ["Q8_0", "Q4_0"]:
        cases[name] = quantize(values, GGMLQuantizationType[name]).tobytes().hex()
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
