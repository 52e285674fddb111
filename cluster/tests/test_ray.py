"""The Ray job, with a real Ray on this machine: what it makes is what one machine makes, whatever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# the tiny model, as the tests of the wheel have it
sys.path.insert(0, str(REPOSITORY / "python/tests"))

import pyarrow.dataset as pads
import pyarrow.parquet as pq
from harness import SCRIPT, TABLES, hashes, model, words

JOB = REPOSITORY / "cluster/saescope_ray.py"
SAMPLES = 600
SHARDS = 4
#: Samples of a pass: what is lost of a part at most.
PASS = 5


def rows(count: int) -> list[dict[str, Any]]:
    """Triples: one is no sample, one is too long for the model."""
    made: list[dict[str, Any]] = [
        {
            "id": f"s-{i:04}",
            "domain": ["x", "y"][i % 2],
            "prompt": f"The white whale {i} was called, in the book that was written by the man who",
            "fact": f"went to sea {i} times and came back",
            "hallucination": f"never saw {i} ships in his life",
        }
        for i in range(count)
    ]
    made[3]["fact"] = None
    made[7]["prompt"] = "far too long " * 4000
    return made


def descendants(pid: int) -> Iterator[int]:
    """Processes that come of one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def holder(file: Path, among: int) -> int | None:
    """Which process that comes of ``among`` has a file open."""
    for pid in descendants(among):
        try:
            if any(os.path.realpath(fd) == str(file) for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        except OSError:
            continue
    return None


class Job(unittest.TestCase):
    """Jobs in one folder; the reference is made once, by the command alone."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="saescope-ray-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name).resolve()
        cls.environment = {
            **os.environ,
            "SAESCOPE_CACHE": str(cls.folder / "cache"),
            "PIP_NO_INDEX": "1",
            "HF_ENDPOINT": "http://127.0.0.1:9",
            # a Ray of this test alone, which leaves nothing in the user's own folder
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": "/tmp",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
        }
        (cls.folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(SAMPLES)))
        done = subprocess.run(
            [SCRIPT, "analyze", *words(), "--dataset", "t.jsonl", "--skip-invalid", "--nulls", "20", "--run-id", "r",
             "--out", "one"],
            cwd=cls.folder, env=cls.environment, capture_output=True, text=True, check=False, timeout=300,
        )
        # one sample fails
        assert done.returncode == 1, done.stderr
        cls.one = hashes(cls.folder / "one")

    def command(self, out: str, *more: str, dataset: str = "t.jsonl") -> list[str]:
        asked = [*words(), "--dataset", dataset, "--nulls", "20", "--run-id", "r", "--pass", str(PASS)]
        job = [sys.executable, str(JOB), *asked, "--out", out, "--shards", str(SHARDS)]
        return [*job, "--workers", "2", "--local-cpus", "2", *more]

    def start(self, out: str, *more: str, dataset: str = "t.jsonl") -> subprocess.Popen[str]:
        log = (self.folder / f"log-{time.monotonic_ns()}").open("w+")
        self.addCleanup(log.close)
        job = subprocess.Popen(
            self.command(out, *more, dataset=dataset), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )
        self.addCleanup(job.kill)
        job.log = log  # type: ignore[attr-defined]
        return job

    def end(self, job: subprocess.Popen[str], status: int = 1) -> str:
        """What a job has said; by default one sample of it fails."""
        stdout, _ = job.communicate(timeout=300)
        job.log.seek(0)  # type: ignore[attr-defined]
        said: str = job.log.read()  # type: ignore[attr-defined]
        self.assertEqual(job.returncode, status, said + stdout)
        return said

    def wait(self, job: subprocess.Popen[str], until: Callable[[], Any]) -> Any:
        """What ``until`` gives once it gives something, while the job goes on."""
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            found = until()
            if found:
                return found
            self.assertIsNone(job.poll(), "the job has ended before anything could be killed")
            time.sleep(0.002)
        self.fail("nothing to kill in two minutes")

    def unfinished(self, out: Path, least: int = 20_000) -> Path | None:
        """A part of which something is kept."""
        for spool in out.glob("parts/*/unfinished.spool"):
            try:
                if spool.stat().st_size > least:
                    return spool
            except FileNotFoundError:
                continue
        return None

    def test_a_job_makes_what_one_machine_makes_and_goes_on_where_a_lost_worker_was(self) -> None:
        out = self.folder / "killed"
        job = self.start("killed")
        spool = self.wait(job, lambda: self.unfinished(out))
        pid = self.wait(job, lambda: holder(spool, job.pid))
        os.kill(pid, signal.SIGKILL)
        said = self.end(job)
        self.assertEqual(hashes(out / "whole"), self.one, said)
        # the part that was under way went on from what was kept: two processes have measured it
        manifest = json.loads((out / "manifest" / spool.parent.name / "manifest.json").read_text())
        self.assertEqual(manifest["timings"]["parts"], 2, said)
        self.assertRegex(said, rf"\d+/{SAMPLES - 1} samples \| \d+\.\d samples/s \| ETA ")
        self.assertRegex(said, r"worker \d+ on ")

        # rows by part, each sample once
        metrics = pads.dataset(out / "metrics", partitioning="hive").to_table(columns=["sample_id", "shard"])
        whole = pq.read_table(out / "whole/metrics.parquet")
        self.assertEqual(sorted(metrics["sample_id"].to_pylist()), whole["sample_id"].to_pylist())
        self.assertEqual(set(metrics["shard"].to_pylist()), set(range(1, SHARDS + 1)))
        features = pads.dataset(out / "features", partitioning="hive").to_table()
        self.assertEqual(features.num_rows, pq.read_metadata(out / "whole/features.parquet").num_rows)
        # and what could not be measured
        errors = pads.dataset(out / "errors", partitioning="hive").to_table().to_pylist()
        by_id = {error["sample_id"]: error for error in errors}
        self.assertEqual(set(by_id), {"s-0003", "s-0007"})
        self.assertEqual((by_id["s-0003"]["kind"], by_id["s-0003"]["row"], by_id["s-0003"]["shard"]), ("row", 4, 0))
        self.assertIn("fact is null", by_id["s-0003"]["reason"])
        self.assertEqual(by_id["s-0007"]["kind"], "sample")
        self.assertIn("tokens", by_id["s-0007"]["reason"])

        # what was begun is gone on with as it was begun
        refused = self.end(self.start("killed", "--seed", "5"), status=2)
        self.assertIn("was begun with another seed: None, now 5", refused)

    def test_a_driver_that_is_killed_is_begun_again_and_nothing_is_done_twice(self) -> None:
        out = self.folder / "driver"
        job = self.start("driver")
        ready = self.wait(job, lambda: any(out.glob("parts/*/done.json")) and self.unfinished(out))
        job.send_signal(signal.SIGKILL)
        job.wait()
        there = {mark.parent.name: (mark.parent / "part.spool").stat() for mark in out.glob("parts/*/done.json")}
        self.assertTrue(0 < len(there) < SHARDS, there)
        self.assertFalse((out / "whole").exists())
        kept = {path.parent.name: path.stat().st_size for path in out.glob("parts/*/unfinished.spool")}
        said = self.end(self.start("driver"))
        self.assertEqual(hashes(out / "whole"), self.one, said)
        left = int(re.findall(rf"in {SHARDS} parts, (\d+) of them to measure", said)[0])
        self.assertTrue(0 < left <= SHARDS - len(there), said)
        for name, before in there.items():
            after = (out / "parts" / name / "part.spool").stat()
            self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns), name)
        if ready.parent.name in kept:
            manifest = json.loads((out / "manifest" / ready.parent.name / "manifest.json").read_text())
            self.assertGreaterEqual(manifest["timings"]["parts"], 2, said)
        # once more: all is there
        began = {path: path.stat().st_mtime_ns for path in (out / "whole").iterdir()}
        again = self.end(self.start("driver"))
        self.assertIn(f"in {SHARDS} parts, 0 of them to measure", again)
        self.assertEqual({path: path.stat().st_mtime_ns for path in (out / "whole").iterdir()}, began)

    def test_data_and_results_in_an_object_store(self) -> None:
        from moto.server import ThreadedMotoServer
        from pyarrow import fs as pafs

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self.addCleanup(server.stop)
        port = server.get_host_and_port()[1]
        query = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
        saved = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(saved)))
        os.environ.update(self.environment)
        store, _ = pafs.FileSystem.from_uri(f"s3://bucket{query}")
        store.create_dir("bucket")
        pafs.copy_files(str(self.folder / "t.jsonl"), "bucket/data/t.jsonl", destination_filesystem=store)
        weights = model()["model"]
        pafs.copy_files(weights, "bucket/model", destination_filesystem=store)
        given = ["--scratch", str(self.folder / "scratch"), "--checkpoint", "0.2"]
        given += ["--model", f"s3://bucket/model{query}"]
        out = f"s3://bucket/runs/a{query}"
        said = self.end(self.start(out, *given, dataset=f"s3://bucket/data/t.jsonl{query}"))
        got = self.folder / "got"
        got.mkdir()
        for name in [*TABLES, "manifest.json"]:
            pafs.copy_files(f"bucket/runs/a/whole/{name}", str(got / name), source_filesystem=store)
        self.assertEqual(hashes(got), self.one, said)
        errors = pads.dataset("bucket/runs/a/errors", filesystem=store, partitioning="hive").to_table()
        self.assertEqual(sorted(errors["sample_id"].to_pylist()), ["s-0003", "s-0007"])
        found = store.get_file_info(pafs.FileSelector("bucket/runs/a/parts", recursive=True))
        names = {info.path.rsplit("/", 1)[1] for info in found}
        self.assertLessEqual({"done.json", "part.spool"}, names)
        self.assertNotIn("unfinished.spool", names)

    def test_what_cannot_be_meant_and_what_cannot_be_measured(self) -> None:
        said = self.end(self.start("none", "--model", "no/such/model"), status=2)
        self.assertIn("no/such/model", said)
        done = subprocess.run(self.command("none", "--shards", "0"), cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)


class Types(unittest.TestCase):
    def test_the_job_is_typed(self) -> None:
        checked = [str(JOB), str(REPOSITORY / "cluster/simulate.py")]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", str(REPOSITORY / "cluster/mypy.ini"), *checked],
            cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False, timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
