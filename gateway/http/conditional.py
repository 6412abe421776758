"""Answers that the caller has already: 304, where possible before anything is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.http.guard import Guard

_PROGRAM: Final = version("stage1")  # another one may write the same rows in other bytes


def tag(*parts: object) -> str:
    """An ETag for an answer that is decided by these, none of which ever changes."""
    return f'"{hashlib.sha256(repr((_PROGRAM, *parts)).encode()).hexdigest()[:32]}"'


def is_known(request: Request, etag: str) -> bool:
    return matches(request.headers.get("if-none-match", ""), etag)


def matches(known: str, etag: str) -> bool:
    """`known`: the header If-None-Match; `*` is any."""
    return known.strip() == "*" or etag in known


def unchanged(headers: Mapping[str, str]) -> Response:
    return Response(status_code=304, headers=dict(headers))


class Conditional(Guard):
    """ETags for JSON answers that come in one piece; 304 for those the caller has."""

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        known = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None

        async def tagging(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                start = message
                return
            if start is not None:
                begun, start = start, None
                if not message.get("more_body") and matches(known, _tag(begun, message["body"])):
                    begun, message = _unchanged(begun), {**message, "body": b""}
                await send(begun)
            await send(message)

        await self._app(scope, receive, tagging)


def _tag(start: Message, body: bytes) -> str:
    headers = MutableHeaders(scope=start)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers.setdefault("etag", tag)
    return headers["etag"]


def _unchanged(start: Message) -> Message:
    headers = MutableHeaders(scope=start)
    del headers["content-length"], headers["content-type"]
    return {**start, "status": HTTPStatus.NOT_MODIFIED}
