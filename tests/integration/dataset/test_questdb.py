"""Catalogue operations that read rows, on the real QuestDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from services.dataset.app.bars import Bars, BarsQuery
from services.dataset.app.checking import Checking
from services.dataset.app.places import Places
from services.dataset.app.verifying import Verifying, VerifyOrder, VerifyReport
from services.dataset.calendars import exchange_sessions
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared.clock import system_clock
from services.shared.postgres import Pool
from services.shared.series import SeriesStore, Span, Times
from services.shared.series.questdb import questdb_store
from tests.integration.dataset import inside
from tests.integration.dataset.client import bar_file, indicator_file
from tests.unit.dataset.bars import hourly

TIMES = np.delete(hourly(3000), 1500)


@dataclass(frozen=True, kw_only=True)
class Quest:
    catalogue: PostgresCatalogue
    series: SeriesStore
    folder: Path
    manifest: Manifest

    async def reasons(self) -> set[str]:
        verifying = Verifying(
            catalogue=self.catalogue,
            series=self.series,
            spool=Spool(self.folder / "spool", 1 << 30),
            places=Places(1),
            sessions=exchange_sessions,
        )
        order = VerifyOrder(name=self.manifest.dataset_id, version=None, parts=(), sample_rows=0)

        async def nothing() -> AsyncIterator[Any]:
            return
            yield

        *_, report = [step async for step in verifying.run(order, nothing())]
        assert isinstance(report, VerifyReport)
        return {finding.reason for finding in report.findings}

    async def checked(self) -> set[tuple[str, str]]:
        checking = Checking(catalogue=self.catalogue, series=self.series, clock=system_clock)
        found = (await checking.run()).findings
        slug = self.manifest.dataset_slug
        return {(f.reason, f.subject) for f in found if f.subject.startswith(slug)}

    async def rows(self, table: Table, span: Span | None, *, descending: bool) -> list[Any]:
        reading = await Bars(catalogue=self.catalogue, series=self.series).read(
            BarsQuery(
                name=self.manifest.dataset_id,
                version=None,
                table=table,
                columns=("close",) if table is Table.OHLCV else ("ADX",),
                span=span,
                descending=descending,
            )
        )
        batches = [batch async for batch in reading.pieces]
        assert all(isinstance(batch, pa.RecordBatch) for batch in batches)
        rows: list[Any] = pa.Table.from_batches(batches, reading.schema).to_pylist()
        return rows


@pytest.fixture
async def quest(migrated: Pool, questdb_server: str, tmp_path: Path) -> AsyncIterator[Quest]:
    venue = pa.array([None if i % 7 == 0 else f"v{i % 5}" for i in range(len(TIMES))])
    files = bar_file(TIMES, venue=venue), indicator_file(TIMES[50:2900])
    async with (
        questdb_store(questdb_server) as series,
        inside.started(migrated, tmp_path, series=lambda _: series) as service,
    ):
        published = await service.run(inside.order(f"q_{uuid4().hex}"), *files)
        yield Quest(
            catalogue=PostgresCatalogue(migrated, system_clock),
            series=series,
            folder=tmp_path,
            manifest=published.dataset.manifest,
        )


async def test_a_version_is_sound_until_its_table_is_lost(quest: Quest) -> None:
    assert await quest.reasons() == set()
    assert await quest.checked() == set()
    await quest.series.drop(quest.manifest.ohlcv_measurement)
    assert await quest.reasons() == {"MISSING_TABLE"}
    assert await quest.checked() == {("MISSING_TABLE", quest.manifest.ohlcv_measurement)}


async def test_a_value_that_was_written_over_is_found(quest: Quest) -> None:
    table = quest.manifest.indicator_measurement
    assert table is not None
    schema = (await quest.series.schema(table)).remove(0)
    row = {"timestamp_ms": int(TIMES[100]), "RSI": 0.25, "ADX": 0.25, "TGT_6": None}

    async def other() -> AsyncIterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([row], schema=schema)

    await quest.series.write(table, other())
    await quest.series.settle(table)
    assert await quest.reasons() == {"NULL_COUNT", "BLOCK_HASH", "CONTENT_HASH"}


@pytest.mark.parametrize("table", list(Table))
async def test_descending_is_ascending_reversed(
    quest: Quest, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dataset.app.descending.BLOCK_BYTES", 16_000)
    monkeypatch.setattr("services.dataset.app.boundaries.BLOCK_ROWS", 200)
    for span in (None, Times(int(TIMES[300]) - 1, int(TIMES[1700]) + 1)):
        forwards = await quest.rows(table, span, descending=False)
        assert len(forwards) > 1000
        assert await quest.rows(table, span, descending=True) == forwards[::-1]


async def test_times_are_found_with_few_small_reads(
    quest: Quest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dataset.app.boundaries.BLOCK_ROWS", 200)
    bars = Bars(catalogue=quest.catalogue, series=quest.series)
    asked = [int(TIMES[i]) + shift for i in (0, 1, 1499, 1500, 2998) for shift in (-1, 0, 1)]
    name = quest.manifest.dataset_id
    found = await bars.indices_of(name, None, Table.OHLCV, asked)
    assert found == np.searchsorted(TIMES, asked).tolist()
    indices = [2998, 0, 777, 1500]
    assert await bars.times_of(name, None, Table.OHLCV, indices) == TIMES[indices].tolist()
