"""What every request passes through, in the order of `install`.

Plain ASGI: nothing here holds a body, so streams stay streams.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence, Set
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http import errors
from gateway.http.conditional import Conditional
from gateway.http.errors import Forbidden
from gateway.http.guard import Guard
from gateway.http.heads import Heads
from services.shared.errors import Stage1Error
from services.shared.rpc.guards import new_request_id

JSON_BODY_BYTES: Final = 1 << 20
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}
_OWN_PAGES: Final = {"none", "same-origin"}  # values of Sec-Fetch-Site
_HTTP_PORT: Final = 80
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_PROBES: Final = {"/livez", "/readyz", "/healthz"}  # asked every few seconds, for ever
_API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

log = structlog.get_logger()


def install(app: FastAPI, *, max_upload_bytes: int, allowed_hosts: Sequence[str]) -> None:
    """Starlette runs what was added last first."""
    app.add_middleware(Conditional)
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, max_upload_bytes=max_upload_bytes)
    app.add_middleware(SameOrigin, allowed_hosts=frozenset(allowed_hosts))
    app.add_middleware(Crashes)
    app.add_middleware(RequestLog)


class RequestLog(Guard):
    """An id for the request, in every log line, answer and call made for it."""

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if re.fullmatch(r"[\w.-]{1,128}", given) else new_request_id()
        started, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                dress(MutableHeaders(scope=message), request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_headers)
            write = log.debug if scope["path"] in _PROBES else log.info
            write(
                "http_request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.monotonic() - started) * 1000, 1),
            )


def dress(headers: MutableHeaders, request_id: str) -> None:
    """What every answer carries."""
    headers["x-request-id"] = request_id
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("content-security-policy", _API_POLICY)
    headers.setdefault("cache-control", "no-cache")


class Crashes(Guard):
    """A bug is logged here and opaque outside; an answer under way is cut off, never faked."""

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Stage1Error as error:
            await errors.answer(error)(scope, receive, send)
        except Exception as error:
            if started:  # the server closes the connection of an unfinished answer
                _log_cut_off(error)
                return
            log.exception("request_crashed")
            failed = Stage1Error("The gateway failed; its log has the request id.")
            await errors.answer(failed)(scope, receive, send)


def _log_cut_off(error: Exception) -> None:
    refused = error.__cause__  # Starlette has wrapped it: there is no status to give any more
    if isinstance(refused, Stage1Error):
        log.warning("answer_cut_off", reason=refused.reason, error=str(refused))
    else:
        log.exception("answer_cut_off")


class SameOrigin(Guard):
    """A web page elsewhere must not reach a server on loopback.

    Host defeats names that an attacker lets point to 127.0.0.1; Origin defeats forms.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: frozenset[str]) -> None:
        super().__init__(app)
        self._allowed = allowed_hosts

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = (scope.get("server") or ("", _HTTP_PORT))[1]
        headers = Headers(scope=scope)
        own = _own_names(port)
        _check_host(headers, own | self._allowed, port)
        if scope["method"] not in _SAFE:
            # In front of an allowed name there may be something that speaks TLS for us.
            secure = {f"https://{name}" for name in self._allowed}
            _check_origin(headers, {f"http://{name}" for name in own | self._allowed} | secure)
        await self._app(scope, receive, send)


def _own_names(port: int) -> set[str]:
    names = {"localhost", "127.0.0.1", "[::1]"}
    return {f"{name}:{port}" for name in names} | (names if port == _HTTP_PORT else set())


def _check_host(headers: Headers, known: Set[str], port: int) -> None:
    host = headers.get("host", "")
    if host.lower() not in known:
        raise Forbidden(
            f"The Host header is {host!r}; this server answers to localhost:{port} "
            "and to the names in STAGE1_ALLOWED_HOSTS only.",
            reason="HOST_REFUSED",
        )


def _check_origin(headers: Headers, own: Set[str]) -> None:
    """Browsers say where a request comes from; other programs say nothing."""
    origin = headers.get("origin")
    is_own = origin is None or origin.lower() in own
    if is_own and headers.get("sec-fetch-site", "none") in _OWN_PAGES:
        return
    raise Forbidden(
        f"The request comes from the web page {origin or 'of another site'!r}; "
        "only this server's own pages may change anything.",
        reason="ORIGIN_REFUSED",
    )


class BodyLimit(Guard):
    """Counts what arrives; nothing is kept here."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        super().__init__(app)
        self._max_upload_bytes = max_upload_bytes

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_upload = headers.get("content-type", "").startswith("multipart/form-data")
        limit = self._max_upload_bytes if is_upload else JSON_BODY_BYTES
        announced = int(headers.get("content-length", 0))  # the server has read it before
        received = announced if announced > limit else 0

        async def counting() -> Message:
            nonlocal received
            message = await receive() if received <= limit else {"type": "http.request"}
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(  # the one kind that FastAPI lets through while it reads a body
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"The body is over the limit of {limit} bytes.",
                )
            return message

        await self._app(scope, counting, send)
