"""The command line in the wheel is the native one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import PROGRAM, SCRIPT, Case, triples, words

import saescope


class Command(Case):
    def test_it_prints_and_exits_like_the_native_program(self) -> None:
        self.write("t.json", triples())
        for args in [
            ["--version"],
            ["--help"],
            ["analyze", "--help"],
            [],
            ["no-such-command"],
            ["analyze", "--device", "tpu"],
            ["models"],
            ["inspect", *words()[:-2], "--device", "cpu", "The white whale"],
            ["inspect", "--model", "nowhere", "x"],
            ["verify", *words(), "--dataset", "t.json"],
        ]:
            with self.subTest(args[:2]):
                script = self.run_command(*args, program=SCRIPT)
                native = self.run_command(*args, program=PROGRAM)
                self.assertEqual(script.returncode, native.returncode, script.stderr)
                self.assertEqual(script.stdout, native.stdout)

    def test_data_is_on_stdout_alone_and_the_status_says_how_it_went(self) -> None:
        rows = triples()
        rows[0] = {**rows[0], "fact": "word " * 12000}
        self.write("t.json", rows)
        done = self.run_command("analyze", *words(), "--dataset", "t.json", "--out", "out", program=SCRIPT)
        self.assertEqual((done.returncode, done.stdout), (1, "out\n"), "a sample failed")
        self.assertTrue(Path("out/manifest.json").exists())
        missing = self.run_command("analyze", *words(), "--dataset", "none.json", program=SCRIPT)
        self.assertEqual((missing.returncode, missing.stdout), (1, ""))
        self.assertIn("hint:", missing.stderr)

    def test_a_reader_that_has_seen_enough_is_no_failure(self) -> None:
        child = subprocess.Popen([SCRIPT, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        self.assertEqual((child.wait(60), child.stderr.read()), (0, b""))
        child.stderr.close()

    def test_the_module_is_the_command_too(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "saescope", "--version"], capture_output=True, text=True, check=False, timeout=60
        )
        self.assertEqual((done.returncode, done.stdout), (0, f"saescope {saescope.__version__}\n"))
