"""JSON answers by orjson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


def as_json(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """NaN and infinity become null, as orjson does."""
    return Response(orjson.dumps(body), int(status), headers, "application/json")
