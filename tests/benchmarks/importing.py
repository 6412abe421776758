"""A CSV file of bars until it is published and verified, against the bare path to QuestDB.

    .venv-bench/bin/python -m tests.benchmarks.importing [--rows 200000 --rounds 3]

The bare path parses with polars and sends with one bare `Sender` into a table with dedup keys,
until the rows can be read: nothing is judged, kept for later, verified or published. Ours is
what a client of ImportDataset sees, from the first byte to the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import polars as pl
from questdb import Sender

from tests.benchmarks.house import House, Stores, dataset, stores

ROWS: Final = 1_000_000
ROUNDS: Final = 3
COLUMNS: Final = 20
MINUTE_MS: Final = 60_000
START_MS: Final = 1_500_000_000_000
NAMES: Final = ("open", "high", "low", "close", "volume", *(f"c{i:02}" for i in range(5, COLUMNS)))


def write_bars(path: Path, rows: int, *, first: int = 0, columns: int = COLUMNS) -> None:
    """A random walk of minute bars and columns of noise. Any range of rows is the same again."""
    rng = np.random.default_rng(first)
    close = 100 + rng.normal(0, 0.1, rows).cumsum() / np.sqrt(rows)
    opened = np.concatenate([[100.0], close[:-1]])
    values = {
        "timestamp_ms": START_MS + (first + np.arange(rows)) * MINUTE_MS,
        "open": opened,
        "high": np.maximum(opened, close) + 0.05,
        "low": np.minimum(opened, close) - 0.05,
        "close": close,
        "volume": rng.integers(1, 1000, rows).astype(float),
    }
    noise = {f"c{i:02}": rng.normal(size=rows) for i in range(5, columns)}
    pl.DataFrame(values | noise).write_csv(path, float_precision=6)


class BarePath:
    """polars, pandas and one `Sender`: what a script of twenty lines would do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._address = url.removeprefix("http://")

    def load(self, path: Path, table: str) -> int:
        types = {"timestamp_ms": pl.Int64} | dict.fromkeys(NAMES, pl.Float64)
        frame = pl.read_csv(path, schema=types)
        stamp = pl.from_epoch("timestamp_ms", "ms").alias("timestamp")
        rows = frame.select(stamp, *NAMES).to_pandas()
        columns = ", ".join(f'"{name}" DOUBLE' for name in NAMES)
        self._execute(
            f'CREATE TABLE "{table}" (timestamp TIMESTAMP, {columns}) TIMESTAMP(timestamp) '
            "PARTITION BY MONTH WAL DEDUP UPSERT KEYS(timestamp)"
        )
        conf = f"http::addr={self._address};auto_flush_bytes=8000000;auto_flush_rows=off;"
        with Sender.from_conf(f"{conf}auto_flush_interval=off;") as sender:
            sender.dataframe(rows, table_name=table, at="timestamp")
        self._applied(table)
        count: int = self._execute(f'SELECT count() FROM "{table}"')["dataset"][0][0]
        self._execute(f'DROP TABLE "{table}"')
        return count

    def _applied(self, table: str) -> None:
        query = f"SELECT writerTxn, sequencerTxn FROM wal_tables() WHERE name = '{table}'"
        while True:
            [[written, sequenced]] = self._execute(query)["dataset"]
            if written >= sequenced:
                return
            time.sleep(0.005)

    def _execute(self, query: str) -> Any:
        answer = httpx.get(f"{self._url}/exec", params={"query": query}, timeout=60)
        answer.raise_for_status()
        return answer.json()


async def published(house: House, path: Path, slug: str) -> int:
    answer = await house.publish(slug, path)
    rows: int = answer.dataset.manifest.ohlcv_rows
    return rows


async def compare(where: Stores, path: Path, rows: int, rounds: int) -> dict[str, list[float]]:
    bare = BarePath(where.questdb_url)
    seconds: dict[str, list[float]] = {"bare": [], "questdb": [], "arrow": []}
    async with AsyncExitStack() as stack:
        houses = {
            s: await stack.enter_async_context(dataset(where, s)) for s in ("questdb", "arrow")
        }
        for number in range(-1, rounds):  # the first round warms up and does not count
            order = list(seconds)[:: 1 if number % 2 else -1]
            for name in order:
                slug = f"bench_{name}"
                start = time.perf_counter()
                if name == "bare":
                    loaded = await asyncio.to_thread(bare.load, path, f"bare_{number + 1}")
                else:
                    loaded = await published(houses[name], path, slug)
                took = time.perf_counter() - start
                if loaded != rows:
                    raise RuntimeError(f"{name} loaded {loaded} of {rows} rows.")
                if name != "bare":
                    await houses[name].delete(slug)
                if number >= 0:
                    seconds[name].append(took)
    return seconds


LABELS: Final = {
    "bare": "bare: polars, one Sender, until visible",
    "questdb": "Stage1, published and verified in QuestDB",
    "arrow": "Stage1, published and verified in Arrow files",
}


def run(rows: int, rounds: int) -> None:
    with stores() as where:
        path = where.folder / "bars.csv"
        write_bars(path, rows)
        seconds = asyncio.run(compare(where, path, rows, rounds))
        megabytes = path.stat().st_size / 1e6
    base = statistics.median(seconds["bare"])
    lines = [
        f"Import of a CSV file: {rows:,} rows x {COLUMNS} ({megabytes:.0f} MB), {rounds} rounds",
        f"{'seconds: median (range)':<48} {'':<22} ratio to bare",
    ]
    for name, each in seconds.items():
        spread = f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
        lines.append(f"{LABELS[name]:<48} {spread:<22} {base / statistics.median(each):.2f}")
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description="Import of a CSV file against the bare path")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    run(options.rows, options.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
