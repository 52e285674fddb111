"""The compiled part of the package."""

import os
from typing import Any, final

from ._progress import Listener

__all__ = [
    "Engine", "Survey", "Table", "VERSION", "analyze", "features", "main", "read_table", "report", "save_report",
]

VERSION: str

@final
class Table:
    """An Arrow table, through the PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __arrow_c_schema__(self) -> Any: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def __len__(self) -> int: ...

@final
class Survey:
    """A data set, read once."""

    def __new__(cls, words: list[str], files: list[tuple[str, str | None, bytes]], listener: Listener) -> Survey: ...
    @property
    def samples(self) -> int: ...
    @property
    def rejected(self) -> list[tuple[str, int, int | None, str | None, str]]: ...
    @property
    def whole(self) -> bytes: ...
    def parts(self, of: int) -> list[tuple[int, Table]]: ...

@final
class Engine:
    """Model, SAEs and device, opened once."""

    def __new__(cls, words: list[str], listener: Listener) -> Engine: ...
    def part(
        self,
        data: Any,
        places: list[int],
        whole: bytes,
        shard: str,
        out: str | os.PathLike[str],
        run_id: str,
        listener: Listener,
    ) -> tuple[int, int, list[tuple[str, str]]]: ...

def analyze(words: list[str], resume: str | os.PathLike[str] | None, data: Any, listener: Listener) -> os.PathLike[str]: ...
def features(words: list[str], texts: list[str], every_token: bool, listener: Listener) -> Table: ...
def read_table(path: str | os.PathLike[str]) -> Table: ...
def report(run: str | os.PathLike[str], listener: Listener) -> str: ...
def save_report(html: str, path: str | os.PathLike[str], force: bool) -> None: ...
def main(words: list[str]) -> int: ...
