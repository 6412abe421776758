"""Where each process listens: loopback only."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from typing import Final

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

HOST: Final = "127.0.0.1"
BASE: Final = 7400


@dataclass(frozen=True, kw_only=True)
class Ports:
    gateway: int
    dataset: int
    runs: int
    trainer: int
    simulator: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.gateway}"

    def require_free(self) -> None:
        for port in astuple(self):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                _bind(probe, port)


def from_base(base: int) -> Ports:
    return _ports(range(base, base + 5))


def free() -> Ports:
    """Ports nobody has now; held together, so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(5)]
        for probe in probes:
            probe.bind((HOST, 0))
        return _ports([probe.getsockname()[1] for probe in probes])


def _ports(numbers: range | list[int]) -> Ports:
    gateway, dataset, runs, trainer, simulator = numbers
    return Ports(gateway=gateway, dataset=dataset, runs=runs, trainer=trainer, simulator=simulator)


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
