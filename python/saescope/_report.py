"""A finished run as one document."""

from __future__ import annotations

import html
import os
from functools import cached_property
from pathlib import Path

from . import _errors, _saescope
from ._progress import listener
from ._run import Run


class Report:
    """What ``saescope report`` writes: one HTML document with the run in it, shown inline by a notebook."""

    #: The run that it is of.
    folder: Path
    #: Pixels that a notebook gives it.
    height: int

    def __init__(self, folder: Path, height: int) -> None:
        self.folder = folder
        self.height = height

    @cached_property
    def html(self) -> str:
        """The document. It opens in any browser and asks nothing of any network."""
        return _saescope.report(self.folder, listener(False))

    def save(self, path: str | os.PathLike[str] | None = None, *, force: bool = False) -> Path:
        """Writes the document, ``report.html`` in the run's folder unless told otherwise, and gives its path."""
        out = self.folder / "report.html" if path is None else Path(path)
        _saescope.save_report(self.html, out, force)
        return out

    def _repr_html_(self) -> str:
        # a document of its own: without an origin it can touch neither the notebook nor what that holds
        return (
            '<iframe sandbox="allow-scripts allow-downloads allow-modals" title="report of a run" loading="lazy" '
            f'style="width: 100%; height: {self.height}px; border: 1px solid #8888" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"saescope.report({os.fspath(self.folder)!r})"


def report(run: Run | str | os.PathLike[str], *, height: int = 800) -> Report:
    """The report of a finished run: a notebook shows it below its cell, ``.save()`` writes it, ``.html`` is it.

    :param run: a run, or its folder.
    :param height: pixels that a notebook gives it.
    :raises Error: where the folder is no whole finished run, or the run is too large for a document.
    """
    if height < 1:
        raise _errors.UsageError(f"height is {height}", "give a number of pixels")
    made = Report(run.folder if isinstance(run, Run) else Path(run), int(height))
    # what is wrong with a run is said here, not where a notebook draws
    made.html  # noqa: B018
    return made
