"""Every refusal in one envelope: a sentence for people, a reason for programs, a request id."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.http.problems import rule
from services.shared import errors
from services.shared.errors import InvalidRequest, Stage1Error, Violation


class Forbidden(Stage1Error):
    reason = "FORBIDDEN"


class UnsupportedMedia(Stage1Error):
    reason = "UNSUPPORTED_MEDIA_TYPE"


_STATUS: Final[Mapping[type[Stage1Error], HTTPStatus]] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Exhausted: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Cancelled: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Stalled: HTTPStatus.GATEWAY_TIMEOUT,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.DataLoss: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_RETRY_LATER: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_DISK_FULL: Final = "DISK_FULL"  # Exhausted like others, but no caller's fault
# What the framework refuses before a handler is reached.
_REASONS: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: "NO_SUCH_PATH",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "BODY_TOO_LARGE",
}
_SENTENCES: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path; /docs lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take that method; see /docs.",
}


def status_of(error: Stage1Error) -> HTTPStatus:
    if error.reason == _DISK_FULL:
        return HTTPStatus.INSUFFICIENT_STORAGE
    found = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def answer(error: Stage1Error) -> Response:
    status = status_of(error)
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    headers = {"retry-after": "1"} if status in _RETRY_LATER else None
    return _envelope(status, str(error), error.reason, violations, headers, error.cause)


def _envelope(
    status: HTTPStatus,
    sentence: str,
    reason: str,
    violations: Sequence[Violation] = (),
    headers: Mapping[str, str] | None = None,
    cause: str = "",
) -> Response:
    details = {
        "reason": reason,
        "fields": [{"field": v.field, "message": v.message} for v in violations],
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **({"cause": cause} if cause else {}),
    }
    body = {"error": sentence, "details": details}
    return Response(orjson.dumps(body), int(status), headers, "application/json")


def install(app: FastAPI) -> None:
    app.add_exception_handler(Stage1Error, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _by_framework)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Stage1Error)
    return answer(error)


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(InvalidRequest([_violation(problem) for problem in error.errors()]))


def _violation(problem: Mapping[str, Any]) -> Violation:
    """`("body", "walk_config", "train_size")` is walk_config.train_size to the caller."""
    where = [str(step) for step in problem["loc"][1:]]
    if problem["type"] == "json_invalid":
        return Violation("body", f"is not JSON: {problem['ctx']['error']} at {where[0]}")
    return Violation(".".join(where) or str(problem["loc"][0]), rule(problem))


def _is_full_disk(cause: BaseException | None) -> bool:
    """Uploads are kept on disk while they are read, and what fails there reads as a bad body."""
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


async def _by_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _is_full_disk(error.__cause__):
        sentence = "The disk of the server is full: the upload could not be kept."
        return answer(errors.Exhausted(sentence, reason=_DISK_FULL))
    status = HTTPStatus(error.status_code)
    sentence = _SENTENCES.get(status, f"{str(error.detail).rstrip('.')}.")
    return _envelope(status, sentence, _REASONS.get(status, status.name), headers=error.headers)
