"""What a merge costs as a run is cut into more parts: the same samples, measured by a tiny model.

    python cluster/simulate.py --program saescope [--samples 4000] [--parts 10,100,1000] [--model tests/golden/models/llama]

Every part is a run of the program with `--shard`, as a cluster would make it; then `saescope merge` is timed,
with its peak memory and the files that it keeps open. The merged tables must be the same bytes for every
number of parts. Prints Markdown. Standard library only; Unix.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="saescope")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--parts", default="10,100,1000")
    parser.add_argument("--model", type=Path, default=ROOT / "tests/golden/models/llama", help="model/, saes/, texts.json, expected.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="saescope-simulate-") as scratch:
        folder = Path(scratch)
        data = folder / "data.json"
        data.write_text(json.dumps(samples(args.model, args.samples)))
        lines: list[str] = []
        tables: set[str] = set()
        for parts in map(int, args.parts.split(",")):
            lines.append(line(args, parts, data, folder / str(parts), tables))
            shutil.rmtree(folder / str(parts))
        if len(tables) != 1:
            raise SystemExit("the merged tables depend on the number of parts")
    print(f"{args.samples} samples; every merge gave the same tables.\n")
    print("| parts | samples in a part | a part's spool | merge | its peak memory |")
    print("|---:|---:|---:|---:|---:|")
    print("\n".join(lines))


def samples(model: Path, count: int) -> list[dict[str, object]]:
    """`count` triples from the model's own, each with an id and a prompt of its own."""
    texts = [row for row in json.loads((model / "texts.json").read_text()) if len(row["prompt"]) < 200]
    return [{**texts[i % len(texts)], "id": f"s-{i:07}", "prompt": f"{texts[i % len(texts)]['prompt']} {i}"} for i in range(count)]


def line(args: argparse.Namespace, parts: int, data: Path, folder: Path, tables: set[str]) -> str:
    saes = json.loads((args.model / "expected.json").read_text())["saes"]
    given = ["--model", args.model / "model", *(f"--sae={layer}={args.model / path}" for layer, path in saes.items())]

    def part(index: int) -> None:
        command = [args.program, "analyze", *given, "--dataset", data, "--device", "cpu", "--nulls", "off", "--no-stats"]
        command += ["--shard", f"{index}/{parts}"]
        done = subprocess.run([*command, "--run-id", "simulated", "--out", folder / str(index)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"part {index} of {parts}: {done.stderr}")

    with ThreadPoolExecutor(args.jobs) as pool:
        for index, _ in enumerate(pool.map(part, range(1, parts + 1)), 1):
            print(f"\r{index}/{parts} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    spool = sum((path / "part.spool").stat().st_size for path in found) / len(found)
    began = time.monotonic()
    merge = subprocess.Popen([args.program, "merge", *found, "--out", folder / "whole"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert merge.stderr is not None
    said = merge.stderr.read().decode()
    _, status, usage = os.wait4(merge.pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"merge of {parts} parts: {said}")
    # KiB on Linux, bytes on macOS
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    tables.add(hashlib.sha256(b"".join((folder / "whole" / name).read_bytes() for name in TABLES)).hexdigest())
    return f"| {len(found)} | {args.samples / parts:g} | {spool / 1e3:.1f} kB | {seconds:.2f} s | {peak / 1e6:.0f} MB |"


if __name__ == "__main__":
    main()
