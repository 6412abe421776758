"""A gRPC server as every service runs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from services.shared.errors import Unavailable
from services.shared.rpc.guards import (
    CallsUnderWay,
    Readiness,
    TokenRequired,
    deadline_required,
    errors_as_status,
    request_id,
)
from services.shared.rpc.interceptors import Guarded
from services.shared.rpc.status import TRAILER_OPTIONS
from services.shared.settings import ServerSettings

UNARY_MESSAGE_BYTES: Final = 4 << 20
_OPTIONS: Final = (
    *TRAILER_OPTIONS,
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server
    ("grpc.max_receive_message_length", UNARY_MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)

log = structlog.get_logger()


class Server:
    """A server that is up, and says NOT_SERVING until `ready` is called."""

    def __init__(self, port: int, health: HealthServicer, readiness: Readiness) -> None:
        self.port = port
        self._health = health
        self._readiness = readiness

    async def ready(self) -> None:
        self._readiness.ready = True
        await self._health.set("", HealthCheckResponse.SERVING)
        log.info("service_ready", port=self.port)

    async def not_ready(self) -> None:
        self._readiness.ready = False
        await self._health.set("", HealthCheckResponse.NOT_SERVING)


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    *register: Callable[[aio.Server], None],
    services: Sequence[str] = (),
) -> AsyncIterator[Server]:
    """Serve until the block ends, then drain. `services` are full names, for reflection.

    Raises Unavailable when the port is taken.
    """
    under_way, readiness = CallsUnderWay(), Readiness()
    guards = (
        request_id,
        errors_as_status,
        TokenRequired(settings.token),
        deadline_required,
        readiness,
        under_way,
    )
    server = aio.server(interceptors=[Guarded(*guards)], options=_OPTIONS)
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for add in register:
        add(server)
    if settings.reflection:
        reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server)
    running = Server(_bind(server, settings.listen), health, readiness)
    await running.not_ready()
    await server.start()
    try:
        yield running
    finally:
        await running.not_ready()
        under_way.end_watches()
        await server.stop(settings.drain_seconds)
        await under_way.ended(settings.drain_seconds)


def _bind(server: aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise Unavailable(
            f"Cannot listen on {address}: the port is taken or the address is not ours.",
            reason="ADDRESS_TAKEN",
        ) from error


async def terminated() -> None:
    """Until SIGTERM or SIGINT."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    await event.wait()
