"""saescope beside transformers + SAELens, in turn, on the same triples and the same machine.

    saescope bench --make-model DIR --shape gemma-2-2b
    python bench/side_by_side.py --model DIR --sae 5=DIR/sae_5 --sae 12=DIR/sae_12 --sae 20=DIR/sae_20 \\
        --program saescope [--rounds 1] [--out bench/RESULTS.md]

The python that runs it needs reference/requirements.txt. `reference/pipeline.py` is the other side: one
forward pass for all layers, texts sorted by length, right padding, the blocks past the deepest SAE left out.
It times its forward passes and encoding; saescope's whole command is timed, reading the weights, geometry,
statistics and writing included. Prints Markdown, and puts it between the marks of `--out`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- side_by_side -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--sae", action="append", required=True, metavar="LAYER=PATH")
    parser.add_argument("--dataset", default=str(ROOT / "crate/dataset/builtin.jsonl"))
    parser.add_argument("--program", default="saescope")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batches", default="8,32", help="of the other side")
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    # better known now than after the runs
    results = args.out.read_text() if args.out else MARK
    if MARK not in results:
        raise SystemExit(f"{args.out}: no line {MARK}")

    same = ["--model", args.model, *(f"--sae={sae}" for sae in args.sae), "--dataset", args.dataset]
    runs: list[tuple[str, str, list[dict]]] = []
    for precision in args.precisions.split(","):
        runs.append(("saescope", precision, []))
        runs += [(f"transformers + SAELens, batch {batch}", precision, []) for batch in args.batches.split(",")]
    for _ in range(args.rounds):
        for what, precision, times in runs:
            if what == "saescope":
                times.append(saescope(args.program, precision, same))
            else:
                times.append(reference(what.rsplit(" ", 1)[1], precision, same))
            print(f"{what}, {precision}: {times[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)

    text = table(runs, args)
    print(text)
    if args.out:
        before, _, after = results.partition(MARK)
        _, _, after = after.partition(MARK)
        args.out.write_text(f"{before}{MARK}\n{text}\n{MARK}{after}")


def saescope(program: str, precision: str, same: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "analyze", "--device", "cpu", "--precision", precision, "--out", f"{folder}/run", *same]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        manifest = json.loads(Path(folder, "run", "manifest.json").read_text())
    return {
        "seconds": seconds,
        "texts": manifest["batch"]["texts"],
        "tokens": manifest["batch"]["tokens_computed"],
        "peak": manifest["timings"]["peak_memory_bytes"] or 0,
        "version": f"saescope {manifest['program']['version']}",
    }


def reference(batch: str, precision: str, same: list[str]) -> dict:
    command = [sys.executable, str(ROOT / "reference/pipeline.py"), *same, "--batch", batch, "--dtype", precision]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "seconds": found["seconds"],
        "texts": found["texts"],
        "tokens": found["padded_tokens"],
        "peak": found["peak_rss"],
        "version": f"torch {found['torch']}",
    }


def table(runs: list[tuple[str, str, list[dict]]], args: argparse.Namespace) -> str:
    def pace(times: list[dict]) -> float:
        return times[0]["texts"] / 3 / statistics.median(run["seconds"] for run in times)

    first = {precision: pace(times) for what, precision, times in runs if what == "saescope"}
    versions = dict.fromkeys(run["version"] for _, _, times in runs for run in times)
    lines = [
        f"{processor()}, {threads()} threads; {', '.join(versions)}; {runs[0][2][0]['texts'] // 3} triples, "
        f"{args.rounds} round{'s' if args.rounds > 1 else ''} in turn.",
        "",
        "| | precision | triples/s | saescope is | tokens run | peak memory |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for what, precision, times in runs:
        ratio = "" if what == "saescope" else f"{first[precision] / pace(times):.1f} times as fast"
        peak = max(run["peak"] for run in times) / 2**30
        lines.append(
            f"| {what} | {precision} | {pace(times):.2f} | {ratio} | {times[0]['tokens']} | {peak:.2f} GiB |"
        )
    return "\n".join(lines)


def threads() -> int:
    import os

    return os.cpu_count() or 1


def processor() -> str:
    try:
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return found[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
