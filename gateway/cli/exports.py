"""A version of a dataset as a folder: its tables and manifest.json, there whole or not at all.

Importing the tables again with that manifest gives the same content hash: floats keep every
bit, missing values are null, and only `index`, which is the row's number, is left out.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway.cli import progress
from gateway.cli.api import Api
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

Form = Literal["parquet", "csv", "arrow"]
FORMS: Final[tuple[Form, ...]] = ("parquet", "csv", "arrow")
MANIFEST: Final = "manifest.json"
_TABLES: Final = {"ohlcv": "ohlcv_rows", "indicators": "indicator_rows"}
_OURS: Final = {MANIFEST, *(f"{table}.{form}" for table in _TABLES for form in FORMS)}
_GROUP_BYTES: Final = 16 << 20
_NUMBER_OF_ROW: Final = "index"

Tell = Callable[[int], None]


def export(
    api: Api, name: str, folder: Path, *, form: Form, version: int | None, replace: bool
) -> dict[str, Any]:
    """What was written where. Raises Failure when the folder is taken."""
    folder = folder.resolve()
    _refuse_taken(folder, replace=replace)
    manifest = api.get(f"/api/datasets/{name}/manifest", {"version": version})
    there = {table: manifest[rows] for table, rows in _TABLES.items() if manifest[rows]}
    with _aside(folder) as work, progress.bar() as bar:
        task = bar.add_task("Writing", total=sum(there.values()))
        for table in there:
            _write(api, manifest, table, work / f"{table}.{form}", lambda n: bar.advance(task, n))
        (work / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    files = [*(f"{table}.{form}" for table in there), MANIFEST]
    return {"folder": str(folder), "files": files, "manifest": manifest}


def _refuse_taken(folder: Path, *, replace: bool) -> None:
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise Failure(f"{folder} exists and is no folder.", ExitCode.CONFLICT)
    found = {path.name for path in folder.iterdir()}
    if strange := sorted(found - _OURS):
        sentence = f"{folder} holds {strange[0]!r}, which no export wrote: name another folder."
        raise Failure(sentence, ExitCode.CONFLICT)
    if found and not replace:
        raise Failure(f"{folder} exists already; --force replaces it.", ExitCode.CONFLICT)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder beside it that takes its place at the end."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
        work.mkdir()
    except OSError as error:
        raise _not_written(folder, error) from error
    try:
        yield work
        _sync(work)
        _put(work, folder)
    except OSError as error:
        raise _not_written(folder, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _not_written(folder: Path, error: OSError) -> Failure:
    return Failure(f"{folder} cannot be written: {error.strerror or error}.", ExitCode.REFUSED)


def _sync(work: Path) -> None:
    for path in [*work.iterdir(), work]:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _put(work: Path, folder: Path) -> None:
    if not folder.exists():
        work.rename(folder)
        return
    old = work.with_suffix(".old")
    folder.rename(old)
    try:
        work.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def _write(api: Api, manifest: Any, table: str, path: Path, tell: Tell) -> None:
    asked = {"format": "arrow", "version": manifest["version"]}
    with api.streamed(f"/api/datasets/{manifest['dataset_id']}/{table}", asked) as response:
        try:
            rows = _copy(response.iter_bytes(), path, tell)
        except pa.ArrowInvalid as error:
            raise Failure(
                f"The rows of {table} came broken: {error}.", ExitCode.INTERNAL
            ) from error
    if rows != manifest[_TABLES[table]]:
        sentence = f"{rows} rows of {table} came, and the manifest says {manifest[_TABLES[table]]}."
        raise Failure(sentence, ExitCode.INTERNAL)


def _copy(pieces: Iterator[bytes], path: Path, tell: Tell) -> int:
    """How many rows were written."""
    rows = 0
    reader = pa.ipc.open_stream(io.BufferedReader(_Answer(pieces)))
    with _WRITERS[path.suffix[1:]](path, _shown(reader.schema.empty_table()).schema) as write:
        for batch in reader:
            write(_shown(pa.Table.from_batches([batch])))
            rows += batch.num_rows
            tell(batch.num_rows)
    return rows


def _shown(table: pa.Table) -> pa.Table:
    """Without the number of the row, and null where there is no number."""
    table = table.drop_columns([_NUMBER_OF_ROW])
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(place)
            nulled = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            table = table.set_column(place, pa.field(field.name, field.type), nulled)
    return table


Write = Callable[[pa.Table], None]


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("wb") as file:
        pl.DataFrame(schema.empty_table()).write_csv(file)
        yield lambda table: pl.DataFrame(table).write_csv(file, include_header=False)


@contextmanager
def _arrow(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        yield writer.write_table


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """Row groups of several batches: each costs a reader a seek for every column."""
    group: list[pa.Table] = []
    with pq.ParquetWriter(str(path), schema) as writer:

        def flush() -> None:
            if group:
                writer.write_table(pa.concat_tables(group))
                group.clear()

        def write(table: pa.Table) -> None:
            group.append(table)
            if sum(one.nbytes for one in group) >= _GROUP_BYTES:
                flush()

        yield write
        flush()


_WRITERS: Final = {"csv": _csv, "arrow": _arrow, "parquet": _parquet}


class _Answer(io.RawIOBase):
    """The bytes of an answer, as Arrow reads them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
