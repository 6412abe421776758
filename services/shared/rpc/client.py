"""A channel as every client opens it: request id, token and deadline on each call.

It is a channel for the generated stubs, so callers write nothing of this; a
deadline they give themselves wins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, cast

import grpc
import structlog
from google.protobuf.message import Message
from grpc import aio
from grpc.experimental import ChannelOptions

from services.shared.rpc.guards import REQUEST_ID, TOKEN, new_request_id
from services.shared.rpc.status import TRAILER_OPTIONS
from services.shared.settings import is_loopback

UNARY_SECONDS: Final = 5.0
DATA_SECONDS: Final = 3600.0
WATCH_SECONDS: Final = 900.0
WORK_SECONDS: Final = 86400.0
_BY_PREFIX: Final = {
    "Read": DATA_SECONDS,
    "Import": DATA_SECONDS,
    "Append": DATA_SECONDS,
    "Adopt": DATA_SECONDS,
    "Sniff": DATA_SECONDS,
    "Aggregate": DATA_SECONDS,
    "Describe": DATA_SECONDS,
    "Verify": DATA_SECONDS,
    "CheckStore": DATA_SECONDS,
    "Watch": WATCH_SECONDS,
    "Train": WORK_SECONDS,
    "Simulate": WORK_SECONDS,
}
# Calls that may be repeated without a second thought.
_IDEMPOTENT: Final = {
    "stage1.dataset.v1.DatasetService": [
        *("GetDataset", "ListDatasets", "GetManifest", "ResolveBoundaries"),
        *("ReadBars", "ReadIndexMap", "PinVersion", "UnpinVersion"),
        *("ListImports", "GetImport", "ListDatasetVersions", "DescribeColumns"),
        *("AggregateBars", "CheckStore", "WatchDatasets"),
    ],
    "stage1.runs.v1.RunService": [
        *(
            "PlanRun",
            "GetRun",
            "ListRuns",
            "CountUses",
            "ListFolds",
            "CancelRun",
            "ReadPredictions",
            "WatchRun",
        ),
    ],
    "stage1.runs.v1.SimulationService": [
        *("GetSimulation", "ListSimulations", "CancelSimulation"),
        *("ReadTrades", "ReadEquity", "WatchSimulation"),
    ],
    "stage1.runs.v1.WorkerService": ["RegisterWorker", "Heartbeat", "ListWorkers"],
}
_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": s, "method": m} for s, methods in _IDEMPOTENT.items() for m in methods
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: Final = (
    *TRAILER_OPTIONS,
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_RECEIVE_BYTES: Final = 4 << 20
_RECEIVE_LIMIT: Final = Path("/proc/sys/net/core/rmem_max")


def channel(address: str, *, token: str | None = None) -> Channel:
    """Closed by its own `async with`."""
    return Channel(address, token)


def options(address: str) -> tuple[tuple[str, Any], ...]:
    """With a receive buffer of its own on loopback, where the kernel allows it.

    The kernel's sizing begins small in each connection, and a sender that must wait
    for room takes up to a fifth more time (docs/BENCHMARKS.md). Across a network it knows better,
    and where less is allowed it would be a smaller one.
    """
    with suppress(OSError, ValueError):
        if is_loopback(address) and int(_RECEIVE_LIMIT.read_text()) >= _RECEIVE_BYTES:
            return (*_OPTIONS, ("grpc.tcp_receive_buffer_size", _RECEIVE_BYTES))
    return _OPTIONS


def deadline_of(method: str) -> float:
    """Seconds for a call of this full method name, by its class."""
    name = method.rpartition("/")[2]
    return next((s for prefix, s in _BY_PREFIX.items() if name.startswith(prefix)), UNARY_SECONDS)


class StreamForThread(Iterator[bytes], Protocol):
    """Raises grpc.RpcError."""

    def cancel(self) -> bool: ...


class Channel(aio.Channel):
    """Another channel, whose calls carry what each call of ours must."""

    def __init__(self, address: str, token: str | None) -> None:
        self._address = address
        self._inner = aio.insecure_channel(address, options=options(address))
        self._in_threads: grpc.Channel | None = None
        self._token = token

    def _calling(self, kind: str, method: str, *args: Any, **kwargs: Any) -> Any:
        call = getattr(self._inner, kind)(method, *args, **kwargs)
        seconds = deadline_of(method)

        def begin(
            *request: Any, timeout: float | None = None, metadata: Any = (), **rest: Any
        ) -> Any:
            carried = (*metadata, *self._metadata())
            return call(*request, timeout=timeout or seconds, metadata=carried, **rest)

        return begin

    def _metadata(self) -> list[tuple[str, str]]:
        known = structlog.contextvars.get_contextvars().get("request_id")
        carried = [(REQUEST_ID, known or new_request_id())]
        return [*carried, (TOKEN, self._token)] if self._token else carried

    def stream_for_thread(self, method: str, request: Message, seconds: float) -> StreamForThread:
        """A call that is read in a thread, serialized messages as they come. Does not block."""
        if self._in_threads is None:
            chosen = (*options(self._address), (ChannelOptions.SingleThreadedUnaryStream, 1))
            self._in_threads = grpc.insecure_channel(self._address, options=chosen)
        call: Any = self._in_threads.unary_stream(method, request_serializer=serialized)
        return cast(StreamForThread, call(request, timeout=seconds, metadata=self._metadata()))

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling("unary_unary", method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling("unary_stream", method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling("stream_unary", method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._calling("stream_stream", method, *args, **kwargs)

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        try:
            await self._inner.close(grace)
        finally:
            if self._in_threads is not None:
                self._in_threads.close()

    def get_state(self, try_to_connect: bool = False) -> Any:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()


def serialized(message: Message) -> bytes:
    return message.SerializeToString()
