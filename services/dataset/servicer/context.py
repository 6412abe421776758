"""What grpc.aio hands to every method."""

from __future__ import annotations

from typing import Any

from grpc import aio

Context = aio.ServicerContext[Any, Any]
