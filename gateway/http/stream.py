"""Arrow streams of the services as answers: handed through, or encoded batch by batch.

Nothing here grows with the answer. A refusal that comes before the first rows has a
status of its own; later ones cut the answer off, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Literal, TypeVar

import orjson
import polars as pl
import polars.selectors as cs
from fastapi import Request
from google.protobuf.message import Message
from starlette.responses import Response, StreamingResponse

from gateway.http import accept
from gateway.http.parquet import parquet_pieces
from services.shared.arrow_stream import Decoder, read_ipc
from services.shared.rpc.client import Channel

Format = Literal["json", "csv", "arrow", "parquet"]
MEDIA_TYPES: Final[dict[Format, str]] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_AHEAD: Final = 2  # the schema, which comes even where the rows are gone, and the first rows
Piece = TypeVar("Piece")
Reshape = Callable[[pl.DataFrame], pl.DataFrame]


def chosen(asked: Format | None, request: Request, offered: Sequence[Format]) -> Format:
    """The format asked for by name, else by Accept, else the first one offered."""
    if asked is not None:
        return asked
    by_type = {MEDIA_TYPES[form]: form for form in offered}
    return by_type[accept.best(request.headers.get("accept", ""), list(by_type))]


async def arrow(
    channel: Channel, method: str, asked: Message, *, headers: Mapping[str, str] | None = None
) -> Response:
    """The IPC bytes of the service, untouched."""
    pieces = await begun(read_ipc(channel, method, asked), ahead=_AHEAD)
    return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES["arrow"])


async def json_objects(
    channel: Channel,
    method: str,
    asked: Message,
    *,
    before: Mapping[str, object],
    rows: str,
    reshape: Reshape = lambda frame: frame,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`{…before, rows: [{column: value}], "count": n}`"""
    head = orjson.dumps(dict(before))[:-1] + (b"," if before else b"") + orjson.dumps(rows) + b":["
    frames = await begun(_frames(read_ipc(channel, method, asked)), ahead=_AHEAD)
    body = _json(frames, reshape, lambda _: head, as_objects)
    return StreamingResponse(body, headers=headers, media_type=MEDIA_TYPES["json"])


async def json_table(
    channel: Channel, method: str, asked: Message, *, reshape: Reshape
) -> Response:
    """`{"columns": […], "dataset": [[…]], "count": n}`, of numbers only."""
    frames = await begun(_frames(read_ipc(channel, method, asked)), ahead=_AHEAD)

    def head(frame: pl.DataFrame) -> bytes:
        return b'{"columns":' + orjson.dumps(frame.columns) + b',"dataset":['

    return StreamingResponse(
        _json(frames, reshape, head, as_arrays), media_type=MEDIA_TYPES["json"]
    )


async def csv(
    channel: Channel,
    method: str,
    asked: Message,
    *,
    file_name: str,
    reshape: Reshape = lambda frame: frame,
    headers: Mapping[str, str] | None = None,
) -> Response:
    frames = await begun(_frames(read_ipc(channel, method, asked)), ahead=_AHEAD)
    named = _named(file_name, headers)
    return StreamingResponse(_csv(frames, reshape), headers=named, media_type=MEDIA_TYPES["csv"])


async def parquet(
    channel: Channel,
    method: str,
    asked: Message,
    *,
    file_name: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Row group by row group."""
    frames = await begun(_frames(read_ipc(channel, method, asked)), ahead=_AHEAD)
    return StreamingResponse(
        parquet_pieces(frames),
        headers=_named(file_name, headers),
        media_type=MEDIA_TYPES["parquet"],
    )


def _named(file_name: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    return {**(headers or {}), "content-disposition": f'inline; filename="{file_name}"'}


async def begun(pieces: AsyncGenerator[Piece], *, ahead: int = 1) -> AsyncIterator[Piece]:
    """The same pieces, once the first are there: what refuses them is raised here."""
    first = [await anext(pieces)]
    while len(first) < ahead and (piece := await anext(pieces, None)) is not None:
        first.append(piece)

    async def all_of_them() -> AsyncIterator[Piece]:
        async with aclosing(pieces):
            while first:
                yield first.pop(0)
            async for piece in pieces:
                yield piece

    return all_of_them()


async def _frames(ipc: AsyncGenerator[memoryview]) -> AsyncGenerator[pl.DataFrame]:
    """First an empty one, which says the columns; then the rows, validated."""
    decoder = Decoder()
    async with aclosing(ipc):
        async for piece in ipc:
            is_first = decoder.schema is None
            batches = decoder.feed(piece)
            if is_first and decoder.schema is not None:
                yield pl.DataFrame(decoder.schema.empty_table())
            for batch in batches:
                yield finite(pl.DataFrame(batch))
    decoder.finish()


async def _json(
    frames: AsyncIterator[pl.DataFrame],
    reshape: Reshape,
    head: Callable[[pl.DataFrame], bytes],
    encode: Callable[[pl.DataFrame], bytes],
) -> AsyncIterator[bytes]:
    yield head(reshape(await anext(frames)))
    count = 0
    async for frame in frames:
        comma = b"," if count else b""
        count += frame.height
        yield comma + await asyncio.to_thread(_encoded, frame, reshape, encode)
    yield b'],"count":%d}' % count


async def _csv(frames: AsyncIterator[pl.DataFrame], reshape: Reshape) -> AsyncIterator[bytes]:
    """The first frame has no rows and gives the header."""
    yield _encoded(await anext(frames), reshape, lambda frame: frame.write_csv().encode())
    async for frame in frames:
        yield await asyncio.to_thread(_encoded, frame, reshape, _csv_rows)


def _encoded(
    frame: pl.DataFrame, reshape: Reshape, encode: Callable[[pl.DataFrame], bytes]
) -> bytes:
    return encode(reshape(frame))


def _csv_rows(frame: pl.DataFrame) -> bytes:
    return frame.write_csv(include_header=False).encode()


def finite(frame: pl.DataFrame) -> pl.DataFrame:
    """What is no number is missing, in every format."""
    return frame.with_columns(pl.when(cs.float().is_finite()).then(cs.float()))


def as_objects(frame: pl.DataFrame) -> bytes:
    """`{…},{…}`, a row each."""
    return frame.write_ndjson().rstrip("\n").replace("\n", ",").encode()


def as_arrays(frame: pl.DataFrame) -> bytes:
    """`[…],[…]`, a row each; numbers only."""
    rows = frame.write_csv(include_header=False, null_value="null", line_terminator="],[")
    return f"[{rows[:-2]}".encode()
