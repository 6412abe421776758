"""Real servers and channels in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from grpc import aio

from services.shared.rpc import client
from services.shared.rpc.client import Channel
from services.shared.rpc.server import serving
from services.shared.settings import ServerSettings


@asynccontextmanager
async def served(
    *register: Callable[[aio.Server], None], settings: ServerSettings | None = None
) -> AsyncIterator[Channel]:
    """A ready server with these services, and a channel to it."""
    settings = settings or ServerSettings(drain_seconds=1)
    async with serving(settings, *register) as server:
        await server.ready()
        async with client.channel(f"127.0.0.1:{server.port}", token=settings.token) as channel:
            yield channel
