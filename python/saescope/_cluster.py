"""A run in parts, for a program that deals them out to workers; ``cluster/saescope_ray.py`` is one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import _errors, _saescope
from ._analyze import ArrowTable, FilePath, Saes, _model, _option
from ._progress import Shows, listener
from ._saescope import Table


class Rejected(NamedTuple):
    """A row that is no sample."""

    #: Its file.
    file: str
    #: Its number among the file's rows, from 1.
    row: int
    #: The line that it begins on; none in Parquet.
    line: int | None
    #: Its id, where it has a readable one.
    id: str | None
    #: Everything that is wrong with it.
    reason: str


class Survey:
    """A data set, read once, and cut into parts that know of it what they have to.

    The bytes of its files are read by the caller, from wherever they are; the rules are those of :func:`analyze`.

    :param files: bytes by name; the name's ending says the format. ``None``: the built-in triples; a mapping without
        files is refused, for it stands for data that were not found.
    :param domains: the domain of a file's rows, by its name.
    :param columns, join, limit, seed, skip_invalid: as in :func:`analyze`.
    :raises Error: as :func:`analyze` does for its data.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        domains: Mapping[str, str] | None = None,
        columns: Mapping[str, str] | None = None,
        join: str | None = None,
        limit: int | None = None,
        seed: int | None = None,
        skip_invalid: bool = False,
        progress: Shows = True,
    ) -> None:
        if files is not None and not files:
            raise _errors.UsageError("files is empty", "give at least one file, or None for the built-in triples")
        words = _option("columns", None if not columns else ",".join(f"{k}={v}" for k, v in columns.items()))
        words += _option("join", join) + _option("limit", limit) + _option("seed", seed)
        words += _option("skip-invalid", skip_invalid)
        domains = domains or {}
        given = [(name, domains.get(name), content) for name, content in (files or {}).items()]
        self._survey = _saescope.Survey(words, given, listener(progress))

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self._survey.samples

    @property
    def rejected(self) -> list[Rejected]:
        """Rows that are none; there are some with ``skip_invalid`` alone."""
        return [Rejected(*row) for row in self._survey.rejected]

    @property
    def whole(self) -> bytes:
        """What :meth:`Engine.part` is told of the data set with every part."""
        return self._survey.whole

    def parts(self, of: int) -> dict[int, Table]:
        """The samples of each of ``of`` parts, by its number from 1; a part without samples is left out.

        A sample's part depends on its id alone, as with ``analyze(shard="1/8")``. Beside the fields of a sample, the
        tables have a column ``place``, its number in the data set from 0.
        """
        return dict(self._survey.parts(of))


class Part(NamedTuple):
    """A part that an engine has finished."""

    #: Samples that are measured.
    measured: int
    #: Those of them that were there before this call.
    kept: int
    #: Samples that could not be measured: id and reason.
    failed: list[tuple[str, str]]


class Engine:
    """A model, its SAEs and a device, opened once, that measures one part of a run after the other.

    The arguments are those of :func:`analyze`; those that say what and where are given with each part.
    """

    def __init__(
        self,
        *,
        model: FilePath | None = None,
        saes: Saes | None = None,
        layers: Iterable[int] | None = None,
        tokenizer: FilePath | None = None,
        join: str | None = None,
        device: str = "auto",
        precision: str = "f32",
        noise: str | None = None,
        seed: int | None = None,
        logprob: bool = False,
        nulls: int | None = None,
        batch_size: int | None = None,
        pass_size: int | None = None,
        memory_budget: str | None = None,
        quantize: str | None = None,
        allow_requantize: bool = False,
        ignore_config_fields: Iterable[str] = (),
        rehash: bool = False,
        progress: Shows = True,
    ) -> None:
        words = _model(
            model, saes, layers, tokenizer, quantize, allow_requantize, ignore_config_fields, device, precision
        )
        words += _option("join", join) + _option("noise", noise) + _option("seed", seed)
        words += _option("logprob", logprob) + _option("nulls", "off" if nulls == 0 else nulls)
        words += _option("batch-size", batch_size) + _option("pass", pass_size)
        words += _option("memory-budget", memory_budget) + _option("rehash", rehash)
        self._engine = _saescope.Engine(words, listener(progress))

    def part(
        self,
        data: ArrowTable,
        *,
        places: Iterable[int],
        whole: bytes,
        shard: str,
        out: FilePath,
        run_id: str,
        progress: Shows = True,
    ) -> Part:
        """Measures a part into a folder, which is then one for ``saescope merge``.

        What the folder already has of this part is not measured again; what is of other data, another model or other
        settings is refused. Comparisons are left to the merge. A part of which no sample can be measured has
        a spool, for the merge, and no tables.

        :param data: a table of :meth:`Survey.parts`.
        :param places: its column ``place``.
        :param whole: :attr:`Survey.whole`.
        :param shard: which part it is, ``"3/8"``.
        :param run_id: the name of the run that it is a part of.
        :raises Error: as :func:`analyze`; what was measured is kept in the folder.
        """
        told = listener(progress)
        try:
            found = self._engine.part(data, list(places), whole, shard, os.fspath(out), run_id, told)
        finally:
            told.close()
        return Part(*found)
