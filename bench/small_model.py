"""saescope on its default model beside llama.cpp and onnxruntime, in turn, on the same texts and machine.

    pip install -r bench/requirements.txt                      # see there for llama.cpp
    saescope fetch smollm2-135m-instruct
    python bench/export_small.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out DIR
    python bench/small_model.py --files DIR --program saescope [--rounds 3] [--out bench/RESULTS.md]

saescope's whole command is timed: reading the weights, tokenising, the blocks up to the deepest SAE, three SAEs,
geometry, statistics, writing; as it comes, and without the nulls of the geometry, which nothing here has a
counterpart for. Of the others tokenising and the forward pass through the same blocks alone
(`with_llama.py`, `with_onnxruntime.py`): no loading, no SAE. They try several batch sizes each round; of each the
median over the rounds counts, and the fastest stands in the table. That all compute the same model on the same
tokens is checked: token ids, saescope's token counts, residual norms of every text and layer, and logits.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import BUILTIN, ROOT, Others, Results, last_json, need, processor, saescope, threads
from with_llama import LOGITS

# what the residual norms of two f32 programs may differ by, relatively
SAME = 1e-3
SAESCOPE = {
    "f32": (),
    "f32, --nulls off": ("--nulls", "off"),
    "bf16": ("--precision", "bf16"),
    "bf16, --nulls off": ("--precision", "bf16", "--nulls", "off"),
}
# whose ratios stand in columns of their own
COLUMNS = ("f32", "f32, --nulls off", "bf16, --nulls off")
LLAMA = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1")
ONNXRUNTIME = ("f32", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, required=True, help="of bench/export_small.py")
    parser.add_argument("--program", default="saescope")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    need("llama_cpp", "onnxruntime", "pyarrow", "numpy")
    results = Results(args.out, "small_model")
    if not (args.files / "texts.json").exists():
        raise SystemExit(f"{args.files}: no texts.json\nhint: python bench/export_small.py --gguf FILE --out {args.files}")
    described = json.loads((args.files / "texts.json").read_text())

    with tempfile.TemporaryDirectory() as folder:
        rows: dict[tuple[str, str], list[dict]] = {}
        for _ in range(args.rounds):
            for (name, form), run in runs(args, described, Path(folder)).items():
                others = Others()
                rows.setdefault((name, form), []).append(run())
                rows[name, form][-1]["others"] = others.processors()
                seconds = min(setting["seconds"] for setting in rows[name, form][-1]["settings"])
                print(f"{name}, {form}: {seconds:.2f} s", file=sys.stderr, flush=True)
        checks = compare(args, described, rows["saescope", "f32"][0], Path(folder))
    results.put(table(rows, checks, described, args.rounds))


def runs(args: argparse.Namespace, described: dict, folder: Path) -> dict[tuple[str, str], Callable[[], dict]]:
    """What is timed, by program and form."""

    def other(script: str, form: str) -> Callable[[], dict]:
        command = [sys.executable, str(ROOT / "bench" / script), "--files", str(args.files), "--form", form]
        return lambda: last_json([*command, "--rows", str(folder / f"{script}-{form}.npy")])

    out: dict[tuple[str, str], Callable[[], dict]] = {}
    for form, flags in SAESCOPE.items():
        out["saescope", form] = lambda flags=flags: ours(args.program, flags, described)
    for form in LLAMA:
        out["llama.cpp", form] = other("with_llama.py", form)
    for form in ONNXRUNTIME:
        out["onnxruntime", form] = other("with_onnxruntime.py", form)
    return out


def ours(program: str, flags: tuple[str, ...], described: dict) -> dict:
    """A run of saescope's default model, in the shape of the other scripts' answers."""
    run = saescope(program, "--dataset", str(BUILTIN), *flags)
    manifest = run["manifest"]
    if described["sha256"] not in json.dumps(manifest["model"]):
        raise SystemExit(f"saescope's model is not the {described['model']} that the files were made of")
    return {
        "version": f"saescope {manifest['program']['version']}",
        "texts": manifest["batch"]["texts"],
        "settings": [
            {"setting": "the whole command", "seconds": run["seconds"], "tokens": manifest["batch"]["tokens_computed"]}
        ],
        "peak": manifest["timings"]["peak_memory_bytes"] or 0,
        "metrics": run["metrics"],
    }


def compare(args: argparse.Namespace, described: dict, our_f32: dict, folder: Path) -> dict:
    """Whether all programs computed the same; ends the program where two f32 ones did not."""
    import gguf
    import numpy as np
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(io.BytesIO(our_f32["metrics"])).to_pydict()
    texts = ("prompt", "fact", "hall")
    counts = np.array([columns[f"n_tokens_{text}"] for text in texts]).T.ravel()
    if counts.tolist() != [len(ids) for ids in described["ids"]]:
        raise SystemExit("saescope counts other tokens than the other programs")
    residuals = np.load(folder / "with_onnxruntime.py-f32.npy")
    norms = np.array([[columns[f"l{at}_{text}_residual_norm"] for text in texts] for at in described["layers"]])
    norms = norms.transpose(2, 1, 0).reshape(len(counts), -1)
    apart = float(np.max(np.abs(np.linalg.norm(residuals, axis=2) / norms - 1)))
    if apart > SAME:
        raise SystemExit(f"saescope's and onnxruntime's residual norms in f32 are up to {apart:.1e} apart")

    # llama.cpp gives logits: the others' are made of their residuals
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(str(args.files / "f32.gguf")).tensors}
    weight, head = np.array(tensors["output_norm.weight"].data), np.array(tensors["token_embd.weight"].data[:LOGITS])

    def logits(rows):
        if rows.ndim == 2:
            return rows
        x = rows[:, -1].astype(np.float64)
        return x / np.sqrt((x**2).mean(1, keepdims=True)) * weight @ head.T

    wanted, cosines = logits(residuals), {}
    for name, script, forms in (
        ("llama.cpp", "with_llama.py", LLAMA),
        ("onnxruntime", "with_onnxruntime.py", ONNXRUNTIME),
    ):
        for form in forms:
            cosines[name, form] = lowest_cosine(logits(np.load(folder / f"{script}-{form}.npy")), wanted)
    if cosines["llama.cpp", "f32"] < 1 - SAME:
        raise SystemExit(f"llama.cpp's logits in f32 have a cosine of {cosines['llama.cpp', 'f32']} only")
    return {"norms": apart, "cosines": cosines}


def lowest_cosine(a, b) -> float:
    """Of two arrays' rows, pair by pair."""
    import numpy as np

    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def fastest(times: list[dict]) -> tuple[float, dict]:
    """The setting with the smallest median of seconds over the rounds, and that.

    >>> fastest([{"settings": [{"setting": "a", "seconds": 3}]}, {"settings": [{"setting": "a", "seconds": 1}]}])[0]
    2.0
    """
    medians = [
        (statistics.median(run["settings"][at]["seconds"] for run in times), setting)
        for at, setting in enumerate(times[0]["settings"])
    ]
    return min(medians, key=lambda found: found[0])


def table(rows: dict[tuple[str, str], list[dict]], checks: dict, described: dict, rounds: int) -> str:
    versions = dict.fromkeys(run["version"] for times in rows.values() for run in times)
    texts = len(described["texts"])
    paces = {key: texts / fastest(times)[0] for key, times in rows.items()}
    lines = [
        f"{processor()}, {threads()} threads; {', '.join(versions)}; {texts} texts, "
        f"{rounds} round{'s' if rounds > 1 else ''} in turn.",
        "",
        f"| | weights | texts/s | {' | '.join(f'saescope {form} is' for form in COLUMNS)} | cosine | setting | tokens run | peak memory | others |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|---:|---:|",
    ]
    for (name, form), times in rows.items():
        _, setting = fastest(times)
        pace = paces[name, form]
        ratios = [""] * len(COLUMNS)
        if name != "saescope":
            ratios = [f"{paces['saescope', ours] / pace:.2f} times as fast" for ours in COLUMNS]
        cosine = checks["cosines"].get((name, form))
        lines.append(
            f"| {name} | {form} | {pace:.1f} | {' | '.join(ratios)} | {'' if cosine is None else f'{cosine:.4f}'} "
            f"| {setting['setting']} | {setting['tokens']} | {max(run['peak'] for run in times) / 2**30:.2f} GiB "
            f"| {max(run['others'] for run in times):.2f} |"
        )
    lost = [
        f"{name} {form} ({pace / paces['saescope', ours]:.2f} times saescope's {ours})"
        for (name, form), pace in paces.items()
        for ours in COLUMNS
        if name != "saescope" and pace > paces["saescope", ours]
    ]
    said = f"Faster than saescope: {'; '.join(lost)}." if lost else "None is faster than saescope."
    return "\n".join(
        [
            *lines,
            "",
            f"{said} Token ids are equal in all; residual norms of saescope and onnxruntime in f32 differ by at most "
            f"{checks['norms']:.1e} relatively over all texts and layers; `cosine` is the lowest, over all texts, of "
            f"the first {LOGITS} logits that the deepest residual would have and those of onnxruntime in f32; `others` are the processors that other programs "
            f"kept busy meanwhile, at most.",
        ]
    )


if __name__ == "__main__":
    main()
