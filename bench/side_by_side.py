"""saescope beside torch, in turn, on the same triples and the same machine: two ways to use it.

    saescope bench --make-model DIR --shape gemma-2-2b
    python bench/side_by_side.py --model DIR --sae 5=DIR/sae_5 --sae 12=DIR/sae_12 --sae 20=DIR/sae_20 \\
        --program saescope [--rounds 1] [--straightforward 5] [--out bench/RESULTS.md]

The python that runs it needs reference/requirements.txt. `reference/pipeline.py` is torch used well: one
forward pass for all layers, texts sorted by length, right padding, the blocks past the deepest SAE left out.
It times its forward passes and encoding. `layer_by_layer.py` is the straightforward way that guides show: one text
at a time, for each SAE a pass through the whole model, the full covariance in numpy; of a few triples, since
all would take an hour. saescope's whole command is timed, reading the weights, geometry, statistics and writing
included; once as it comes, once with `--nulls off`: 200 draws for each of three nulls of every text's geometry are
what nothing here has a counterpart for. Prints Markdown, and puts it between the marks of `--out`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from common import BUILTIN, ROOT, Others, Results, last_json, need, processor, saescope, threads

STRAIGHTFORWARD = "one text and one layer at a time"
SAESCOPE = {"saescope": (), "saescope, --nulls off": ("--nulls", "off")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--sae", action="append", required=True, metavar="LAYER=PATH")
    parser.add_argument("--dataset", default=str(BUILTIN))
    parser.add_argument("--program", default="saescope")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batches", default="8,32", help="of reference/pipeline.py; empty leaves it out")
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--straightforward", type=int, default=5, metavar="TRIPLES", help="0 leaves it out")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--mark", default="side_by_side", help="which of its marks")
    args = parser.parse_args()
    if args.straightforward and "f32" not in args.precisions.split(","):
        parser.error("--straightforward computes in f32: name f32 among --precisions, to compare it with")
    need("torch", "transformers", "sae_lens")
    # better known now than after the runs
    results = Results(args.out, args.mark)

    same = ["--model", args.model, *(f"--sae={sae}" for sae in args.sae), "--dataset", args.dataset]
    runs: list[tuple[str, str, list[dict]]] = []
    for precision in args.precisions.split(","):
        runs += [(what, precision, []) for what in SAESCOPE]
        runs += [(f"transformers + SAELens, batch {batch}", precision, []) for batch in args.batches.split(",") if batch]
    if args.straightforward:
        runs.append((STRAIGHTFORWARD, "f32", []))
    for _ in range(args.rounds):
        for what, precision, times in runs:
            others = Others()
            if what in SAESCOPE:
                times.append(ours(args.program, precision, [*SAESCOPE[what], *same]))
            elif what == STRAIGHTFORWARD:
                times.append(straightforward(args.straightforward, same))
            else:
                times.append(reference(what.rsplit(" ", 1)[1], precision, same))
            times[-1]["others"] = others.processors()
            print(f"{what}, {precision}: {times[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    results.put(table(runs, args.rounds))


def ours(program: str, precision: str, same: list[str]) -> dict:
    run = saescope(program, "--precision", precision, *same)
    manifest = run["manifest"]
    return {
        "seconds": run["seconds"],
        "texts": manifest["batch"]["texts"],
        "tokens": manifest["batch"]["tokens_computed"],
        "peak": manifest["timings"]["peak_memory_bytes"] or 0,
        "version": f"saescope {manifest['program']['version']}",
    }


def reference(batch: str, precision: str, same: list[str]) -> dict:
    command = [sys.executable, str(ROOT / "reference/pipeline.py"), *same, "--batch", batch, "--dtype", precision]
    found = last_json(command)
    return {
        "seconds": found["seconds"],
        "texts": found["texts"],
        "tokens": found["padded_tokens"],
        "peak": found["peak_rss"],
        "version": f"torch {found['torch']}",
    }


def straightforward(triples: int, same: list[str]) -> dict:
    command = [sys.executable, str(ROOT / "bench/layer_by_layer.py"), *same, "--triples", str(triples)]
    found = last_json(command)
    return {
        "seconds": found["seconds"],
        "texts": found["texts"],
        "tokens": found["tokens"],
        "peak": found["peak_rss"],
        "version": f"numpy {found['numpy']}",
        "parts": f"{found['model_and_sae_seconds']:.1f} s in {found['passes']} passes and SAEs, "
        f"{found['geometry_seconds']:.1f} s in geometry",
    }


def table(runs: list[tuple[str, str, list[dict]]], rounds: int) -> str:
    """Each row's pace is the median over its rounds, and is compared with saescope's in the same precision."""

    def pace(times: list[dict]) -> float:
        return times[0]["texts"] / 3 / statistics.median(run["seconds"] for run in times)

    ours = {(what, precision): pace(times) for what, precision, times in runs if what in SAESCOPE}
    versions = dict.fromkeys(run["version"] for _, _, times in runs for run in times)
    lines = [
        f"{processor()}, {threads()} threads; {', '.join(versions)}; {rounds} round{'s' if rounds > 1 else ''} in turn.",
        "",
        "| | precision | triples | triples/s | saescope is | with --nulls off | tokens run | peak memory | others |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for what, precision, times in runs:
        ratios = ["" if what in SAESCOPE else f"{ours[own, precision] / pace(times):.1f} times as fast" for own in SAESCOPE]
        peak = max(run["peak"] for run in times) / 2**30
        lines.append(
            f"| {what} | {precision} | {times[0]['texts'] // 3} | {pace(times):.3g} | {' | '.join(ratios)} "
            f"| {times[0]['tokens']} | {peak:.2f} GiB | {max(run['others'] for run in times):.2f} |"
        )
    parts = [f"{what}: {times[0]['parts']}." for what, _, times in runs if "parts" in times[0]]
    parts.append("Others: processors that other programs kept busy meanwhile, at most.")
    return "\n".join([*lines, "", *parts])


if __name__ == "__main__":
    main()
