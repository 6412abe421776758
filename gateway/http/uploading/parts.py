"""The files of a form; they lie on disk and move in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeVar

from fastapi import Request, UploadFile
from pydantic import BaseModel, TypeAdapter, ValidationError
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1.dataset_service_pb2 import PartBytes
from starlette.concurrency import iterate_in_threadpool

from gateway.http.problems import rule
from gateway.http.shapes.words import number
from services.shared.errors import InvalidRequest, Violation

TABLES: Final = ("ohlcv", "indicators")
_PIECE_BYTES: Final = 1 << 20
_AUTO: Final = "auto"
_TEXTS: Final = TypeAdapter(dict[str, str])
_NAMES: Final = TypeAdapter(list[str])

Parsed = TypeVar("Parsed")
Step = TypeVar("Step")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file, and how to read it."""

    field: str
    """Of the form."""
    options: import_pb2.ImportPart
    file: BinaryIO


async def each_once(request: Request) -> None:
    """Of two parts of one name the form would keep the last, and say nothing."""
    named = Counter(name for name, _ in (await request.form()).multi_items())
    if twice := [name for name, count in named.items() if count > 1]:
        raise InvalidRequest([Violation(name, "is given more than once") for name in twice])


def files_of(form: BaseModel) -> list[Part]:
    """What came of `ohlcv` and `indicators`, in this order."""
    found: list[tuple[str, UploadFile | None]] = [(table, getattr(form, table)) for table in TABLES]
    return [
        part(form, upload, table=table, prefix=f"{table}_")
        for table, upload in found
        if upload is not None
    ]


def part(form: BaseModel, upload: UploadFile, *, table: str, prefix: str = "") -> Part:
    """`prefix`: what the names of its options begin with in the form."""

    def option(name: str) -> Any:
        return getattr(form, f"{prefix}{name}")

    def guessed(name: str) -> str | None:
        return None if option(name) == _AUTO else option(name)

    kind = import_pb2.ImportPart
    options = import_pb2.ImportPart(
        table=number(dataset_pb2.Table, table, "TABLE_"),
        file_name=_last_step(upload.filename or ""),
        format=number(kind.Format, guessed("format"), "FORMAT_"),
        zone=option("zone"),
        unit=number(kind.Unit, guessed("unit"), "UNIT_"),
        date_order=number(kind.DateOrder, guessed("date_order"), "DATE_ORDER_"),
        time_layout=number(kind.TimeLayout, guessed("time_layout"), "TIME_LAYOUT_"),
        separator=option("separator"),
        decimal=option("decimal"),
        timestamp_column=option("timestamp_column"),
        rename=parsed(_TEXTS, f"{prefix}rename", option("rename") or "{}"),
        text_columns=parsed(_NAMES, f"{prefix}text_columns", option("text_columns") or "[]"),
        market=option("market"),
        member=option("member"),
    )
    return Part(field=prefix.removesuffix("_") or "file", options=options, file=upload.file)


def _last_step(path: str) -> str:
    """Some clients send where a file lies on their machine, which is nobody's business."""
    return path.replace("\\", "/").rpartition("/")[2]


def fields_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """What the caller calls them."""
    return tuple(one.field for one in parts)


async def messages(
    first: Step, parts: Sequence[Part], following: Callable[[PartBytes], Step]
) -> AsyncIterator[Step]:
    """The header, then every file in pieces, as it came: what is packed the service unpacks."""
    yield first
    for position, one in enumerate(parts):
        async for piece in iterate_in_threadpool(_pieces(one.file)):
            yield following(PartBytes(part=position, data=piece))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(_PIECE_BYTES), b"")


def parsed(adapter: TypeAdapter[Parsed], field: str, text: str | bytes) -> Parsed:
    """JSON in a field of a form."""
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise InvalidRequest(
            [
                Violation(".".join([field, *map(str, problem["loc"])]), rule(problem))
                for problem in error.errors()
            ]
        ) from error
