"""Folds of a run as JSON, page by page: thousands of them fill no memory and hold nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import TypeAdapter
from stage1.runs.v1 import run_pb2
from starlette.responses import Response, StreamingResponse

from gateway.http.lists import PAGE
from gateway.http.schemas import runs as schemas
from gateway.http.shapes import runs as shapes

_FOLDS: Final = TypeAdapter(list[schemas.Fold])
_JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class Page:
    folds: Sequence[run_pb2.Fold]
    is_last: bool


Pages = AsyncGenerator[Page]


async def listed(pages: Pages) -> Response:
    """`{"folds": […], "count": n}`"""
    return await _answer(pages, b"{", lambda count: b',"count":%d}' % count)


async def detail(
    run: run_pb2.Run,
    pages: Pages,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """schemas.RunDetail"""
    head = shapes.run(run).model_dump_json().encode()[:-1] + b","
    tail = b',"links":' + orjson.dumps(shapes.links(run)) + b"}"
    return await _answer(pages, head, lambda _: tail, status=status, headers=headers)


async def _answer(
    pages: Pages,
    head: bytes,
    tail: Callable[[int], bytes],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What fits a page goes out in one piece, which gives it an ETag."""
    first = await anext(pages)
    begin = head + b'"folds":[' + await asyncio.to_thread(_encoded, first)
    if first.is_last:
        body = begin + b"]" + tail(len(first.folds))
        return Response(body, int(status), headers, _JSON)
    pieces = _pieces(begin, len(first.folds), pages, tail)
    return StreamingResponse(pieces, int(status), headers, _JSON)


async def _pieces(
    begin: bytes, count: int, pages: Pages, tail: Callable[[int], bytes]
) -> AsyncIterator[bytes]:
    async with aclosing(pages):
        yield begin
        async for page in pages:
            count += len(page.folds)
            yield b"," + await asyncio.to_thread(_encoded, page) if page.folds else b""
    yield b"]" + tail(count)


def _encoded(page: Page) -> bytes:
    return _FOLDS.dump_json([shapes.fold(fold) for fold in page.folds])[1:-1]


async def cut(folds: Sequence[run_pb2.Fold]) -> Pages:
    """Pages of folds that are at hand."""
    for start in range(0, max(len(folds), 1), PAGE):
        end = start + PAGE
        yield Page(folds=folds[start:end], is_last=end >= len(folds))
