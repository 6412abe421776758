"""Whether a process does its work: asked the way its own clients would.

    python -m gateway.cli.supervisor.health 127.0.0.1:7401
    python -m gateway.cli.supervisor.health http://127.0.0.1:7400/readyz

As a program it ends with 0 or 1, for container engines.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

PATIENCE_SECONDS: Final = 2.0
Ready = Callable[[], Awaitable[bool]]


def serving(address: str) -> Ready:
    """A gRPC service says SERVING."""

    async def ready() -> bool:
        async with aio.insecure_channel(address) as channel:
            try:
                answer = await _check(channel)(HealthCheckRequest(), timeout=PATIENCE_SECONDS)
            except aio.AioRpcError:
                return False
        return bool(answer.status == HealthCheckResponse.SERVING)

    return ready


def _check(channel: aio.Channel) -> aio.UnaryUnaryMultiCallable[Any, HealthCheckResponse]:
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )


def answering(url: str) -> Ready:
    """An HTTP server answers 200."""

    async def ready() -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as client:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    return ready


def written(path: Path) -> Ready:
    """A file is there."""

    async def ready() -> bool:
        return await asyncio.to_thread(path.exists)

    return ready


async def main(where: str) -> int:
    ready = answering(where) if where.startswith("http") else serving(where)
    return 0 if await ready() else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
