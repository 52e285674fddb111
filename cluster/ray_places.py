"""Where a Ray job's data, models and results lie: here, or in a store that pyarrow or fsspec has a file system for."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

import saescope

TEXT = pa.string()
ERRORS = pa.schema([("kind", TEXT), ("sample_id", TEXT), ("file", TEXT), ("row", pa.int64()), ("reason", TEXT)])
HERE = pafs.LocalFileSystem()


def folder_of(shard: int) -> str:
    """What a part's folder is called: a partition of Hive's kind."""
    return f"shard={shard:05}"


def bare(uri: str) -> str:
    """A URI without user, password and query: these may be keys, and are neither shown nor written."""
    scheme, divided, rest = uri.partition("://")
    if not divided:
        return uri
    rest = rest.split("?", 1)[0].split("#", 1)[0]
    before, _, after = rest.rpartition("@")
    # a password that was not escaped may have a slash
    if ":" in before:
        rest = after
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def without_keys(text: str, uris: list[str]) -> str:
    """A message that may repeat these URIs."""
    for uri in uris:
        text = text.replace(uri, bare(uri))
    return text


def uris_of(job: dict[str, Any]) -> list[str]:
    """Places that a job names."""
    engine = job["engine"]
    named = [job["out"], engine["model"], engine["tokenizer"], *engine["saes"].values()]
    return [uri for uri in named if uri and "://" in uri]


def resolved(uri: str) -> tuple[pafs.FileSystem, str]:
    """File system and path: of pyarrow's own (s3, gs, abfs, hdfs, file), else of fsspec, else a plain path."""
    if "://" not in uri:
        return HERE, os.path.abspath(uri)
    try:
        found, path = pafs.FileSystem.from_uri(uri)
        return found, path
    except pa.ArrowInvalid:
        import fsspec

        found, path = fsspec.core.url_to_fs(uri)
        return pafs.PyFileSystem(pafs.FSSpecHandler(found)), path


class Store:
    """A folder, here or elsewhere."""

    def __init__(self, uri: str) -> None:
        self.fs, root = resolved(uri)
        self.root = root.rstrip("/")
        #: Where every node finds it, if its files are files.
        self.local = Path(self.root) if isinstance(self.fs, pafs.LocalFileSystem) else None

    def at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of a file that is there."""
        found = self.fs.get_file_info(self.at(name))
        return found.size if found.type == pafs.FileType.File else None

    def names(self, folder: str, file: str) -> list[str]:
        """Folders below ``folder`` that have ``file``."""
        selected = pafs.FileSelector(self.at(folder), recursive=True, allow_not_found=True)
        return sorted(f.path.split("/")[-2] for f in self.fs.get_file_info(selected) if f.path.endswith("/" + file))

    def read(self, name: str) -> bytes:
        with self.fs.open_input_stream(self.at(name)) as stream:
            content: bytes = stream.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """A file, whole or not at all: an object is so by itself."""
        if self.local is not None:
            target = self.local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = target.with_name(f".{target.name}.{os.getpid()}")
            aside.write_bytes(content)
            aside.replace(target)
            return
        self.fs.create_dir(self.at(name).rsplit("/", 1)[0], recursive=True)
        with self.fs.open_output_stream(self.at(name)) as stream:
            stream.write(content)

    def take(self, path: Path, name: str, keep: bool = False) -> None:
        """A file of this node: moved where the store is local, else copied, without holding it in memory."""
        if self.local is not None:
            (self.local / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(self.local / name)
            return
        self.fs.create_dir(self.at(name).rsplit("/", 1)[0], recursive=True)
        pafs.copy_files(str(path), self.at(name), source_filesystem=HERE, destination_filesystem=self.fs)
        if not keep:
            path.unlink()

    def give(self, name: str, path: Path) -> None:
        """The other way, as a copy."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        pafs.copy_files(self.at(name), str(aside), source_filesystem=self.fs, destination_filesystem=HERE)
        aside.replace(path)

    def forget(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.size(name) is not None:
                self.fs.delete_file(self.at(name))

    def errors(self, shard: int, rows: list[dict[str, Any]]) -> None:
        """What went wrong in a part; nothing takes away what stood there before."""
        name = f"errors/{folder_of(shard)}/errors.parquet"
        if not rows:
            self.forget(name)
            return
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=ERRORS), sink)
        self.write(name, sink.getvalue().to_pybytes())


def on_this_node(uri: str) -> str:
    """A path for a model or an SAE that may lie elsewhere: copied once per node, whoever of its workers is first, and
    again where its files have changed."""
    if "://" not in uri:
        return uri
    fs, path = resolved(uri)
    there = fs.get_file_info(path)
    if there.type == pafs.FileType.NotFound:
        raise saescope.MissingError(f"{bare(uri)}: nothing is there", "check the address, and who may read it")
    folder = there.type == pafs.FileType.Directory
    files = fs.get_file_info(pafs.FileSelector(path, recursive=True)) if folder else [there]
    stand = sorted((f.path, f.size, f.mtime_ns) for f in files if f.type == pafs.FileType.File)
    key = json.dumps([uri, stand])
    cache = Path(os.environ.get("SAESCOPE_CACHE") or Path.home() / ".cache" / "saescope") / "ray"
    name = path.rstrip("/").rsplit("/", 1)[-1]
    target = cache / hashlib.sha256(key.encode()).hexdigest()[:16] / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            aside = target.parent / ".coming"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            if folder:
                (aside / name).mkdir()
            pafs.copy_files(path, str(aside / name), source_filesystem=fs, destination_filesystem=HERE)
            (aside / name).replace(target)
    return str(target)
