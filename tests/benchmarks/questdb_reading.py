"""ReadBars from QuestDB over gRPC against reading the same slices with bare HTTP and pyarrow.

    .venv-bench/bin/python -m tests.benchmarks.questdb_reading [--rows 200000 --rounds 3]

The bare reader asks the same server for the same table in time ranges of 100,000 rows as
Parquet, one after the other, and makes tables of them: no index, no second process, no guards.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Final

import httpx
import pyarrow.parquet as pq
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.arrow_stream import read_arrow
from tests.benchmarks.house import READ_BARS, House, dataset, stores
from tests.benchmarks.importing import COLUMNS, MINUTE_MS, START_MS, write_bars

ROWS: Final = 1_000_000
ROUNDS: Final = 7
SLICE_ROWS: Final = 100_000


def read_bare(url: str, table: str, rows: int) -> int:
    read = 0
    with httpx.Client(timeout=60) as client:
        for start in range(0, rows, SLICE_ROWS):
            low, high = ((START_MS + row * MINUTE_MS) * 1000 for row in (start, start + SLICE_ROWS))
            query = f'SELECT * FROM "{table}" WHERE timestamp >= {low} AND timestamp < {high}'
            asked = {"query": query, "fmt": "parquet", "compression_codec": "uncompressed"}
            answer = client.get(f"{url}/exp", params=asked)
            answer.raise_for_status()
            read += pq.read_table(io.BytesIO(answer.content)).num_rows
    return read


async def read_ours(house: House, slug: str) -> int:
    request = pb.ReadBarsRequest(dataset=slug, table=dataset_pb2.TABLE_OHLCV)
    rows = 0
    async for batch in read_arrow(house.channel, READ_BARS, request):
        rows += batch.num_rows
    return rows


async def compare(rows: int, rounds: int) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    bare: list[float] = []
    with stores() as where:
        path = where.folder / "bars.csv"
        write_bars(path, rows)
        async with dataset(where, "questdb") as house:
            answer = await house.publish("bench", path)
            table = answer.dataset.manifest.ohlcv_measurement
            for number in range(-1, rounds):  # the first round warms up and does not count
                start = time.perf_counter()
                read = [await asyncio.to_thread(read_bare, where.questdb_url, table, rows)]
                middle = time.perf_counter()
                read.append(await read_ours(house, "bench"))
                end = time.perf_counter()
                if read != [rows, rows]:
                    raise RuntimeError(f"Of {rows} rows {read} were read.")
                if number >= 0:
                    bare.append(middle - start)
                    ours.append(end - middle)
    return ours, bare


def run(rows: int, rounds: int) -> None:
    ours, bare = asyncio.run(compare(rows, rounds))
    megabytes = rows * 8 * (COLUMNS + 1) / 1e6

    def row(name: str, seconds: list[float]) -> str:
        speeds = [megabytes / each for each in seconds]
        return (
            f"{name:<44} {statistics.median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f})"
            f"   {statistics.median(bare) / statistics.median(seconds):.2f}"
        )

    lines = [
        f"Reading from QuestDB: {rows:,} rows x {COLUMNS} ({megabytes:.0f} MB), {rounds} rounds",
        f"{'MB/s: median (range)':<44} {'':<18} ratio to bare",
        row("bare: Parquet slices over HTTP, pyarrow", bare),
        row("Stage1: ReadBars over gRPC", ours),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description="ReadBars from QuestDB against bare HTTP")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    run(options.rows, options.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
