"""Answers that the caller has already, told by what decides them and before they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response


def tag(*parts: object) -> str:
    """An ETag for an answer that is decided by these, none of which ever changes."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def is_known(request: Request, etag: str) -> bool:
    return etag in request.headers.get("if-none-match", "")


def unchanged(headers: Mapping[str, str]) -> Response:
    return Response(status_code=304, headers=dict(headers))
