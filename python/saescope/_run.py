"""A finished run."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from . import _errors, _saescope
from ._saescope import Table


class Run:
    """A finished run: a folder with five files.

    The tables are read from the folder when they are first asked for. They give Arrow through the PyCapsule
    interface: ``polars.DataFrame(run.metrics)``, ``pyarrow.table(run.metrics)``,
    ``pandas.DataFrame.from_arrow(run.metrics)``; ``duckdb.sql`` takes them by the name of a variable.
    """

    folder: Path

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @cached_property
    def metrics(self) -> Table:
        """One row per sample."""
        return _saescope.read_table(self.folder / "metrics.parquet")

    @cached_property
    def features(self) -> Table:
        """One row per active feature of a text at a layer."""
        return _saescope.read_table(self.folder / "features.parquet")

    @cached_property
    def stats(self) -> Table:
        """One row per metric and domain: effect size, interval, permutation test, length control."""
        return _saescope.read_table(self.folder / "stats.parquet")

    @cached_property
    def stats_features(self) -> Table:
        """One row per feature (and domain): where it is active, its tests, what is left at equal length."""
        return _saescope.read_table(self.folder / "stats_features.parquet")

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """How it was made: hashes of every file, settings, device, timings, warnings, failed samples."""
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return found

    @property
    def run_id(self) -> str:
        """Its name, in every row of ``metrics``."""
        return str(self.manifest["run_id"])

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results has to know."""
        return [str(warning) for warning in self.manifest["warnings"]]

    @property
    def failed(self) -> list[dict[str, str]]:
        """Samples that could not be measured: ``sample_id`` and ``reason``."""
        return [dict(sample) for sample in self.manifest["failed_samples"]]

    def __repr__(self) -> str:
        return f"saescope.load({os.fspath(self.folder)!r})"


def load(folder: str | os.PathLike[str]) -> Run:
    """Opens a finished run by its folder, whoever made it."""
    if not (Path(folder) / "manifest.json").is_file():
        raise _errors.MissingError(
            f"{os.fspath(folder)}: a finished run not found",
            "a run's folder has a manifest.json; a broken run goes on with saescope.analyze(resume=RUN)",
        )
    return Run(folder)
