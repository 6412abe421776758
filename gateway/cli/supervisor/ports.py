"""Where each process listens: loopback only."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from typing import Final

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

HOST: Final = "127.0.0.1"
BASE: Final = 7400
COUNT: Final = 6


@dataclass(frozen=True, kw_only=True)
class Ports:
    gateway: int
    dataset: int
    runs: int
    trainer: int
    simulator: int
    questdb: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.gateway}"

    def require_free(self, *, with_questdb: bool) -> None:
        for name, port in asdict(self).items():
            if name == "questdb" and not with_questdb:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                _bind(probe, port)


def from_base(base: int) -> Ports:
    return _ports(range(base, base + COUNT))


def free() -> Ports:
    """Ports nobody has now; held together, so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(COUNT)]
        for probe in probes:
            probe.bind((HOST, 0))
        return _ports([probe.getsockname()[1] for probe in probes])


def _ports(numbers: range | list[int]) -> Ports:
    """In the order of the fields."""
    return Ports(**dict(zip((field.name for field in fields(Ports)), numbers, strict=True)))


def _bind(probe: socket.socket, port: int) -> None:
    try:
        probe.bind((HOST, port))
    except OSError as error:
        why = "taken by another program" if error.errno == errno.EADDRINUSE else error.strerror
        raise Failure(
            f"Stage1 cannot listen on port {port} of {HOST} ({why}): "
            "choose other ports with --port-base.",
            ExitCode.PORT_TAKEN,
        ) from error
