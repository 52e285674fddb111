"""Runs and activations, asked for in the command line's own words."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Union, runtime_checkable

from . import _errors, _saescope
from ._progress import Shows, listener
from ._run import Run
from ._saescope import Table


@runtime_checkable
class ArrowTable(Protocol):
    """A table of polars, pandas, pyarrow, DuckDB or anything else that speaks the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


FilePath = Union[str, "os.PathLike[str]"]
#: A file, several of them, rows as dicts, or a table.
Data = Union[FilePath, Sequence[FilePath], Iterable[Mapping[str, Any]], ArrowTable]
#: The path of each SAE by the layer that it reads.
Saes = Mapping[int, FilePath]


def _option(name: str, value: object) -> list[str]:
    """``--name=value``, nothing for ``None`` and ``False``."""
    if value is None or value is False:
        return []
    return [f"--{name}"] if value is True else [f"--{name}={value}"]


def _model(
    model: FilePath | None,
    saes: Saes | None,
    layers: Iterable[int] | None,
    tokenizer: FilePath | None,
    quantize: str | None,
    allow_requantize: bool,
    ignore_config_fields: Iterable[str],
    device: str,
    precision: str,
) -> list[str]:
    """The words for a model, its SAEs and a device."""
    words = _option("model", None if model is None else os.fspath(model))
    if isinstance(ignore_config_fields, str):
        ignore_config_fields = [ignore_config_fields]
    for layer, path in (saes or {}).items():
        words += _option("sae", f"{int(layer)}={os.fspath(path)}")
    if layers is not None:
        wanted = ",".join(str(int(layer)) for layer in layers)
        if not wanted:
            raise _errors.UsageError("layers is empty", "name at least one layer, or leave it out for all")
        words += _option("layers", wanted)
    words += _option("tokenizer", None if tokenizer is None else os.fspath(tokenizer))
    for field in ignore_config_fields:
        words += _option("ignore-config-field", field)
    words += _option("quantize", quantize) + _option("allow-requantize", allow_requantize)
    return words + _option("device", device) + _option("precision", precision)


def _plain(value: Any) -> Any:
    """A value of a row as JSON has it: numpy's scalars are Python's, a gap of pandas' is null."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        return _plain(value.item())
    return value


def _rows(rows: Iterable[Any]) -> bytes:
    """Rows as a JSON array, one on a line, so that a line in a message is a row."""
    lines = []
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise _errors.UsageError(
                f"row {i + 1} is {type(row).__name__}, not a dict",
                'give [{"prompt": "…", "fact": "…", "hallucination": "…"}, …], a path, or a table',
            )
        try:
            lines.append(json.dumps({str(k): _plain(v) for k, v in row.items()}, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise _errors.UsageError(f"row {i + 1}: {error}", "a row's values are texts and integers") from error
    # surrogates cannot be written: the row is named like any other that is no text
    return ("[" + ",\n".join(lines) + "]").encode("utf-8", "backslashreplace")


def _data(data: Data | None) -> tuple[list[str], Any]:
    """Words for files, or rows in memory."""
    if data is None:
        return [], None
    if isinstance(data, (str, os.PathLike)):
        return _option("dataset", os.fspath(data)), None
    if isinstance(data, ArrowTable):
        return [], data
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise _errors.UsageError(
            f"data is {type(data).__name__}",
            "give a path, a list of dicts, or a table (polars, pandas, pyarrow, DuckDB)",
        )
    items = list(data)
    if items and all(isinstance(item, (str, os.PathLike)) for item in items):
        return [word for item in items for word in _option("dataset", os.fspath(item))], None  # type: ignore[arg-type]
    return [], _rows(items)


def analyze(
    data: Data | None = None,
    *,
    model: FilePath | None = None,
    saes: Saes | None = None,
    layers: Iterable[int] | None = None,
    tokenizer: FilePath | None = None,
    columns: Mapping[str, str] | None = None,
    join: str | None = None,
    limit: int | None = None,
    skip_invalid: bool = False,
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
    shard: str | None = None,
    no_stats: bool = False,
    rehash: bool = False,
    out: FilePath | None = None,
    force: bool = False,
    run_id: str | None = None,
    resume: FilePath | None = None,
    progress: Shows = True,
) -> Run:
    """Runs a model and its SAEs over triples and measures their active features.

    It is ``saescope analyze``: the same inputs give the same files, byte for byte on the CPU, and the arguments
    are that command's options (``saescope analyze --help``), with underscores.

    :param data: a path (JSON, JSONL, CSV, Parquet; ``DOMAIN=FILE`` sets the domain) or several, a list of dicts,
        or a table with ``__arrow_c_stream__`` (polars, pandas, pyarrow, DuckDB) that has the columns ``prompt``,
        ``fact``, ``hallucination`` and optionally ``id``, ``domain``, ``complexity``. Without it: the built-in 200
        triples.
    :param model: a known name, a Hugging Face folder, or a ``.gguf`` file. Without it: the default model.
    :param saes: paths by layer. A known model brings its own.
    :param layers: only these of the SAEs.
    :param columns: what the fields are called in the data: ``{"fact": "correct"}``.
    :param join: what stands between prompt and completion; one space unless told otherwise.
    :param nulls: draws of each null of the geometry, 200 unless told otherwise; 0 for none.
    :param pass_size: samples per pass through the model (``--pass``).
    :param no_stats: with ``shard``: without comparisons, which ``saescope merge`` makes of the whole run.
    :param out: folder for the run; without it ``runs/YYYYMMDD_HHMMSS`` in the current folder.
    :param resume: the folder of a broken run to go on with, as it was asked for. Rows that were in memory are given
        again, as ``data``.
    :param progress: ``True`` shows a bar in a terminal and in a notebook, plain lines elsewhere; ``False`` says
        nothing; a function is called with each :class:`Progress`.
    :raises Error: with ``message`` and ``hint``.
    :raises KeyboardInterrupt: after the block that is being computed. What was measured is kept, to be resumed; a
        run of which nothing was measured leaves nothing behind.
    """
    words, rows = _data(data)
    words += _model(
        model, saes, layers, tokenizer, quantize, allow_requantize, ignore_config_fields, device, precision
    )
    words += _option("columns", None if not columns else ",".join(f"{k}={v}" for k, v in columns.items()))
    words += _option("join", join) + _option("limit", limit) + _option("skip-invalid", skip_invalid)
    words += _option("noise", noise) + _option("seed", seed) + _option("logprob", logprob)
    words += _option("nulls", "off" if nulls == 0 else nulls)
    words += _option("batch-size", batch_size) + _option("pass", pass_size)
    words += _option("memory-budget", memory_budget) + _option("shard", shard) + _option("rehash", rehash)
    words += _option("no-stats", no_stats)
    words += _option("out", None if out is None else os.fspath(out)) + _option("force", force)
    words += _option("run-id", run_id)
    if resume is not None and words == _option("device", "auto") + _option("precision", "f32"):
        words = []
    told = listener(progress)
    try:
        folder = _saescope.analyze(words, None if resume is None else os.fspath(resume), rows, told)
    finally:
        told.close()
    return Run(Path(folder))


def features(
    texts: Iterable[str],
    *,
    model: FilePath | None = None,
    saes: Saes | None = None,
    layers: Iterable[int] | None = None,
    every_token: bool = False,
    tokenizer: FilePath | None = None,
    device: str = "auto",
    precision: str = "f32",
    quantize: str | None = None,
    allow_requantize: bool = False,
    ignore_config_fields: Iterable[str] = (),
    progress: Shows = True,
) -> Table:
    """Active SAE features of texts, without measures.

    One row per active feature, sorted by the first three columns and ``feature``: ``text`` (its number in
    ``texts``), ``layer``, ``position`` (of the token, from 0, the BOS counted where there is one), ``token_id``,
    ``token``, ``feature`` (its number in the dictionary), ``activation``. What has no row is zero.

    :param texts: the texts.
    :param every_token: read every token of a text, the BOS too; else its last token alone, as ``analyze`` does.

    The other arguments are those of :func:`analyze`.
    """
    if isinstance(texts, str):
        raise _errors.UsageError("texts is one string", 'give a list of texts: ["…"]')
    words = _model(
        model, saes, layers, tokenizer, quantize, allow_requantize, ignore_config_fields, device, precision
    )
    told = listener(progress)
    try:
        return _saescope.features(words, list(texts), every_token, told)
    finally:
        told.close()
