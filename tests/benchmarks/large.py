"""`make bench-large`: memory of the dataset service on tables that do not fit into it.

    .venv-bench/bin/python -m tests.benchmarks.large [--series questdb --gigabytes 2 --csv]

A table is generated, imported and read back whole, while the anonymous memory of the service is
sampled; then readers stall in the middle of it while another asks for small ranges.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.arrow_stream import read_arrow
from tests.benchmarks.house import PIECE_BYTES, READ_BARS, House, dataset, stores
from tests.benchmarks.importing import MINUTE_MS, START_MS

COLUMNS: Final = 100
BLOCK_VALUES: Final = 5_000_000
SLUG: Final = "large"
STALLED: Final = 16
ASKED: Final = 200


@dataclass
class Memory:
    """Anonymous memory of a process, in MiB, as it was sampled."""

    pid: int
    samples: list[float] = field(default_factory=list)

    def now(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 1024

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        self.samples.clear()
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sample(self) -> None:
        while True:
            self.samples.append(self.now())
            await asyncio.sleep(0.05)

    def told(self, idle: float) -> str:
        """The most above idle in each quarter of the time, and in all."""
        quarter = max(1, len(self.samples) // 4)
        parts = [self.samples[i * quarter : (i + 1) * quarter] for i in range(4)]
        quarters = ", ".join(f"{max(part) - idle:.0f}" for part in parts if part)
        return f"{max(self.samples) - idle:.0f} MiB above idle (by quarters: {quarters})"


@dataclass(frozen=True)
class Size:
    rows: int
    columns: int

    @property
    def gigabytes(self) -> float:
        return self.rows * 8 * (self.columns + 1) / 1e9


def block(start: int, rows: int, columns: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(start)
    close = 100 + rng.normal(0, 0.1, rows)
    values = {
        "timestamp_ms": START_MS + (start + np.arange(rows)) * MINUTE_MS,
        "open": close,
        "high": close + 0.05,
        "low": close - 0.05,
        "close": close,
        "volume": np.ones(rows),
    }
    return values | {f"c{i:03}": rng.normal(size=rows) for i in range(5, columns)}


def as_arrow(size: Size) -> AsyncIterator[bytes]:
    sink = io.BytesIO()
    writer: list[Any] = []

    def encoded(start: int, count: int) -> None:
        batch = pa.record_batch(block(start, count, size.columns))
        if not writer:
            writer.append(pa.ipc.new_stream(sink, batch.schema))
        writer[0].write_batch(batch)

    return _bytes_of(sink, size, encoded, lambda: writer[0].close())


def as_csv(size: Size) -> AsyncIterator[bytes]:
    sink = io.BytesIO()

    def encoded(start: int, count: int) -> None:
        frame = pl.DataFrame(block(start, count, size.columns))
        frame.write_csv(sink, include_header=start == 0, float_precision=6)

    return _bytes_of(sink, size, encoded, lambda: None)


async def _bytes_of(
    sink: io.BytesIO, size: Size, encoded: Callable[[int, int], None], end: Callable[[], None]
) -> AsyncIterator[bytes]:
    step = BLOCK_VALUES // size.columns
    for start in range(0, size.rows, step):
        await asyncio.to_thread(encoded, start, min(step, size.rows - start))
        if start + step >= size.rows:
            end()
        content = sink.getvalue()
        sink.seek(0)
        sink.truncate()
        for at in range(0, len(content), PIECE_BYTES):
            yield content[at : at + PIECE_BYTES]


async def requests(pieces: AsyncIterator[bytes]) -> AsyncIterator[pb.ImportDatasetRequest]:
    part = import_pb2.ImportPart(table=dataset_pb2.TABLE_OHLCV)
    yield pb.ImportDatasetRequest(
        header=import_pb2.ImportHeader(slug=SLUG, symbol="BENCH", parts=[part], calendar="24x7")
    )
    async for piece in pieces:
        yield pb.ImportDatasetRequest(bytes=pb.PartBytes(part=0, data=piece))


async def read(house: House, start: int, end: int) -> int:
    request = pb.ReadBarsRequest(
        dataset=SLUG,
        table=dataset_pb2.TABLE_OHLCV,
        indices=pb.IndexRange(start=start, end=end),
    )
    rows = 0
    async for batch in read_arrow(house.channel, READ_BARS, request):
        rows += batch.num_rows
    return rows


async def p99(house: House, rows: int) -> float:
    """Milliseconds of a read of 1,000 rows somewhere in the table."""
    rng = np.random.default_rng(1)
    seconds = []
    for start in rng.integers(0, rows - 1000, ASKED).tolist():
        begun = time.perf_counter()
        await read(house, start, start + 1000)
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.quantiles(seconds, n=100)[98]


async def stalled(house: House, rows: int, stack: AsyncExitStack) -> None:
    """A reader that takes one batch of the whole table, and then no more."""
    request = pb.ReadBarsRequest(dataset=SLUG, table=dataset_pb2.TABLE_OHLCV)
    batches = read_arrow(house.channel, READ_BARS, request)
    stack.push_async_callback(batches.aclose)
    await anext(batches)


async def measure(house: House, size: Size, *, csv: bool) -> list[str]:
    memory, rows = Memory(house.pid), size.rows
    idle = memory.now()
    lines = [f"idle: {idle:.0f} MiB of anonymous memory"]
    start = time.perf_counter()
    async with memory.sampled():
        await house.stub.ImportDataset(requests(as_csv(size) if csv else as_arrow(size)))
    lines.append(f"import, {time.perf_counter() - start:.0f} s: {memory.told(idle)}")
    start = time.perf_counter()
    async with memory.sampled():
        found = await read(house, 0, rows)
    if found != rows:
        raise RuntimeError(f"{found} of {rows} rows came back.")
    lines.append(f"stream, {time.perf_counter() - start:.0f} s: {memory.told(idle)}")
    alone = await p99(house, rows)
    async with AsyncExitStack() as stack, memory.sampled():
        for _ in range(STALLED):
            await stalled(house, rows, stack)
        beside = await p99(house, rows)
    lines.append(f"{STALLED} stalled readers: {memory.told(idle)}")
    lines.append(
        f"p99 of small reads: {alone:.1f} ms alone, {beside:.1f} ms beside them "
        f"({beside / alone:.2f} times)"
    )
    return lines


async def run(series: str, size: Size, *, csv: bool) -> None:
    with stores() as where:
        async with dataset(where, series) as house:
            lines = await measure(house, size, csv=csv)
    kind = "CSV" if csv else "Arrow"
    head = (
        f"{size.rows:,} rows x {size.columns} ({size.gigabytes:.1f} GB), "
        f"uploaded as {kind}, stored in {series}"
    )
    sys.stdout.write("\n".join([head, *lines]) + "\n")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description="Memory of the dataset service on large tables")
    parser.add_argument("--series", choices=["arrow", "questdb"], default="arrow")
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--csv", action="store_true", help="upload text instead of Arrow")
    options = parser.parse_args(arguments)
    rows = int(options.gigabytes * 1e9 / 8 / (options.columns + 1))
    asyncio.run(run(options.series, Size(rows, options.columns), csv=options.csv))


if __name__ == "__main__":
    main(sys.argv[1:])
