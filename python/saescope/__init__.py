"""Spectrum and geometry of sparse-autoencoder features, measured with their controls.

``analyze`` runs a model and its sparse autoencoders over triples (prompt, fact, hallucination) and gives the
run that ``saescope analyze`` gives; ``features`` gives activations alone; ``load`` opens a finished run, and
``report`` makes a document of it. ``Survey`` and ``Engine`` are for a run in parts, on several machines.
"""

from ._analyze import analyze, features
from ._cluster import Engine, Part, Rejected, Survey
from ._errors import (
    DeviceError,
    Error,
    IoError,
    MalformedError,
    MismatchError,
    MissingError,
    OutOfMemoryError,
    UnsupportedError,
    UsageError,
)
from ._progress import Progress
from ._report import Report, report
from ._run import Run, load
from ._saescope import VERSION as __version__
from ._saescope import Table

__all__ = [
    "DeviceError",
    "Engine",
    "Error",
    "IoError",
    "MalformedError",
    "MismatchError",
    "MissingError",
    "OutOfMemoryError",
    "Part",
    "Progress",
    "Rejected",
    "Report",
    "Run",
    "Survey",
    "Table",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "analyze",
    "features",
    "load",
    "report",
]
