"""What the documents show, run as it stands."""

from __future__ import annotations

import functools
import re
import traceback
from pathlib import Path
from typing import Any

import polars as pl
from harness import REPOSITORY, Case, model, triples

import saescope

# fenced blocks of Python; README's first ones read a run that is there already
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def tiny(function: Any) -> Any:
    """``function`` on the tiny model, where the document leaves the model out: the default one is 98 MB."""

    @functools.wraps(function)
    def call(*args: Any, **asked: Any) -> Any:
        if "resume" not in asked:
            given = {"model", "saes"} & set(asked)
            small = model()
            if not given:
                asked |= small
            if "layers" in asked:
                asked["layers"] = list(small["saes"])[: len(asked["layers"])]
            if asked.get("device", "cpu") == "cpu":
                asked["device"] = "cpu"
        return function(*args, **{"progress": False, **asked})

    return call


class Documents(Case):
    def run_blocks(self, document: str, least: int) -> None:
        text = (REPOSITORY / document).read_text(encoding="utf-8")
        blocks = BLOCK.findall(text)
        self.assertGreaterEqual(len(blocks), least)
        rows = [{**row, "id": f"{row['id']}_{i}"} for i in range(3) for row in triples()]
        pl.DataFrame(rows).write_csv("triples.csv")
        pl.DataFrame(rows).write_parquet("triples.parquet")
        small = model()
        Path("llama").symlink_to(small["model"])
        for layer, path in small["saes"].items():
            Path(f"sae_l{layer}").symlink_to(path)
        saescope.analyze(rows, **small, device="cpu", out="runs/20260101_120000", progress=False)
        names: dict[str, Any] = {}
        real = saescope.analyze, saescope.features
        saescope.analyze, saescope.features = tiny(real[0]), tiny(real[1])
        try:
            for number, block in enumerate(blocks, 1):
                try:
                    exec(compile(block, f"{document}, example {number}", "exec"), names)
                except Exception:
                    self.fail(f"{document}, example {number}:\n{block}\n{traceback.format_exc()}")
        finally:
            saescope.analyze, saescope.features = real

    def test_the_examples_of_the_python_document_run(self) -> None:
        self.run_blocks("docs/PYTHON.md", 8)

    def test_the_examples_of_the_readme_run(self) -> None:
        self.run_blocks("README.md", 3)

    def test_every_argument_is_an_option_and_documented(self) -> None:
        done = self.run_command("analyze", "--help")
        options = set(re.findall(r"(?m)^ +(?:-\w, )?--([a-z][a-z-]+)", done.stdout))
        renamed = {"data": "dataset", "saes": "sae", "pass_size": "pass", "ignore_config_fields": "ignore-config-field"}
        names = set(saescope.analyze.__annotations__) - {"return", "progress"}
        asked = {renamed.get(name, name.replace("_", "-")) for name in names}
        self.assertEqual(asked - options, set())
        # what only the command has
        self.assertEqual(options - asked - {"help"}, {"dry-run", "profile"})
