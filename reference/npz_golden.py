"""Writes tests/golden/npz/: the same small arrays as numpy.savez and numpy.savez_compressed write them.

    python reference/npz_golden.py

Every array counts 0, 0.5, 1, 1.5 … in C order, so that the Rust tests know its values.
"""

from pathlib import Path

import numpy as np

OUT = Path(__file__).parent.parent / "tests" / "golden" / "npz"


def counting(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int)) / 2).reshape(shape).astype(dtype)


def main() -> None:
    arrays = {
        "W_enc": counting((12, 20), "<f4"),
        "W_dec": np.asfortranarray(counting((20, 12), "<f4")),
        "b_enc": counting((20,), "<f8"),
        "half": counting((3, 4), "<f2"),
        "scalar": counting((), "<f4"),
        "cube": counting((2, 3, 4), "<f4"),
        "cube_fortran": np.asfortranarray(counting((2, 3, 4), "<f4")),
        "empty": counting((0, 5), "<f4"),
        "big_endian": counting((3,), ">f4"),
        "ids": np.arange(3, dtype="<i8"),
    }
    OUT.mkdir(parents=True, exist_ok=True)
    np.savez(OUT / "stored.npz", **arrays)
    np.savez_compressed(OUT / "deflated.npz", **arrays)


if __name__ == "__main__":
    main()
