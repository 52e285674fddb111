"""Writes tests/golden/quantize.json: rows of values and the blocks that ggml's reference quantisers make of them.

    gcc -O2 -ffp-contract=off -fPIC -shared -I ggml/include -I ggml/src ggml/src/ggml-quants.c -o libggml-quants.so -lm
    python reference/quantize_golden.py libggml-quants.so

`ggml` is a checkout of https://github.com/ggml-org/ggml. Little-endian f32 values and bytes as hexadecimal; the Rust
tests ask for the same bytes.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "tests" / "golden" / "quantize.json"

# type: values and bytes of a block
TYPES = {"Q8_0": (32, 34), "Q4_0": (32, 18), "Q5_0": (32, 22), "Q4_K": (256, 144)}


def rows(rng: np.random.Generator) -> np.ndarray:
    """Blocks of 32: of many sizes in one of 256, and of like ones in others; rare ones."""
    values = rng.standard_normal((72, 32), dtype=np.float32)
    values[:24] *= np.float32(10.0) ** rng.integers(-6, 4, (24, 1)).astype(np.float32)
    values[24:48] *= rng.uniform(0.01, 0.03, (24, 1)).astype(np.float32)
    # one sign only, an offset, heavy tails
    values[48:52] = np.abs(values[48:52])
    values[52:56] = -np.abs(values[52:56])
    values[56:64] += np.float32(3.0)
    values[64:72] = values[64:72] ** 5
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
    # a whole block of 256 without a value, and one of a single one
    values[32:40] = 0.0
    values[40:48] = 0.0125
    return values


def main() -> None:
    # what the quantisers do not call may stay unresolved
    library = ctypes.CDLL(os.path.abspath(sys.argv[1]), mode=os.RTLD_LAZY)
    values = np.ascontiguousarray(rows(np.random.default_rng(20261129)))
    cases = {"values": values.astype("<f4").tobytes().hex()}
    for name, (length, size) in TYPES.items():
        out = ctypes.create_string_buffer(values.size // length * size)
        quantize = getattr(library, f"quantize_row_{name[0].lower()}{name[1:]}_ref")
        quantize.restype = None
        quantize(values.ctypes.data_as(ctypes.c_void_p), out, ctypes.c_int64(values.size))
        cases[name] = out.raw.hex()
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
