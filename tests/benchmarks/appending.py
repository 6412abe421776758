"""What an append of 100 rows costs on tables of 10,000, 100,000 and 1,000,000.

    .venv-bench/bin/python -m tests.benchmarks.appending [--series questdb]

The named peer is the append to the smallest table, in the same run: the cost of an append should
grow with its own rows only.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.house import Stores, dataset, stores
from tests.benchmarks.importing import write_bars

SIZES: Final = (10_000, 100_000, 1_000_000)
APPENDED: Final = 100
ROUNDS: Final = 10


async def measure(where: Stores, series: str, rounds: int) -> dict[int, list[float]]:
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    async with dataset(where, series) as house:
        for size in SIZES:
            path = where.folder / "bars.csv"
            write_bars(path, size)
            await house.publish(f"bench_{size}", path)
        for number in range(-1, rounds):  # the first round warms up and does not count
            for size in SIZES:
                path = where.folder / "tail.csv"
                write_bars(path, APPENDED, first=size + (number + 1) * APPENDED)
                start = time.perf_counter()
                answer = await house.append(f"bench_{size}", path)
                took = time.perf_counter() - start
                if answer.appended_ohlcv_rows != APPENDED:
                    raise RuntimeError(f"{answer.appended_ohlcv_rows} rows were appended.")
                if number >= 0:
                    seconds[size].append(took)
    return seconds


def run(series: str, rounds: int) -> list[str]:
    with stores() as where:
        seconds = asyncio.run(measure(where, series, rounds))
    base = statistics.median(seconds[SIZES[0]])
    lines = [f"Append of {APPENDED} rows x 20 ({series}), {rounds} rounds: ms, median (range)"]
    for size, each in seconds.items():
        ms = [1000 * second for second in each]
        spread = f"{statistics.median(ms):.0f} ({min(ms):.0f} to {max(ms):.0f})"
        lines.append(f"to {size:>9,} rows {spread:<24} {statistics.median(each) / base:.2f}")
    return lines


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description="Appending to small and large tables")
    parser.add_argument("--series", choices=["arrow", "questdb"], action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    for series in options.series or ["arrow", "questdb"]:
        sys.stdout.write("\n".join(run(series, options.rounds)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
