"""Ctrl-C: KeyboardInterrupt, and a run that goes on to the bytes of an unbroken one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from harness import SCRIPT, Case, hashes, model, words

import saescope

# says how far it is; the parent interrupts it once a pass is kept
CHILD = """
import json, sys, saescope
asked = json.load(open("asked.json"))
asked["saes"] = {int(k): v for k, v in asked["saes"].items()}
data = json.load(open("t.json")) if sys.argv[1] == "memory" else "t.json"
try:
    saescope.analyze(data, **asked, device="cpu", out="out", run_id="r", pass_size=20,
                     progress=lambda p: print(p.done, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(7)
"""


def many(n: int) -> list[dict[str, str]]:
    """Enough samples for a run of some seconds."""
    return [
        {
            "id": f"{i}",
            "prompt": f"The white whale {i} was called, in the book that was written by the man who",
            "fact": f"went to sea {i} times and came back",
            "hallucination": f"never saw {i} ships in his life",
        }
        for i in range(n)
    ]


@unittest.skipIf(os.name == "nt", "Ctrl-C is sent otherwise on Windows")
class Interrupt(Case):
    rows = 1500

    def interrupted(self, kind: str) -> subprocess.CompletedProcess[str]:
        """A run that is interrupted once some of its samples are kept."""
        self.write("t.json", many(self.rows))  # type: ignore[arg-type]
        Path("asked.json").write_text(json.dumps(model()))
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stderr is not None
        for line in child.stdout:
            # the second pass goes on, so the first is kept
            if float(line) > 20:
                child.send_signal(signal.SIGINT)
                break
        rest, errors = child.communicate(timeout=60)
        return subprocess.CompletedProcess(child.args, child.returncode, rest, errors)

    def test_a_run_that_is_interrupted_is_resumed_to_the_same_bytes(self) -> None:
        for kind in ["file", "memory"]:
            with self.subTest(kind):
                done = self.interrupted(kind)
                self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (7, "interrupted"), done.stderr)
                self.assertNotIn("panicked", done.stderr)
                self.assertIn(f"of {self.rows} samples are kept; go on with: saescope.analyze(", done.stderr)
                self.assertEqual([file.name for file in Path("out").iterdir()], ["unfinished.spool"])
                rows = many(self.rows) if kind == "memory" else None
                if kind == "memory":
                    with self.assertRaisesRegex(saescope.UsageError, "in a program's memory"):
                        saescope.analyze(resume="out", progress=False)
                    by_command = self.run_command("analyze", "--resume", "out")
                    self.assertEqual(by_command.returncode, 2)
                    self.assertIn("hint: give them again", by_command.stderr)
                else:
                    with self.assertRaisesRegex(saescope.UsageError, "settings beside a run to resume"):
                        saescope.analyze("t.json", resume="out", progress=False)
                run = saescope.analyze(rows, resume="out", progress=False)
                self.assertGreater(run.manifest["timings"]["parts"], 1)
                expected = self.run_by_command("t.json", out=f"unbroken_{kind}")
                self.assertEqual(hashes(run.folder), expected)
                for file in Path("out").iterdir():
                    file.unlink()
                Path("out").rmdir()

    def test_rows_that_changed_meanwhile_are_refused(self) -> None:
        self.interrupted("memory")
        changed = many(self.rows)
        changed[3]["fact"] = "something else"
        with self.assertRaisesRegex(saescope.MismatchError, "data set"):
            saescope.analyze(changed, resume="out", progress=False)

    def test_a_run_of_which_nothing_is_kept_leaves_nothing(self) -> None:
        code = """
import os, signal, sys, saescope, json
asked = json.load(open("asked.json"))
asked["saes"] = {int(k): v for k, v in asked["saes"].items()}
sent = []
def once(progress):
    if not sent:
        sent.append(progress)
        os.kill(os.getpid(), signal.SIGINT)
try:
    saescope.analyze(json.load(open("t.json")), **asked, device="cpu", out="deep/out", progress=once)
except KeyboardInterrupt:
    # Python itself is as it was
    saescope.analyze(json.load(open("t.json"))[:2], **asked, device="cpu", out="other", progress=False)
    sys.exit(7)
"""
        self.write("t.json", many(5))  # type: ignore[arg-type]
        Path("asked.json").write_text(json.dumps(model()))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertFalse(Path("deep").exists())
        self.assertTrue(Path("other/manifest.json").exists())

    def test_the_command_in_the_wheel_ends_at_once_and_says_how_to_go_on(self) -> None:
        self.write("t.json", many(self.rows))  # type: ignore[arg-type]
        args = ["analyze", *words(), "--dataset", "t.json", "--out", "out", "--pass", "20"]
        child = subprocess.Popen([SCRIPT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        spool = Path("out/unfinished.spool")
        while child.poll() is None and (not spool.exists() or spool.stat().st_size < 200_000):
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=60)
        self.assertEqual((child.returncode, stdout), (130, ""), stderr)
        self.assertIn("go on with: saescope analyze --resume out", stderr)
        resumed = self.run_command("analyze", "--resume", "out", program=SCRIPT)
        self.assertEqual((resumed.returncode, resumed.stdout.strip()), (0, "out"), resumed.stderr)
