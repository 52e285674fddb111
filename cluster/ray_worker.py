"""What measures the parts of a Ray job, and what keeps count of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions
from ray_places import Store, folder_of, on_this_node, uris_of, without_keys

import saescope

#: Seconds that a worker waits for another one to let go of a part: one that was killed may still be ending.
PATIENCE = 60.0
#: Seconds between two words of a worker on how far it is.
TELL = 1.0


class Tally:
    """What the workers have said of themselves: an actor that costs nothing."""

    def __init__(self) -> None:
        self.tries: dict[int, int] = {}
        self.done: dict[int, float] = {}
        self.kept: dict[int, float] = {}
        self.workers: dict[int, str] = {}

    def begun(self, shard: int, pid: int, host: str) -> int:
        """A worker takes a part up; gives how often that has been so."""
        self.workers[pid] = host
        self.tries[shard] = self.tries.get(shard, 0) + 1
        return self.tries[shard]

    def reached(self, shard: int, done: float) -> None:
        self.kept.setdefault(shard, done)
        self.done[shard] = max(done, self.done.get(shard, 0.0))

    def state(self) -> tuple[float, float, dict[int, str]]:
        """Samples done, those of them that were there before, workers seen."""
        return sum(self.done.values()), sum(self.kept.values()), dict(self.workers)


class Worker:
    """One engine, and the parts that it is given."""

    def __init__(self, job: dict[str, Any], whole: bytes, tally: Any) -> None:
        # before the library looks
        os.environ.setdefault("RAYON_NUM_THREADS", str(max(1, round(job["num_cpus"]))))
        self.job = job
        self.whole = whole
        self.tally = tally
        self.store = Store(job["out"])
        self.engine: saescope.Engine | None = None

    def open(self) -> saescope.Engine:
        if self.engine is None:
            asked = dict(self.job["engine"])
            if asked["device"] == "auto":
                # Ray says which accelerators are this worker's
                own = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
                asked["device"] = ",".join(f"gpu:{i}" for i in own) if own else "cpu"
            asked |= {name: on_this_node(asked[name]) for name in ("model", "tokenizer") if asked[name]}
            asked["saes"] = {layer: on_this_node(path) for layer, path in asked["saes"].items()} or None
            self.engine = saescope.Engine(**asked, progress=False)
        return self.engine

    def __call__(self, table: pa.Table) -> pa.Table:
        shard = table["shard"][0].as_py()
        begun = time.monotonic()
        try:
            attempt = ray.get(self.tally.begun.remote(shard, os.getpid(), socket.gethostname()), timeout=PATIENCE)
        except ray.exceptions.RayError:
            # the tally is lost, and no part for that
            attempt = 1
        row = {"shard": shard, "status": "done", "measured": 0, "failed": 0, "reason": ""}
        try:
            if attempt > self.job["attempts"]:
                raise RuntimeError(f"{attempt - 1} workers were lost while they measured this part")
            try:
                engine = self.open()
            except saescope.Error as error:
                # no part of it is to blame
                return pa.Table.from_pylist([{**row, "status": "unopened", "reason": str(error)}])
            row |= self.measure(engine, shard, table)
        except Exception as error:  # whatever it is, the other parts go on
            reason = without_keys(f"{type(error).__name__}: {error}", uris_of(self.job))
            row |= {"status": "failed", "failed": table.num_rows, "reason": reason}
            ids = table["id"].to_pylist()
            # the driver is told in any case
            with contextlib.suppress(Exception):
                self.store.errors(shard, [{"kind": "part", "sample_id": i, "reason": reason} for i in ids])
        return pa.Table.from_pylist([{**row, "seconds": time.monotonic() - begun}])

    def measure(self, engine: saescope.Engine, shard: int, table: pa.Table) -> dict[str, Any]:
        """Measures a part and puts its files into their places, the mark that it is done last."""
        name, store = folder_of(shard), self.store
        out = (store.local or Path(self.job["scratch"])) / "parts" / name
        if store.local is None:
            out.mkdir(parents=True, exist_ok=True)
            for spool in ("part.spool", "unfinished.spool"):
                there, here = store.size(f"parts/{name}/{spool}"), out / spool
                if there is not None and (not here.exists() or here.stat().st_size < there):
                    store.give(f"parts/{name}/{spool}", here)
        begun = saved = time.monotonic()
        # the first word says what was there before
        said = begun - TELL

        def tell(progress: saescope.Progress) -> None:
            nonlocal said, saved
            now = time.monotonic()
            if now - said >= TELL or progress.done >= progress.total:
                said = now
                self.tally.reached.remote(shard, progress.done)
            spool = out / "unfinished.spool"
            if store.local is None and now - saved >= self.job["checkpoint"] and spool.exists():
                # what is cut off in the middle of a frame is passed over when it is opened; what does not arrive is
                # sent with the next
                with contextlib.suppress(OSError):
                    store.take(spool, f"parts/{name}/unfinished.spool", keep=True)
                saved = time.monotonic()

        while True:
            try:
                done = engine.part(
                    table.drop_columns(["shard", "place"]),
                    places=table["place"].to_pylist(),
                    whole=self.whole,
                    shard=f"{shard}/{self.job['shards']}",
                    out=out,
                    run_id=self.job["run_id"],
                    progress=tell,
                )
                break
            except saescope.UsageError as error:
                if "another process" not in str(error) or time.monotonic() - begun > PATIENCE:
                    raise
                time.sleep(0.5)
        store.errors(shard, [{"kind": "sample", "sample_id": i, "reason": reason} for i, reason in done.failed])
        for file in ("features.parquet", "metrics.parquet", "manifest.json"):
            if (out / file).exists():
                store.take(out / file, f"{file.split('.')[0]}/{name}/{file}")
        if store.local is None:
            store.take(out / "part.spool", f"parts/{name}/part.spool")
            store.forget(f"parts/{name}/unfinished.spool")
        mark = {"measured": done.measured, "failed": len(done.failed)}
        store.write(f"parts/{name}/done.json", json.dumps(mark).encode())
        # not waited for: the part is finished, whatever becomes of the tally
        self.tally.reached.remote(shard, done.measured + len(done.failed))
        return mark
