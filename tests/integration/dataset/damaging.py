"""A store of one dataset, and what may happen to it behind the back of its service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from services.dataset.app.checking import Checking
from services.dataset.app.places import Places
from services.dataset.app.verifying import Verifying, VerifyOrder, VerifyReport
from services.dataset.calendars import exchange_sessions
from services.dataset.domain.manifest import Manifest
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared.clock import system_clock
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.integration.dataset import inside
from tests.integration.dataset.client import (
    bar_file,
    indicator_file,
)
from tests.unit.dataset.bars import hourly

TIMES = hourly(3000)


async def nothing() -> AsyncIterator[Any]:
    return
    yield


@dataclass(frozen=True, kw_only=True)
class Store:
    """What is published in it may be damaged behind its back."""

    pool: Pool
    folder: Path
    manifest: Manifest

    async def verified(self) -> VerifyReport:
        """By a process that has just started."""
        async with arrow_files(self.folder / "series") as series:
            return await self.verified_in(series)

    async def verified_in(self, series: ArrowFiles) -> VerifyReport:
        verifying = Verifying(
            catalogue=PostgresCatalogue(self.pool, system_clock),
            series=series,
            spool=Spool(self.folder / "spool", 1 << 30),
            places=Places(1),
            sessions=exchange_sessions,
        )
        name = self.manifest.dataset_id
        order = VerifyOrder(name=name, version=None, parts=(), sample_rows=0)
        *_, report = [step async for step in verifying.run(order, nothing())]
        assert isinstance(report, VerifyReport)
        return report

    async def reasons(self) -> set[str]:
        return {finding.reason for finding in (await self.verified()).findings}

    async def checked(self, *, later_ms: int = 0) -> set[tuple[str, str]]:
        """Reasons and subjects of what the check of this store says of it."""
        async with arrow_files(self.folder / "series") as series:
            report = await self.checking(series, later_ms).run()
        slug = self.manifest.dataset_slug
        return {
            (finding.reason, finding.subject)
            for finding in report.findings
            if finding.subject.startswith(slug)
        }

    def checking(self, series: ArrowFiles, later_ms: int) -> Checking:
        def clock() -> int:
            return system_clock() + later_ms

        return Checking(catalogue=PostgresCatalogue(self.pool, clock), series=series, clock=clock)

    def segments(self, table: str | None) -> list[Path]:
        assert table is not None
        return sorted((self.folder / "series" / table).glob("[0-9]*.arrow"))

    async def sql(self, statement: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement.encode(), {"id": self.manifest.dataset_id})


async def published_store(pool: Pool, folder: Path) -> Store:
    """Bars with a gap and a text column, and their indicators."""
    slug = f"d_{uuid4().hex}"
    times = np.delete(TIMES, 1500)
    bars = bar_file(times, venue=pa.array([f"v{i % 5}" for i in range(len(times))]))
    async with inside.started(pool, folder) as service:
        published = await service.run(inside.order(slug), bars, indicator_file(times[50:2900]))
    return Store(pool=pool, folder=folder, manifest=published.dataset.manifest)


async def rewritten(store: Store, table: str, change: Any) -> None:
    """The same table with other rows, as if the store had been written to by somebody else."""
    async with arrow_files(store.folder / "series") as series:
        schema = (await series.schema(table)).remove(0)
        batches = [batch async for batch in series.read(table, schema.names)]
        changed = change(pa.Table.from_batches(batches, schema))
        await series.drop(table)
        await series.create(table, schema)

        async def stream() -> AsyncIterator[pa.RecordBatch]:
            for batch in changed.to_batches():
                yield batch

        await series.write(table, stream())
