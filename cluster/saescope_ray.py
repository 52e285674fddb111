"""A run on a Ray cluster: parts are dealt out to workers, and merged into the bytes that one machine would write.

    python cluster/saescope_ray.py --dataset triples.parquet --out s3://bucket/run --shards 64 \\
        --model ./gemma --sae 12=./sae

Needs the wheel and ray[data] in every node's Python. The same command again goes on with what OUT has: it is what to
do after a killed driver, and for parts that failed. In OUT:

    whole/                   the run, merged: metrics, features, stats, stats_features, manifest
    metrics/shard=00001/     a part's rows, and so on: Parquet, partitioned by part. explained_variance is taken
    features/shard=00001/    against a part's own mean here; whole/ has the run's
    errors/shard=00001/      what could not be measured, and why; rows of the data that are no samples: shard=00000
    parts/shard=00001/       what merges, and goes on after a crash
    job.json                 what was asked for, without what URIs have of keys

Exit status: 0 all is measured, 1 something is not (see errors/), 2 bad usage.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

# nothing is told to anybody unless the user says so
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pyarrow as pa
import pyarrow.fs as pafs
import ray
import ray.cloudpickle
import ray.data
import ray_places
import ray_worker
from ray_places import Store, bare, folder_of, resolved, without_keys
from ray_worker import Tally, Worker

import saescope

# the manifest last: a folder with one is complete
RUN_FILES = ("metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet", "manifest.json")
# the nodes have the wheel and not this folder: what workers need of it goes to them with the job
for module in (ray_places, ray_worker):
    ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def usage(text: str) -> SystemExit:
    say(f"error: {text}")
    return SystemExit(2)


class Source(NamedTuple):
    """A file or a folder of the data set."""

    domain: str
    uri: str
    fs: pafs.FileSystem
    path: str


def sources(given: list[str]) -> list[Source]:
    """Where the data are; something is there."""
    found = []
    for one in given:
        domain, equals, uri = one.partition("=")
        if not equals or "/" in domain or ":" in domain or os.path.exists(one):
            domain, uri = "", one
        hint = "\n  hint: --dataset names a file or a folder, here or by a URI that pyarrow or fsspec can open"
        if not uri:
            raise usage(f"--dataset {one!r} names nothing{hint}")
        try:
            fs, path = resolved(uri)
            there = fs.get_file_info(path).type
        except (OSError, ValueError, ImportError, pa.ArrowException) as error:
            raise usage(f"--dataset {bare(uri)}: {without_keys(str(error), [uri])}{hint}") from None
        if there == pafs.FileType.NotFound:
            raise usage(f"--dataset {bare(uri)}: nothing is there{hint}")
        found.append(Source(domain, uri, fs, path))
    return found


def data_set(given: list[Source]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Every file's bytes by its name, and the domains that some are given; a folder is its files."""
    files: dict[str, bytes] = {}
    domains: dict[str, str] = {}
    for domain, uri, fs, path in given:
        selected = pafs.FileSelector(path, recursive=True)
        if fs.get_file_info(path).type == pafs.FileType.Directory and not any(
            info.type == pafs.FileType.File for info in fs.get_file_info(selected)
        ):
            raise usage(f"--dataset {bare(uri)} is an empty folder\n  hint: name one with files, or a file")
        rows = ray.data.read_binary_files(path, filesystem=fs, include_paths=True).take_all()
        for row in sorted(rows, key=lambda row: row["path"]):
            # a URI may have keys
            name = uri if len(rows) == 1 and "://" not in uri else row["path"]
            if name in files:
                raise usage(f"{name} is given twice\n  hint: name every file once")
            files[name] = row["bytes"]
            if domain:
                domains[name] = domain
    return files, domains


def settled(store: Store, job: dict[str, Any], run_id: str | None, whole: bytes) -> str:
    """The run's name. What OUT was begun with is what it goes on with."""
    numbers = "shards model tokenizer saes layers quantize precision join noise seed logprob nulls graphics".split()
    engine = job["engine"]
    asked = {**engine, "shards": job["shards"], "graphics": job["graphics"]}
    asked |= {name: bare(engine[name]) for name in ("model", "tokenizer") if engine[name]}
    asked["saes"] = {layer: bare(path) for layer, path in engine["saes"].items()}
    kept = {name: asked[name] for name in numbers}
    kept |= {"data": hashlib.sha256(whole).hexdigest(), "program": saescope.__version__}
    # as it comes back from a file
    kept = json.loads(json.dumps(kept))
    if store.size("job.json") is None:
        name = run_id or datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d_%H%M%S")
        store.write("job.json", json.dumps({"run_id": name, **kept}, indent=1).encode())
        return name
    there = json.loads(store.read("job.json"))
    for key, value in {**kept, **({"run_id": run_id} if run_id else {})}.items():
        if there.get(key) != value:
            raise usage(
                f"{store.root} was begun with another {key}: {there.get(key)!r}, now {value!r}\n"
                "  hint: ask for what it was begun with, or choose another --out"
            )
    return str(there["run_id"])


def watch(tally: Any, total: int, before: int, parts: list[int], ended: threading.Event) -> None:
    """A line every two seconds while the workers work."""
    begun = time.monotonic()
    known: set[int] = set()
    while not ended.wait(2.0):
        try:
            done, kept, workers = ray.get(tally.state.remote(), timeout=10)
        except Exception:  # a busy cluster: there will be another line
            continue
        for pid in sorted(set(workers) - known):
            say(f"worker {pid} on {workers[pid]}")
        known |= set(workers)
        rate = max(done - kept, 0.0) / (time.monotonic() - begun)
        eta = f"{(total - before - done) / rate:.0f}s" if rate > 0 else "-"
        say(f"{before + done:.0f}/{total} samples | {rate:.1f} samples/s | ETA {eta} | {len(parts)} parts finished")


def merged(store: Store, shards: list[str], anew: bool) -> Path | str:
    """Joins the parts into ``whole``; gives where it is."""
    if not anew and store.size("whole/manifest.json") is not None:
        return store.at("whole")
    with tempfile.TemporaryDirectory(prefix="saescope-merge-") as scratch:
        folder = store.local or Path(scratch)
        parts, out = folder / "parts", folder / "whole"
        if store.local is None:
            for name in shards:
                store.give(f"parts/{name}/part.spool", parts / name / "part.spool")
        folders = [str(parts / name) for name in shards]
        # one of before is not taken for this one's, whatever comes between
        store.forget("whole/manifest.json")
        command = [sys.executable, "-m", "saescope", "merge", *folders, "--out", str(out), "--force"]
        # 1 says that some samples failed, which the run tells by name
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        if status not in (0, 1) or not (out / "manifest.json").exists():
            raise SystemExit(1)
        if store.local is None:
            for file in RUN_FILES:
                store.take(out / file, f"whole/{file}")
    return store.at("whole")


def layer_and_path(text: str) -> tuple[int, str]:
    """``LAYER=PATH``"""
    layer, _, path = text.partition("=")
    if not layer.isdecimal() or not path:
        raise argparse.ArgumentTypeError(f"expected LAYER=PATH, found {bare(text)!r}; hint: --sae 12=./sae")
    return int(layer), path


def renamed(text: str) -> dict[str, str]:
    """``FIELD=COLUMN,…``"""
    pairs = [pair.partition("=")[::2] for pair in text.split(",")]
    if not all(field.strip() and column.strip() for field, column in pairs):
        hint = "hint: --columns prompt=question,fact=answer"
        raise argparse.ArgumentTypeError(f"expected FIELD=COLUMN,…, found {text!r}; {hint}")
    return dict(pairs)


def options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    where = "file or folder of files, here or on S3 and the like; without it the built-in triples"
    add("--dataset", action="append", default=[], metavar="[DOMAIN=]URI", help=where)
    add("--out", required=True, metavar="URI", help="folder of the run, which every node reaches under this name")
    add("--shards", type=int, required=True, metavar="N", help="parts; one should take minutes")
    add("--workers", type=int, metavar="N", help="as many as fit, unless told otherwise")
    add("--num-cpus", type=float, default=1, metavar="N", help="processors of a worker, and threads")
    add("--num-gpus", type=float, default=0, metavar="N", help="graphics devices of a worker")
    add("--address", help="of a cluster (auto, or ray://…), also RAY_ADDRESS; without either, Ray is started here")
    add("--local-cpus", type=int, metavar="N", help="processors of a Ray that is started here")
    add("--attempts", type=int, default=4, metavar="N", help="workers that may be lost on a part before it is left")
    often = "how often what is measured of a part is put into OUT, where that is no file system"
    add("--checkpoint", type=float, default=60, metavar="SECONDS", help=often)
    scratch = os.path.join(tempfile.gettempdir(), "saescope-ray")
    add("--scratch", default=scratch, metavar="DIR", help="of each node, where OUT is no file system")
    add("--no-merge", action="store_true", help="leave it at the parts")
    add("--run-id", metavar="NAME")
    engine = parser.add_argument_group("as in `saescope analyze`; models and SAEs may be URIs, copied once per node")
    add = engine.add_argument
    for name in ("model", "tokenizer", "join", "noise", "quantize", "memory-budget"):
        add(f"--{name}")
    add("--columns", type=renamed, metavar="FIELD=COLUMN,…")
    add("--device", default="auto", help="auto: the graphics devices that Ray gives a worker, else its processors")
    add("--precision", default="f32")
    add("--sae", action="append", default=[], type=layer_and_path, metavar="LAYER=PATH")
    add("--layers", type=lambda text: [int(layer) for layer in text.split(",")])
    for name in ("limit", "seed", "batch-size", "pass"):
        add(f"--{name}", type=int)
    add("--nulls", type=lambda text: 0 if text == "off" else int(text))
    add("--logprob", action="store_true")
    args = parser.parse_args(words)
    if args.shards < 1 or (args.workers is not None and args.workers < 1):
        parser.error("--shards and --workers are 1 or more")
    layers = [layer for layer, _ in args.sae]
    if len(set(layers)) < len(layers):
        parser.error(f"--sae names a layer twice: {layers}; hint: one SAE for each layer")
    return args


def asked_of(args: argparse.Namespace) -> dict[str, Any]:
    """The command line as one job, which goes to every worker."""
    saes = dict(args.sae)
    names = "model tokenizer layers join device precision noise seed logprob nulls quantize batch_size memory_budget"
    engine = {name: getattr(args, name) for name in names.split()} | {"pass_size": getattr(args, "pass")}
    # paths mean the same to workers, which begin elsewhere
    here = {"model": args.model, "tokenizer": args.tokenizer}
    engine |= {name: os.path.abspath(path) for name, path in here.items() if path and os.path.exists(path)}
    engine["saes"] = {layer: os.path.abspath(path) if os.path.exists(path) else path for layer, path in saes.items()}
    out = args.out if "://" in args.out else os.path.abspath(args.out)
    own = {name: getattr(args, name) for name in ("shards", "num_cpus", "attempts", "checkpoint")}
    graphics = args.num_gpus > 0 if args.device == "auto" else args.device != "cpu"
    return {"out": out, "engine": engine, "graphics": graphics, **own}


def start(args: argparse.Namespace) -> None:
    """Joins a cluster, or starts one here."""
    # that variable is set for a job that is handed in
    address = args.address or os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, logging_level=logging.WARNING)
    else:
        # not one that somebody has left running here
        ray.init(address="local", num_cpus=args.local_cpus, include_dashboard=False, logging_level=logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False


def main(words: list[str] | None = None) -> int:
    args = options(words)
    job = asked_of(args)
    try:
        store = Store(job["out"])
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        hint = "\n  hint: a folder, or a URI that pyarrow or fsspec can open"
        raise usage(f"--out {bare(job['out'])}: {without_keys(str(error), [job['out']])}{hint}") from None
    given = sources(args.dataset)
    start(args)
    files, domains = data_set(given)
    try:
        survey = saescope.Survey(
            files if given else None,
            domains=domains,
            columns=args.columns,
            join=args.join,
            limit=args.limit,
            seed=args.seed,
            skip_invalid=True,
        )
    except saescope.Error as error:
        raise usage(str(error)) from None
    del files
    whole = survey.whole
    job["run_id"] = settled(store, job, args.run_id, whole)
    own = hashlib.sha256(f"{job['out']} {job['run_id']}".encode()).hexdigest()[:16]
    job["scratch"] = str(Path(args.scratch) / own)
    rejected = [(r.id, r.file, r.row, r.reason) for r in survey.rejected]
    names_of = ("sample_id", "file", "row", "reason")
    store.errors(0, [{"kind": "row", **dict(zip(names_of, row))} for row in rejected])

    marks = {name: json.loads(store.read(f"parts/{name}/done.json")) for name in store.names("parts", "done.json")}
    parts = {shard: pa.table(table) for shard, table in survey.parts(args.shards).items()}
    total, names = survey.samples, [folder_of(shard) for shard in parts]
    before = sum(mark["measured"] + mark["failed"] for mark in marks.values())
    left = {shard: table for shard, table in parts.items() if folder_of(shard) not in marks}
    say(f"{total} samples in {len(parts)} parts, {len(left)} of them to measure; run {job['run_id']} in {store.root}")
    lost = measured(args, job, whole, left, total, before, marks) if left else []
    for row in lost:
        say(f"part {row['shard']} is not measured: {row['reason']}")
    if lost:
        say(f"{len(lost)} of {len(parts)} parts are not measured, see errors/; the same command tries them again")
        return 1
    failed = sum(mark["failed"] for mark in marks.values())
    if not args.no_merge:
        print(merged(store, names, bool(left)))
    if failed:
        say(f"{failed} samples could not be measured: see errors/")
    return 1 if failed else 0


def measured(
    args: argparse.Namespace,
    job: dict[str, Any],
    whole: bytes,
    left: dict[int, pa.Table],
    total: int,
    before: int,
    marks: dict[str, Any],
) -> list[dict[str, Any]]:
    """Has the parts measured, adds what is done to ``marks``, and gives those that are not."""
    # where its node is lost, it counts from nought elsewhere
    tally = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Tally).remote()
    numbered = {shard: pa.array([shard] * table.num_rows, pa.int64()) for shard, table in left.items()}
    blocks = [table.append_column("shard", numbered[shard]) for shard, table in left.items()]
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    asked = {"CPU": args.num_cpus, "GPU": args.num_gpus}
    fit = min((int(have.get(kind, 0) / number) for kind, number in asked.items() if number > 0), default=len(left))
    if fit < 1:
        raise usage(f"the cluster has {have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs: no worker fits")
    workers = min(args.workers or fit, fit, len(left))
    # one part at a time: what waits behind a slow one could be another worker's
    pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1)
    # a block is a part; an actor that is lost is started anew, and its part given out again
    rows = ray.data.from_arrow(blocks).map_batches(
        Worker,
        fn_constructor_kwargs={"job": job, "whole": whole, "tally": tally},
        batch_size=None,
        batch_format="pyarrow",
        compute=pool,
        num_cpus=args.num_cpus,
        num_gpus=args.num_gpus or None,
    )
    finished: list[int] = []
    lost: list[dict[str, Any]] = []
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(tally, total, before, finished, ended), daemon=True)
    watcher.start()
    try:
        for row in rows.iter_rows():
            if row["status"] == "unopened":
                raise usage(row["reason"])
            if row["status"] == "done":
                finished.append(row["shard"])
                marks[folder_of(row["shard"])] = {"measured": row["measured"], "failed": row["failed"]}
            else:
                lost.append(row)
    finally:
        ended.set()
        watcher.join()
    return lost


if __name__ == "__main__":
    sys.exit(main())
