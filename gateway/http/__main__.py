"""The gateway's process: `python -m gateway.http`."""

from __future__ import annotations

import socket

import structlog
import uvicorn

from gateway.http.app import create_app
from gateway.http.protocol import Protocol
from gateway.http.settings import GatewaySettings
from services.shared.errors import Unavailable
from services.shared.process import run

log = structlog.get_logger()


async def serve(settings: GatewaySettings) -> None:
    """Until SIGTERM or SIGINT. Raises Unavailable when the port is taken."""
    listener = listening(settings)
    log.info("gateway_listening", url="http://{}:{}".format(*listener.getsockname()[:2]))
    if settings.bind_without_tokens:
        log.warning("gateway_without_tokens", listen=settings.listen)
    await server(settings).serve(sockets=[listener])


def server(settings: GatewaySettings) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(settings),
        http=Protocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    return uvicorn.Server(config)


def listening(settings: GatewaySettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {settings.listen}: the port is taken or the address is not ours.",
            reason="ADDRESS_TAKEN",
        ) from error
    # Connections inherit it; without, an answer in two pieces waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    run("gateway", GatewaySettings, serve)
