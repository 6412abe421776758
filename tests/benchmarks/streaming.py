"""A table through our gRPC stream and through Arrow Flight, in the same run.

    .venv-bench/bin/python -m tests.benchmarks.streaming [--rows 250000 --rounds 3]

Three processes: this one reads, one serves ReadBars from the series store on the server every
service runs, one serves the same batches by Flight DoGet from memory. All have the start-up
environment that `stage1 up` gives. Rounds are interleaved and the order changes, since
repeats on one machine differ more than the figures of one round.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pyarrow as pa
from grpc import aio
from pyarrow import flight
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.arrow_stream import DataStreams, each_batch, encode
from services.shared.malloc import MALLOC_ENVIRONMENT
from services.shared.rpc.client import channel
from services.shared.rpc.server import serving, terminated
from services.shared.series import INDEX, TIME, Rows
from services.shared.series.arrow_files import arrow_files
from services.shared.settings import ServerSettings

ROWS: Final = 5_000_000
ROUNDS: Final = 15
COLUMNS: Final = 20
TABLE: Final = "bars"
FLIGHT_ROWS: Final = 8192
SERVICE: Final = "stage1.dataset.v1.DatasetService"
SCHEMA: Final = pa.schema(
    [
        pa.field(TIME, pa.int64(), nullable=False),
        *((f"c{i:02}", pa.float64()) for i in range(COLUMNS)),
    ]
)
HALF_OF_COLUMNS: Final = [INDEX, TIME, *SCHEMA.names[1 : 1 + COLUMNS // 2]]


@dataclass(kw_only=True)
class Case:
    """One question to both servers, and the gigabytes a second of each round."""

    name: str
    columns: list[str] | None
    rows: Rows
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    def request(self) -> pb.ReadBarsRequest:
        indices = pb.IndexRange(start=self.rows.start, end=self.rows.end)
        return pb.ReadBarsRequest(columns=self.columns or [], indices=indices)

    def report(self) -> str:
        ratio = statistics.median(self.ours) / statistics.median(self.peer)
        each = [a / b for a, b in zip(self.ours, self.peer, strict=True)]
        return (
            f"{self.name:<44} {_spread(self.ours)}   {_spread(self.peer)}"
            f"   {ratio:.2f} ({min(each):.2f} to {max(each):.2f})"
        )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def cases(rows: int) -> list[Case]:
    middle = Rows(rows // 4 + 17, rows // 4 * 3 + 17)
    return [
        Case(name="whole table, stored messages", columns=None, rows=Rows(0, rows)),
        Case(name="half of the rows", columns=None, rows=middle),
        Case(name="half of the columns", columns=HALF_OF_COLUMNS, rows=Rows(0, rows)),
        Case(name="half of the rows and columns", columns=HALF_OF_COLUMNS, rows=middle),
    ]


async def made_up(rows: int) -> AsyncIterator[pa.RecordBatch]:
    rng = np.random.default_rng(3)
    for start in range(0, rows, 100_000):
        times = np.arange(start, min(start + 100_000, rows)) * 60_000
        values = rng.normal(size=(COLUMNS, len(times)))
        yield pa.record_batch([times, *values], schema=SCHEMA)


async def store_table(root: Path, rows: int) -> None:
    async with arrow_files(root) as store:
        await store.create(TABLE, SCHEMA)
        await store.write(TABLE, made_up(rows))


async def serve_ours(root: Path) -> None:
    async with arrow_files(root) as store:
        streams = DataStreams()

        async def read_bars(request: pb.ReadBarsRequest, context: Any) -> None:
            columns = list(request.columns) or None
            span = Rows(request.indices.start, request.indices.end)
            schema = await store.schema(TABLE, columns)
            pieces = store.read_pieces(TABLE, columns, span=span)
            await streams.send(context, encode(schema, pieces))

        handler = grpc.unary_stream_rpc_method_handler(
            read_bars,
            request_deserializer=pb.ReadBarsRequest.FromString,
            response_serializer=pb.ReadBarsResponse.SerializeToString,
        )
        handlers = grpc.method_handlers_generic_handler(SERVICE, {"ReadBars": handler})

        def register(server: aio.Server) -> None:
            server.add_generic_rpc_handlers([handlers])

        async with serving(ServerSettings(log_level="error"), register) as server:
            await server.ready()
            _say(server.port)
            await terminated()


class FlightPeer(flight.FlightServerBase):  # type: ignore[misc]
    """The table in memory in batches of 8Ki rows, which were the fastest."""

    def __init__(self, root: Path) -> None:
        super().__init__("grpc://127.0.0.1:0")
        segments = sorted((root / TABLE).glob("[0-9]*.arrow"))
        read = pa.concat_tables(pa.ipc.open_file(path.read_bytes()).read_all() for path in segments)
        self._table = pa.Table.from_batches(read.combine_chunks().to_batches(FLIGHT_ROWS))

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.RecordBatchStream:
        request = pb.ReadBarsRequest.FromString(ticket.ticket)
        table = self._table.select(list(request.columns)) if request.columns else self._table
        start, end = request.indices.start, request.indices.end
        return flight.RecordBatchStream(table.slice(start, end - start))


def serve_flight(root: Path) -> None:
    peer = FlightPeer(root)
    _say(peer.port)
    peer.serve()


def _say(port: int) -> None:
    sys.stdout.write(f"port {port}\n")
    sys.stdout.flush()


@contextmanager
def started(kind: str, root: Path) -> Iterator[int]:
    command = [sys.executable, "-m", __spec__.name, "--serve", kind, "--root", str(root)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = next(line for line in server.stdout if line.startswith("port "))
        yield int(port.split()[1])
    finally:
        server.terminate()
        server.wait()


async def read_ours(port: int, case: Case) -> int:
    rows = 0

    def count(batch: pa.RecordBatch) -> None:
        nonlocal rows
        rows += batch.num_rows

    async with channel(f"127.0.0.1:{port}") as opened:
        await each_batch(opened, f"/{SERVICE}/ReadBars", case.request(), count)
    return rows


async def read_flight(port: int, case: Case) -> int:
    rows = 0
    with flight.connect(f"grpc://127.0.0.1:{port}") as client:
        ticket = flight.Ticket(case.request().SerializeToString())
        for chunk in client.do_get(ticket):
            rows += chunk.data.num_rows
    return rows


async def speed(read: Callable[[int, Case], Awaitable[int]], port: int, case: Case) -> float:
    start = time.perf_counter()
    rows = await read(port, case)
    seconds = time.perf_counter() - start
    if rows != case.rows.end - case.rows.start:
        raise RuntimeError(f"{read.__name__} got {rows} rows of {case.name}.")
    return rows * 8 * len(case.columns or [INDEX, *SCHEMA.names]) / 1e9 / seconds


async def compare(ours: int, peer: int, rows: int, rounds: int) -> list[Case]:
    compared = cases(rows)
    sides = [(read_ours, ours, "ours"), (read_flight, peer, "peer")]
    for number in range(-1, rounds):  # the first touch of memory is slow and does not count
        for case in compared:
            for read, port, name in sides[:: 1 if number % 2 else -1]:
                measured = await speed(read, port, case)
                if number >= 0:
                    getattr(case, name).append(measured)
    return compared


def run(rows: int, rounds: int) -> None:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stage1-bench-")))
        asyncio.run(store_table(root, rows))
        ours, peer = (stack.enter_context(started(kind, root)) for kind in ("ours", "flight"))
        compared = asyncio.run(compare(ours, peer, rows, rounds))
    megabytes = rows * 8 * (COLUMNS + 2) / 1e6
    lines = [
        f"Arrow over gRPC against Arrow Flight DoGet: {rows:,} rows x {COLUMNS} float64, index and "
        f"timestamp ({megabytes:.0f} MB), {rounds} rounds, loopback",
        f"{'GB/s: median (range)':<44} {'Stage1':<20}   {'Flight':<20}   ratio (range)",
        *(case.report() for case in compared),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description="Arrow over gRPC against Arrow Flight")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", choices=["ours", "flight"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve == "ours":
        asyncio.run(serve_ours(options.root))
    elif options.serve == "flight":
        serve_flight(options.root)
    elif MALLOC_ENVIRONMENT.items() <= os.environ.items():
        run(options.rows, options.rounds)
    else:  # the allocator reads its settings when a process starts
        sizes = ["--rows", str(options.rows), "--rounds", str(options.rounds)]
        command = [sys.executable, "-m", __spec__.name, *sizes]
        subprocess.run(command, env={**os.environ, **MALLOC_ENVIRONMENT}, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
