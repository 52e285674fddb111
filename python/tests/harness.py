"""What the tests have in common: a tiny model with reference numbers, its triples, and the command."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "tests/golden/models"
TABLES = ["metrics.parquet", "features.parquet", "stats.parquet", "stats_features.parquet"]
# the clean environment's own command, and the native program where there is one
SCRIPT = Path(sys.executable).with_name("saescope.exe" if os.name == "nt" else "saescope")
PROGRAM = Path(os.environ.get("SAESCOPE_PROGRAM") or SCRIPT)


def model(case: str = "llama") -> dict[str, Any]:
    """``model`` and ``saes`` of a tiny checkpoint, as arguments of ``saescope.analyze``."""
    expected = json.loads((MODELS / case / "expected.json").read_text())
    saes = {int(layer): str(MODELS / case / path) for layer, path in expected["saes"].items()}
    return {"model": str(MODELS / case / "model"), "saes": saes}


def triples(case: str = "llama") -> list[dict[str, Any]]:
    """The triples that its reference numbers are of."""
    return json.loads((MODELS / case / "texts.json").read_text())  # type: ignore[no-any-return]


def words(case: str = "llama") -> list[str]:
    """The same model for the command line."""
    asked = model(case)
    saes = [word for layer, path in asked["saes"].items() for word in ("--sae", f"{layer}={path}")]
    return ["--model", asked["model"], *saes, "--device", "cpu"]


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of a run's tables."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}


class Case(unittest.TestCase):
    """A test in a folder of its own, with a cache of its own and no network."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        own = {"SAESCOPE_CACHE": str(self.folder / "cache"), "PIP_NO_INDEX": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
        saved = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        self.addCleanup(self._restore, saved)

    @staticmethod
    def _restore(saved: dict[str, str | None]) -> None:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def run_command(self, *args: str, program: Path = PROGRAM) -> subprocess.CompletedProcess[str]:
        """Runs the command line here."""
        return subprocess.run([program, *args], capture_output=True, text=True, timeout=300, check=False)

    def run_by_command(self, data: str, *args: str, out: str = "by_command") -> dict[str, str]:
        """What ``saescope analyze`` makes of a file; its run is called ``r``."""
        done = self.run_command("analyze", *words(), "--dataset", data, "--out", out, "--run-id", "r", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return hashes(self.folder / out)

    def write(self, name: str, rows: list[dict[str, Any]]) -> str:
        """Rows as a JSON file."""
        (self.folder / name).write_text(json.dumps(rows), encoding="utf-8")
        return name
