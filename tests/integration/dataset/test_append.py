"""Rows at the end of a dataset: what is taken, what is refused, and what it costs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage1.dataset.v1 import dataset_pb2

from services.dataset.domain.catalogue import (
    Counts,
    ImportOvertaken,
    KeyReused,
    Published,
    VersionChanged,
)
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import NoIndicators
from services.dataset.domain.overlap import RowsDiffer
from services.shared.errors import InvalidRequest, NotFound
from services.shared.postgres import Pool
from tests.integration.dataset.client import INDICATORS, OHLCV, arrow_file
from tests.integration.dataset.growing import World, changed, read_version, written
from tests.integration.dataset.inside import Service, append, order, started
from tests.unit.dataset.bars import hourly

WORLD = World(400)
REJECT = dataset_pb2.GAP_POLICY_REJECT


async def imported(service: Service, slug: str) -> Published:
    """Bars 0 to 300, indicators of bars 50 to 294."""
    return await service.run(order(slug), *WORLD.files((0, 300), (0, 244)))


async def test_bars_and_indicators_of_an_append_become_the_next_version(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "grown")).dataset
        grown = await service.append(append("grown"), *WORLD.files((300, 400), (244, 344)))
        whole = (await service.run(order("whole"), *WORLD.files((0, 400), (0, 344)))).dataset
        manifest = grown.dataset.manifest
        assert grown.report.counts == Counts(ohlcv_rows=100, indicator_rows=100)
        assert (manifest.version, manifest.ohlcv_rows, manifest.indicator_rows) == (2, 400, 344)
        assert (manifest.lookback_rows, manifest.lookahead_rows) == (50, 6)
        assert manifest.content_hash == whole.manifest.content_hash
        assert manifest.ohlcv_measurement == first.manifest.ohlcv_measurement
        for table in (Table.OHLCV, Table.INDICATORS):
            now = await read_version(service, grown.dataset, table)
            before = await read_version(service, first, table)
            assert now.equals(await read_version(service, whole, table))
            assert now.slice(0, len(before)).equals(before)
        assert await service.tables_of("grown") == await service.published_tables("grown")


async def test_an_overlap_with_equal_values_is_accepted_and_the_rest_appended(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "overlapping")
        grown = await service.append(append("overlapping"), *WORLD.files((200, 310), (200, 254)))
        assert grown.report.counts == Counts(
            ohlcv_rows=10, indicator_rows=10, repeated_ohlcv_rows=100, repeated_indicator_rows=44
        )


async def test_a_repeated_append_changes_nothing(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "repeated")
        files = WORLD.files((300, 310), (244, 254))
        first = await service.append(append("repeated"), *files)
        again = await service.append(append("repeated"), *files)
        assert again.dataset == first.dataset
        assert again.report.counts == Counts(repeated_ohlcv_rows=10, repeated_indicator_rows=10)
        _, versions = await service.datasets.get("repeated")
        assert list(versions) == [1, 2]


@pytest.mark.parametrize("value", [None, -0.0, 1.5])
async def test_other_values_are_a_conflict_that_writes_nothing(
    migrated: Pool, tmp_path: Path, value: float | None
) -> None:
    slug = f"conflict_{value}".replace(".", "_").replace("-", "m").lower()
    async with started(migrated, tmp_path) as service:
        await imported(service, slug)
        tables = await service.tables_of(slug)
        indicators = changed(WORLD.indicators.slice(240, 14), 2, "ADX", value)
        with pytest.raises(RowsDiffer, match="ADX at 2024-01-13T04:00:00Z is ") as refused:
            await service.append(append(slug), WORLD.bars_file(300, 310), written(indicators))
        assert refused.value.reason == "ROWS_DIFFER"
        assert repr(WORLD.indicators["ADX"][242].as_py()) in str(refused.value)
        assert ("is nothing" in str(refused.value)) == (value is None)
        assert await service.tables_of(slug) == tables
        assert (await service.datasets.get(slug))[0].version == 1


async def test_values_are_equal_as_they_are_in_the_canonical_form(
    migrated: Pool, tmp_path: Path
) -> None:
    table = changed(changed(WORLD.indicators, 242, "ADX", None), 243, "ADX", 0.0)
    async with started(migrated, tmp_path) as service:
        await service.run(order("canonical"), WORLD.bars_file(0, 300), written(table.slice(0, 244)))
        again = changed(changed(table, 242, "ADX", np.nan), 243, "ADX", -0.0)
        grown = await service.append(append("canonical", INDICATORS), written(again.slice(240, 10)))
        assert grown.report.counts == Counts(indicator_rows=6, repeated_indicator_rows=4)
        nulls = {column.name: column.null_count for column in grown.dataset.manifest.columns}
        assert (nulls["ADX"], nulls["RSI"]) == (1, 0)


async def test_bars_alone_are_lookahead_until_their_indicators_come(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "in_turns")
        bars = await service.append(append("in_turns", OHLCV), WORLD.bars_file(300, 320))
        assert bars.dataset.manifest.lookahead_rows == 26
        both = await service.append(append("in_turns", INDICATORS), WORLD.indicators_file(244, 270))
        manifest = both.dataset.manifest
        assert (manifest.lookahead_rows, manifest.indicator_rows) == (0, 270)
        with pytest.raises(InvalidRequest, match="where there is no bar yet"):
            await service.append(append("in_turns", INDICATORS), WORLD.indicators_file(270, 280))


async def test_new_indicators_stand_on_the_bars_one_by_one(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "aligned")
        with pytest.raises(InvalidRequest, match="leave out the bar at 2024-01-13T06:00:00Z"):
            await service.append(append("aligned", INDICATORS), WORLD.indicators_file(245, 250))


async def test_a_dataset_of_bars_takes_no_indicators(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        first = await service.run(order("bars_only", tables=(OHLCV,)), WORLD.bars_file(0, 300))
        assert first.dataset.manifest.lookback_rows == 300
        with pytest.raises(NoIndicators, match="publish a new version"):
            await service.append(append("bars_only", INDICATORS), WORLD.indicators_file(0, 10))
        grown = await service.append(append("bars_only", OHLCV), WORLD.bars_file(300, 310))
        manifest = grown.dataset.manifest
        assert (manifest.lookback_rows, manifest.lookahead_rows) == (310, 0)


async def test_rows_before_or_between_those_there_are_refused(
    migrated: Pool, tmp_path: Path
) -> None:
    gappy = pa.concat_tables([WORLD.bars.slice(10, 100), WORLD.bars.slice(112, 100)])
    async with started(migrated, tmp_path) as service:
        await service.run(order("early", tables=(OHLCV,)), written(gappy))
        with pytest.raises(InvalidRequest, match="2024-01-01T08:00:00Z, and 1 more such rows, bef"):
            await service.append(append("early", OHLCV), WORLD.bars_file(8, 20))
        with pytest.raises(InvalidRequest, match="2024-01-05T14:00:00Z, and 1 more such rows, bet"):
            await service.append(append("early", OHLCV), WORLD.bars_file(100, 120))


async def test_gaps_of_the_new_tail_are_marked_or_rejected(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await service.run(order("gaps", tables=(OHLCV,)), WORLD.bars_file(0, 300))
        late = WORLD.bars_file(303, 310)
        with pytest.raises(InvalidRequest, match="gap_policy is reject, and 3 expected slots"):
            await service.append(append("gaps", OHLCV, policy=REJECT), late)
        grown = await service.append(append("gaps", OHLCV), late)
        assert [gap.missing for gap in grown.dataset.manifest.gaps] == [3]
        assert "3 expected slots have no bar" in grown.report.warnings[0]


async def test_bars_off_the_datasets_slots_are_refused(migrated: Pool, tmp_path: Path) -> None:
    shifted = WORLD.bars.slice(300, 50)
    times = pa.array(shifted["timestamp_ms"].to_numpy() + 60_000)
    async with started(migrated, tmp_path) as service:
        await service.run(order("off_slot", tables=(OHLCV,)), WORLD.bars_file(0, 300))
        with pytest.raises(InvalidRequest, match="50 bars are on none of its slots"):
            await service.append(
                append("off_slot", OHLCV), written(shifted.set_column(0, "timestamp_ms", times))
            )


async def test_columns_are_those_of_the_dataset_in_any_order(
    migrated: Pool, tmp_path: Path
) -> None:
    names = ["timestamp_ms", "TGT_6", "RSI", "ADX"]
    turned = WORLD.indicators.select(names).slice(244, 6)
    async with started(migrated, tmp_path) as service:
        await imported(service, "columns")
        other = turned.rename_columns(["timestamp_ms", "TGT_6", "RSI", "VOLA"])
        with pytest.raises(InvalidRequest, match=r"lacks the columns 'ADX' .*; .* 'VOLA'") as wrong:
            await service.append(append("columns", INDICATORS), written(other))
        assert wrong.value.reason == "COLUMNS_DIFFER"
        grown = await service.append(append("columns", INDICATORS), written(turned))
        rows = await read_version(service, grown.dataset, Table.INDICATORS)
        assert rows.drop_columns("index").slice(244).equals(WORLD.indicators.slice(244, 6))


async def test_bars_without_volume_do_not_follow_bars_with_it(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "volume")
        without = WORLD.bars.slice(300, 10).drop_columns("volume")
        with pytest.raises(InvalidRequest, match="has no volume"):
            await service.append(append("volume", OHLCV), written(without))


async def test_text_stays_text_and_numbers_stay_numbers(migrated: Pool, tmp_path: Path) -> None:
    times = hourly(30)
    names = np.array([f"n{i}" for i in range(20)] + [str(i) for i in range(10)])
    table = WORLD.bars.slice(0, 30).append_column("phase", pa.array(names))
    async with started(migrated, tmp_path) as service:
        await service.run(order("texts", tables=(OHLCV,)), written(table.slice(0, 20)))
        numbers = table.slice(20, 10)
        numbers = numbers.set_column(6, "phase", pa.array(np.arange(20.0, 30.0)))
        with pytest.raises(InvalidRequest, match="names 'phase', which is no text"):
            await service.append(append("texts", OHLCV), written(numbers))
        grown = await service.append(append("texts", OHLCV), written(table.slice(20, 10)))
        rows = await read_version(service, grown.dataset, Table.OHLCV)
        assert rows["phase"].to_pylist() == names.tolist()
        assert rows["timestamp_ms"].to_numpy().tolist() == times.tolist()


async def test_an_expected_version_must_be_the_newest(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "expected")
        bars = WORLD.bars_file(300, 310)
        with pytest.raises(VersionChanged, match="is at version 1, and 2 was expected"):
            await service.append(append("expected", OHLCV, expected_version=2), bars)
        asked = append("expected", OHLCV, expected_version=1, key="expected")
        grown = await service.append(asked, bars)
        assert grown.dataset.version == 2
        assert await service.append(asked, bars) == grown


async def test_a_key_answers_the_same_and_refuses_another_body(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "keyed")
        first = await service.append(append("keyed", OHLCV, key="k"), WORLD.bars_file(300, 310))
        nothing = await service.append(append("keyed", OHLCV, key="n"), WORLD.bars_file(300, 310))
        await service.append(append("keyed", OHLCV), WORLD.bars_file(310, 320))
        assert first == await service.append(
            append("keyed", OHLCV, key="k"), WORLD.bars_file(300, 310)
        )
        assert nothing == await service.append(
            append("keyed", OHLCV, key="n"), WORLD.bars_file(300, 310)
        )
        assert nothing.dataset.version == 2
        with pytest.raises(KeyReused):
            await service.append(append("keyed", OHLCV, key="k"), WORLD.bars_file(300, 311))


async def test_the_same_append_twice_at_once_is_done_once(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "twins")
        files = WORLD.files((300, 310), (244, 254))
        one, other = await asyncio.gather(
            *(service.append(append("twins", key="twins"), *files) for _ in range(2))
        )
        assert one == other
        assert one.dataset.version == 2


async def test_appends_at_once_go_one_after_another(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "queued")
        ends = (310, 330, 320, 340)
        published = await asyncio.gather(
            *(service.append(append("queued", OHLCV), WORLD.bars_file(295, end)) for end in ends)
        )
        newest, _ = await service.datasets.get("queued")
        assert newest.manifest.ohlcv_rows == 340
        assert newest.version == max(found.dataset.version for found in published)
        assert await service.tables_of("queued") == await service.published_tables("queued")


async def test_an_import_overtakes_an_append_or_is_overtaken(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "raced")).dataset
        results = await asyncio.gather(
            service.run(order("raced", first.dataset_id), *WORLD.files((0, 350), (0, 290))),
            service.append(append("raced", OHLCV), WORLD.bars_file(350, 360)),
            return_exceptions=True,
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(error, ImportOvertaken) for error in failed)
        _, versions = await service.datasets.get("raced")
        assert list(versions) == list(range(1, 4 - len(failed)))
        assert await service.tables_of("raced") == await service.published_tables("raced")


async def test_an_import_after_appends_gets_tables_of_its_own_and_a_delete_drops_all(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "renewed")).dataset
        grown = await service.append(append("renewed", OHLCV), WORLD.bars_file(300, 310))
        await service.run(order("renewed", first.dataset_id), *WORLD.files((0, 350), (0, 290)))
        rows = await read_version(service, grown.dataset, Table.OHLCV)
        assert rows.drop_columns("index").equals(WORLD.bars.slice(0, 310))
        assert len(await service.tables_of("renewed")) == 4
        await service.datasets.delete("renewed", force=False)
        assert await service.tables_of("renewed") == set()
        with pytest.raises(NotFound):
            await service.append(append("renewed", OHLCV), WORLD.bars_file(310, 320))


async def test_what_is_said_of_a_dataset_stays_when_it_grows(
    migrated: Pool, tmp_path: Path
) -> None:
    async with started(migrated, tmp_path) as service:
        first = (await imported(service, "described")).dataset
        grown = (
            await service.append(append("described", OHLCV), WORLD.bars_file(300, 310))
        ).dataset
        assert (grown.symbol, grown.source, grown.metadata) == (
            first.symbol,
            first.source,
            first.metadata,
        )
        assert grown.created_at_ms == first.created_at_ms


async def test_an_empty_file_is_refused(migrated: Pool, tmp_path: Path) -> None:
    async with started(migrated, tmp_path) as service:
        await imported(service, "empty")
        with pytest.raises(InvalidRequest):
            await service.append(append("empty", OHLCV), arrow_file({"timestamp_ms": []}))


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Per append the bars and indicators that come: from somewhere known to somewhere new."""
    cuts = sorted(draw(st.sets(st.integers(101, 399), max_size=5)))
    found = []
    bars, indicators = 100, draw(st.integers(1, 50))
    found.append((0, bars, 0, indicators))
    for end in [*cuts, 400]:
        reach = draw(st.integers(indicators, min(end - 50, 344)))
        back = (draw(st.integers(0, bars)), draw(st.integers(0, indicators)))
        found.append((back[0], end, back[1], reach))
        bars, indicators = end, reach
    found.append((399, 400, indicators - 1, 344))
    return found


@given(steps=steps())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_way_to_cut_a_table_gives_the_same_rows_and_hash(
    migrated: Pool, tmp_path: Path, steps: list[tuple[int, int, int, int]]
) -> None:
    async with started(migrated, tmp_path) as service:
        whole = (await service.run(order("uncut"), *WORLD.files((0, 400), (0, 344)))).dataset
        versions: list[Published] = []
        for at, (bars, bars_end, rows, rows_end) in enumerate(steps):
            files = WORLD.files((bars, bars_end), (rows, max(rows_end, rows + 1)))
            if at == 0:
                versions.append(await service.run(order("cut"), *files))
            else:
                versions.append(await service.append(append("cut"), *files))
        assert versions[-1].dataset.manifest.content_hash == whole.manifest.content_hash
        for published in versions:
            manifest = published.dataset.manifest
            bars_now = await read_version(service, published.dataset, Table.OHLCV)
            rows_now = await read_version(service, published.dataset, Table.INDICATORS)
            assert bars_now.drop_columns("index").equals(WORLD.bars.slice(0, manifest.ohlcv_rows))
            expected = WORLD.indicators.slice(0, manifest.indicator_rows)
            assert rows_now.drop_columns("index").equals(expected)
        for slug in ("cut", "uncut"):
            await service.datasets.delete(slug, force=False)
