"""The Ray job, with a real Ray on this machine: what it makes is what one machine makes, whatever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

REPOSITORY = Path(__file__).resolve().parents[2]
# the tiny model, as the tests of the wheel have it
sys.path.insert(0, str(REPOSITORY / "python/tests"))

import pyarrow.dataset as pads
import pyarrow.parquet as pq
from harness import SCRIPT, TABLES, hashes, model, words

JOB = REPOSITORY / "cluster/saescope_ray.py"
SAMPLES = 240
SHARDS = 4
#: Bytes of a spool that has a pass.
LEAST = 20_000
#: Samples of a pass: what is lost of a part at most.
PASS = 5


def folder_of(shard: int) -> str:
    return f"shard={shard:05}"


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


def holder(file: Path) -> int | None:
    """Which process has a file open."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and any(os.path.realpath(fd) == str(file) for fd in (entry / "fd").iterdir()):
                return int(entry.name)
        except OSError:
            continue
    return None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Job(unittest.TestCase):
    """Jobs in one folder, on one cluster; the reference is made once, by the command alone."""

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
        port = free_port()
        cls.address = f"127.0.0.1:{port}"
        # in the foreground and in a session of its own: what it starts is ended with it
        start = ["start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
        start += ["--node-ip-address=127.0.0.1", "--object-store-memory=100000000", "--disable-usage-stats"]
        said = (cls.folder / "ray.log").open("w")
        cls.addClassCleanup(said.close)
        ray = subprocess.Popen([SCRIPT.with_name("ray"), *start], env=cls.environment, stdout=said, stderr=said,
                               start_new_session=True)
        cls.addClassCleanup(ray.wait, timeout=60)
        cls.addClassCleanup(os.killpg, ray.pid, signal.SIGKILL)
        limit = time.monotonic() + 300
        while "Ray runtime started" not in (cls.folder / "ray.log").read_text():
            assert ray.poll() is None and time.monotonic() < limit, (cls.folder / "ray.log").read_text()
            time.sleep(0.1)

    def command(self, out: str, *more: str, dataset: str = "t.jsonl") -> list[str]:
        asked = [*words(), "--dataset", dataset, "--nulls", "20", "--run-id", "r", "--pass", str(PASS)]
        job = [sys.executable, str(JOB), *asked, "--out", out, "--shards", str(SHARDS)]
        return [*job, "--address", self.address, *more]

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
        stdout, _ = job.communicate(timeout=600)
        job.log.seek(0)  # type: ignore[attr-defined]
        said: str = job.log.read()  # type: ignore[attr-defined]
        self.assertEqual(job.returncode, status, said + stdout)
        return said

    def wait(self, job: subprocess.Popen[str], until: Callable[[], Any]) -> Any:
        """What ``until`` gives once it gives something, while the job goes on."""
        limit = time.monotonic() + 300
        while time.monotonic() < limit:
            found = until()
            if found:
                return found
            self.assertIsNone(job.poll(), "the job has ended before anything could be killed")
            time.sleep(0.002)
        self.fail("nothing to kill in two minutes")

    def unfinished(self, out: Path) -> Path | None:
        """A part of which something is kept."""
        for spool in out.glob("parts/*/unfinished.spool"):
            try:
                if spool.stat().st_size > LEAST:
                    return spool
            except FileNotFoundError:
                continue
        return None

    def test_a_job_makes_what_one_machine_makes_and_goes_on_where_a_lost_worker_was(self) -> None:
        out = self.folder / "killed"
        job = self.start("killed")
        spool = self.wait(job, lambda: self.unfinished(out))
        pid = self.wait(job, lambda: holder(spool))
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

    def test_a_part_that_loses_its_workers_is_left_and_tried_again_by_the_same_command(self) -> None:
        out = self.folder / "left"
        job = self.start("left", "--attempts", "1")
        spool = self.wait(job, lambda: self.unfinished(out))
        os.kill(self.wait(job, lambda: holder(spool)), signal.SIGKILL)
        said = self.end(job)
        self.assertIn(f"1 of {SHARDS} parts are not measured, see errors/", said)
        self.assertFalse((out / "whole").exists())
        errors = pads.dataset(out / "errors", partitioning="hive").to_table().to_pylist()
        lost = [error for error in errors if error["kind"] == "part"]
        self.assertEqual({folder_of(error["shard"]) for error in lost}, {spool.parent.name})
        self.assertTrue(all("1 workers were lost" in error["reason"] for error in lost), lost)
        self.end(self.start("left"))
        self.assertEqual(hashes(out / "whole"), self.one)
        errors = pads.dataset(out / "errors", partitioning="hive").to_table().to_pylist()
        self.assertEqual(sorted(error["kind"] for error in errors), ["row", "sample"])

    def test_a_driver_that_is_killed_is_begun_again_and_nothing_is_done_twice(self) -> None:
        out = self.folder / "driver"
        job = self.start("driver")
        spool = self.wait(job, lambda: any(out.glob("parts/*/done.json")) and self.unfinished(out))
        with spool.open("rb") as kept:
            job.send_signal(signal.SIGKILL)
            # with the moment at which it was begun
            beginning = kept.read(LEAST)
        job.wait()
        there = {mark.parent.name: (mark.parent / "part.spool").stat() for mark in out.glob("parts/*/done.json")}
        self.assertTrue(0 < len(there) < SHARDS, there)
        self.assertFalse((out / "whole").exists())
        said = self.end(self.start("driver"))
        self.assertEqual(hashes(out / "whole"), self.one, said)
        left = int(re.findall(rf"in {SHARDS} parts, (\d+) of them to measure", said)[0])
        self.assertTrue(0 < left <= SHARDS - len(there), said)
        for name, before in there.items():
            after = (out / "parts" / name / "part.spool").stat()
            self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns), name)
        # the part that was under way was not begun anew
        self.assertEqual((spool.parent / "part.spool").read_bytes()[:LEAST], beginning)
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
        # all of a run is there, as its manifest has it
        whole = store.get_file_info(pafs.FileSelector("bucket/runs/a/whole"))
        self.assertEqual({info.path.rsplit("/", 1)[1] for info in whole}, {*TABLES, "manifest.json"})
        manifest = json.loads((got / "manifest.json").read_text())
        self.assertEqual({file["path"]: file["sha256"] for file in manifest["files"]}, hashes(got))
        # what an address has of keys is not kept
        self.assertEqual([file["path"] for file in manifest["dataset"]["files"]], ["bucket/data/t.jsonl"])
        with store.open_input_stream("bucket/runs/a/job.json") as stream:
            asked = json.loads(stream.read())
        self.assertEqual((asked["model"], asked["graphics"]), ("s3://bucket/model", False))
        # a part's own comparisons are not left behind
        left = [path.name for path in (self.folder / "scratch").rglob("*.parquet")]
        self.assertEqual(left, [])
        errors = pads.dataset("bucket/runs/a/errors", filesystem=store, partitioning="hive").to_table()
        self.assertEqual(sorted(errors["sample_id"].to_pylist()), ["s-0003", "s-0007"])
        found = store.get_file_info(pafs.FileSelector("bucket/runs/a/parts", recursive=True))
        names = {info.path.rsplit("/", 1)[1] for info in found}
        self.assertLessEqual({"done.json", "part.spool"}, names)
        self.assertNotIn("unfinished.spool", names)

    def test_what_cannot_be_meant_and_what_cannot_be_measured(self) -> None:
        # by a Ray of its own
        command = self.command("none", "--model", "no/such/model", "--local-cpus", "2")
        at = command.index("--address")
        done = subprocess.run([*command[:at], *command[at + 2:]], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("no/such/model", done.stderr)
        (self.folder / "empty").mkdir()
        for more, dataset, words_of_it in [
            (["--shards", "0"], "t.jsonl", ["--shards and --workers are 1 or more"]),
            (["--sae", "l1"], "t.jsonl", ["--sae: expected LAYER=PATH, found 'l1'", "hint:"]),
            (["--columns", "prompt"], "t.jsonl", ["--columns: expected FIELD=COLUMN", "hint:"]),
            ([], "no/such.jsonl", ["--dataset no/such.jsonl: nothing is there", "hint:"]),
            ([], "", ["--dataset '' names nothing", "hint:"]),
            ([], "empty", ["--dataset empty is an empty folder", "hint:"]),
        ]:
            with self.subTest(more=more, dataset=dataset):
                done = subprocess.run(self.command("never", *more, dataset=dataset), cwd=self.folder,
                                      env=self.environment, capture_output=True, text=True, check=False, timeout=120)
                self.assertEqual(done.returncode, 2, done.stderr)
                for word in words_of_it:
                    self.assertIn(word, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
        self.assertFalse((self.folder / "never/job.json").exists())


class Places(unittest.TestCase):
    def test_keys_in_an_address_are_neither_shown_nor_kept(self) -> None:
        sys.path.insert(0, str(JOB.parent))
        self.addCleanup(sys.path.remove, str(JOB.parent))
        from ray_places import bare, without_keys

        for uri, shown in [
            ("s3://key:secret@bucket/a?session=token", "s3://bucket/a"),
            ("s3://key:se/cret@bucket/a", "s3://bucket/a"),
            ("s3://key@bucket/a", "s3://bucket/a"),
            ("s3://bucket/a@1?endpoint_override=127.0.0.1:9", "s3://bucket/a@1"),
            ("hdfs://host:80/a", "hdfs://host:80/a"),
            ("/a/b@c?d", "/a/b@c?d"),
        ]:
            self.assertEqual(bare(uri), shown)
            self.assertEqual(without_keys(f"no {uri}!", [uri]), f"no {shown}!")

    def test_a_copy_of_a_model_is_made_anew_where_its_files_have_changed(self) -> None:
        sys.path.insert(0, str(JOB.parent))
        self.addCleanup(sys.path.remove, str(JOB.parent))
        from ray_places import on_this_node

        import saescope

        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
            os.environ["SAESCOPE_CACHE"] = f"{folder}/cache"
            file = Path(folder) / "model/config.json"
            file.parent.mkdir()
            file.write_text("{}")
            uri = f"file://{file.parent}"
            first = on_this_node(uri)
            self.assertEqual(on_this_node(uri), first)
            file.write_text('{"a": 1}')
            second = on_this_node(uri)
            self.assertEqual((Path(second) / "config.json").read_text(), '{"a": 1}')
            self.assertEqual((Path(first) / "config.json").read_text(), "{}")
            with self.assertRaisesRegex(saescope.MissingError, "nothing is there"):
                on_this_node(f"{uri}/none")


class Workers(unittest.TestCase):
    def test_a_node_needs_the_wheel_and_nothing_of_this_folder(self) -> None:
        # Ray on one machine has the driver's folder on every worker's path: a cluster of several has not
        sent = "import sys; sys.path.insert(0, sys.argv[1]); import ray.cloudpickle, saescope_ray as job; "
        sent += "sys.stdout.buffer.write(ray.cloudpickle.dumps((job.Worker, job.Tally)))"
        sent_by = [sys.executable, "-I", "-c", sent, str(JOB.parent)]
        there = subprocess.run(sent_by, capture_output=True, check=True, timeout=120).stdout
        taken = "import pickle, sys; Worker, Tally = pickle.load(sys.stdin.buffer); "
        taken += "worker = Worker({'num_cpus': 1, 'out': 's3://bucket/run?region=us-east-1'}, b'', None); "
        taken += "print(worker.store.at('whole'), Tally().begun(3, 1, 'here'))"
        done = subprocess.run([sys.executable, "-I", "-c", taken], cwd=tempfile.gettempdir(), input=there,
                              capture_output=True, check=False, timeout=120)
        self.assertEqual(done.stdout.decode().split(), ["bucket/run/whole", "1"], done.stderr.decode())


class Types(unittest.TestCase):
    def test_the_job_is_typed(self) -> None:
        checked = [str(path) for path in sorted((REPOSITORY / "cluster").glob("*.py"))]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", str(REPOSITORY / "cluster/mypy.ini"), *checked],
            cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False, timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
