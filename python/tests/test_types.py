"""The package's types are right, complete, and those of what is installed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from harness import REPOSITORY, Case

import saescope

USER = """
from pathlib import Path
import polars as pl
import saescope

run: saescope.Run = saescope.analyze(pl.DataFrame({"prompt": ["a"]}), layers=range(3), out=Path("x"))
run = saescope.analyze([{"prompt": "a", "fact": "b", "hallucination": "c"}], saes={1: "a", 2: Path("b")})
run = saescope.analyze("a.csv", progress=lambda p: print(p.eta))
table: saescope.Table = run.metrics
shown: saescope.Report = saescope.report(run, height=400)
written: Path = saescope.report("runs/a").save(force=True)
survey = saescope.Survey({"a.csv": b""}, skip_invalid=True)
why: list[str] = [row.reason for row in survey.rejected]
part = saescope.Engine(saes={1: "a"}).part(survey.parts(2)[1], places=[0], whole=survey.whole, shard="1/2", out="p", run_id="r")
counts: int = part.measured + len(part.failed)
names: list[str] = table.column_names
table = saescope.features(["a"], every_token=True)
try:
    saescope.load("x")
except saescope.MissingError as error:
    hint: str | None = error.hint
"""

WRONG = """
import saescope

saescope.analyze("a.csv", layers="all", seed="7")
saescope.analyze("a.csv", no_such=1)
saescope.load("x").metrics.rows
"""


#: What is a run's, and not an engine's.
OF_A_RUN = {"data", "columns", "limit", "skip_invalid", "shard", "no_stats", "out", "force", "run_id", "resume"}


class Types(Case):
    def test_an_engine_takes_the_options_of_a_run(self) -> None:
        # written out twice: editors and notebooks complete what a signature has, and a mapping has no defaults
        run, engine, features = (
            inspect.signature(of).parameters for of in (saescope.analyze, saescope.Engine, saescope.features)
        )
        self.assertEqual({name: run[name] for name in run if name not in OF_A_RUN}, dict(engine))
        own = {"texts", "every_token"}
        self.assertEqual({name: features[name] for name in features if name not in own}.items() - engine.items(), set())

    def mypy(self, *args: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "mypy", "--config-file", str(REPOSITORY / "python/pyproject.toml"), *args]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)

    def test_the_package_is_typed_strictly_and_users_see_it(self) -> None:
        self.assertTrue((Path(saescope.__file__).parent / "py.typed").exists())
        done = self.mypy("-p", "saescope")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        Path("user.py").write_text(USER)
        Path("wrong.py").write_text(WRONG)
        said = self.mypy("user.py", "wrong.py").stdout
        self.assertNotIn("user.py:", said)
        for line in [4, 5, 6]:
            self.assertIn(f"wrong.py:{line}: error", said)

    def test_the_stub_is_that_of_the_compiled_module(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mypy.stubtest", "saescope._saescope", "--mypy-config-file",
             str(REPOSITORY / "python/pyproject.toml")],
            capture_output=True, text=True, check=False, timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
