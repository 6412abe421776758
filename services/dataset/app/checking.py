"""Catalogue and series store held against each other. Tells; changes nothing.

Both move while they are looked at. So tables are listed before and after the catalogue is
read: one that was there both times and that nobody needs is orphaned, one that was there
neither time and is needed is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.dataset.domain.catalogue import ImportState
from services.dataset.domain.findings import Finding, told_time
from services.dataset.domain.names import is_measurement
from services.dataset.domain.records import Inventory, TableRecord
from services.dataset.domain.times import duration
from services.dataset.storage.protocol import Catalogue
from services.shared.clock import Clock
from services.shared.errors import DataLoss
from services.shared.series import Bounds, NoSuchTable, SeriesStore

# An upload may take an hour, and others may be loaded before it.
STUCK_MS: Final = 3 * 3600 * 1000
UNFINISHED_MS: Final = 10 * 60 * 1000


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    findings: tuple[Finding, ...]
    datasets: int
    versions: int
    tables: int


class Checking:
    def __init__(self, *, catalogue: Catalogue, series: SeriesStore, clock: Clock) -> None:
        self._catalogue = catalogue
        self._series = series
        self._clock = clock

    async def run(self) -> CheckReport:
        before = set(await self._series.tables())
        inventory = await self._inventory()
        after = set(await self._series.tables())
        found = [
            *_missing(inventory, before | after),
            *_orphaned(inventory, before & after),
            *_unfinished(inventory, self._clock()),
        ]
        for record in inventory.tables:
            if record.table in before | after and await self._measured(record):
                found += await self._measured_again(record)
        return CheckReport(
            findings=tuple(found),
            datasets=inventory.datasets,
            versions=inventory.versions,
            tables=len(inventory.tables),
        )

    async def _inventory(self) -> Inventory:
        async with self._catalogue.transaction() as catalogue:
            return await catalogue.inventory()

    async def _measured_again(self, record: TableRecord) -> list[Finding]:
        """An append or a delete may have come between inventory and measure."""
        inventory = await self._inventory()
        known = {known.table: known for known in inventory.tables}
        if record.table not in known:
            return []
        return await self._measured(known[record.table])

    async def _measured(self, record: TableRecord) -> list[Finding]:
        try:
            bounds = await self._series.bounds(record.table)
        except NoSuchTable:
            return []  # deleted since
        except DataLoss as error:
            return [Finding(reason="UNREADABLE", message=str(error), subject=record.table)]
        return list(_differences(record, bounds))


def _missing(inventory: Inventory, there: set[str]) -> Iterator[Finding]:
    for record in inventory.tables:
        if record.table not in there:
            message = (
                f"Version {record.version} of {record.slug} needs the table {record.table}, "
                "which is not in the store."
            )
            yield Finding(reason="MISSING_TABLE", message=message, subject=record.table)


def _orphaned(inventory: Inventory, there: set[str]) -> Iterator[Finding]:
    needed = {record.table for record in inventory.tables} | inventory.buried
    needed = needed.union(*(attempt.tables for attempt in inventory.attempts))
    for table in sorted(there - needed):
        if is_measurement(table):
            message = f"Nothing in the catalogue needs the table {table}."
            yield Finding(reason="ORPHANED_TABLE", message=message, subject=table)


def _unfinished(inventory: Inventory, now_ms: int) -> Iterator[Finding]:
    for attempt in inventory.attempts:
        idle_ms = now_ms - attempt.updated_at_ms
        since = f"of {attempt.slug} has been {attempt.state} for {_rounded(idle_ms)}"
        if attempt.state is ImportState.MERGING and idle_ms > UNFINISHED_MS:
            message = f"An append {since}: its rows are still to be published."
            yield Finding(reason="UNFINISHED_APPEND", message=message, subject=attempt.slug)
        elif attempt.is_under_way and idle_ms > STUCK_MS:
            message = f"An import {since}."
            yield Finding(reason="STUCK_IMPORT", message=message, subject=attempt.slug)


def _rounded(ms: int) -> str:
    return duration(ms // 60_000 * 60_000)


def _differences(record: TableRecord, bounds: Bounds | None) -> Iterator[Finding]:
    """Further rows may be those of an append; anything less, or other, may not."""
    rows = bounds.rows if bounds else 0
    if rows < record.rows or (rows > record.rows and not record.may_go_on):
        message = (
            f"The table has {rows} rows, and version {record.version} of {record.slug} "
            f"has {record.rows}."
        )
        yield Finding(reason="ROW_COUNT", message=message, subject=record.table)
    if bounds is None:
        return
    goes_on = record.may_go_on and rows > record.rows
    ends_otherwise = bounds.last_ms != record.last_ms and not goes_on
    if bounds.first_ms != record.first_ms or ends_otherwise:
        message = (
            f"The rows go from {told_time(bounds.first_ms)} to {told_time(bounds.last_ms)}, and "
            f"those of version {record.version} of {record.slug} from "
            f"{told_time(record.first_ms)} to {told_time(record.last_ms)}."
        )
        yield Finding(reason="BOUNDS", message=message, subject=record.table)
