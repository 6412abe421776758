"""A version held against its rows and its record: each kind of damage is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from services.dataset.app.order import Part, PartBytes
from services.dataset.app.places import Places, TooManyImports
from services.dataset.app.verifying import Progress, Verifying, VerifyOrder, VerifyReport
from services.dataset.calendars import exchange_sessions
from services.dataset.domain.columns import Table
from services.dataset.formats import Options
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared.clock import system_clock
from services.shared.errors import DataLoss, InvalidRequest, NotFound
from services.shared.postgres import Pool
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.integration.dataset.damaging import Store, nothing, published_store, rewritten


@pytest.fixture
async def store(migrated: Pool, tmp_path: Path) -> Store:
    return await published_store(migrated, tmp_path)


def with_time_moved(table: pa.Table) -> pa.Table:
    times = table["timestamp_ms"].to_numpy().copy()
    times[700] += 1
    return table.set_column(0, table.schema.field(0), pa.array(times))


def with_a_null_more(table: pa.Table) -> pa.Table:
    values = table["close" if "close" in table.column_names else "RSI"].to_pylist()
    values[7] = None
    name = "close" if "close" in table.column_names else "RSI"
    at = table.column_names.index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, pa.float64()))


class TestRows:
    async def test_a_version_as_it_was_published_is_sound(self, store: Store) -> None:
        report = await store.verified()
        assert report.findings == ()
        assert report.rows == 2999 + 2850
        assert report.content_hash == store.manifest.content_hash

    async def test_a_flipped_bit_is_found_and_placed(self, store: Store) -> None:
        (segment,) = store.segments(store.manifest.ohlcv_measurement)
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
        report = await store.verified()
        by_reason = {finding.reason: finding for finding in report.findings}
        assert {"CONTENT_HASH", "BLOCK_HASH"} <= set(by_reason)
        assert by_reason["BLOCK_HASH"].subject == store.manifest.ohlcv_measurement
        assert report.content_hash != store.manifest.content_hash

    @pytest.mark.parametrize("place", range(16, 6000, 411))
    async def test_a_byte_changed_anywhere_is_found_and_never_a_crash(
        self, store: Store, place: int
    ) -> None:
        (segment,) = store.segments(store.manifest.indicator_measurement)
        content = bytearray(segment.read_bytes())
        before = bytes(content)
        content[place * len(content) // 6000] ^= 0xFF
        segment.write_bytes(content)
        changed = self.columns_of(before) != self.columns_of(bytes(content))
        assert bool(await store.reasons()) == changed

    def columns_of(self, content: bytes) -> object:
        """What a reader would see: padding between columns is seen by nobody."""
        try:
            with pa.ipc.open_file(pa.py_buffer(content)) as file:
                whole = file.read_all()
            whole.validate(full=True)
            return [column.to_pylist() for column in whole.drop_columns("index").columns]
        except (pa.ArrowException, OSError, ValueError):
            return "unreadable"

    async def test_a_lost_segment_is_found(self, store: Store) -> None:
        (segment,) = store.segments(store.manifest.ohlcv_measurement)
        segment.unlink()
        reasons = await store.reasons()
        assert {"ROW_COUNT", "BLOCK_HASH", "CONTENT_HASH"} <= reasons
        assert ("ROW_COUNT", store.manifest.ohlcv_measurement) in await store.checked()

    async def test_half_a_segment_is_found(self, store: Store) -> None:
        (segment,) = store.segments(store.manifest.indicator_measurement)
        segment.write_bytes(segment.read_bytes()[:5000])
        assert await store.reasons() == {"UNREADABLE"}
        table = store.manifest.indicator_measurement or ""
        assert await store.checked() == {("UNREADABLE", table)}

    async def test_a_lost_table_is_found(self, store: Store) -> None:
        async with arrow_files(store.folder / "series") as series:
            await series.drop(store.manifest.ohlcv_measurement)
        assert await store.reasons() == {"MISSING_TABLE"}
        assert await store.checked() == {("MISSING_TABLE", store.manifest.ohlcv_measurement)}

    async def test_a_bar_that_moved_breaks_everything_that_rests_on_its_time(
        self, store: Store
    ) -> None:
        await rewritten(store, store.manifest.ohlcv_measurement, with_time_moved)
        found = await store.reasons()
        assert found == {"OFF_SLOT", "ALIGNMENT", "BLOCK_HASH", "CONTENT_HASH"}

    async def test_an_indicator_row_that_moved_is_misaligned(self, store: Store) -> None:
        await rewritten(store, store.manifest.indicator_measurement or "", with_time_moved)
        assert await store.reasons() == {"ALIGNMENT", "BLOCK_HASH", "CONTENT_HASH"}

    async def test_a_value_that_went_missing_is_counted(self, store: Store) -> None:
        await rewritten(store, store.manifest.indicator_measurement or "", with_a_null_more)
        assert await store.reasons() == {"NULL_COUNT", "BLOCK_HASH", "CONTENT_HASH"}

    async def test_a_column_that_went_missing_is_named(self, store: Store) -> None:
        table = store.manifest.ohlcv_measurement
        async with arrow_files(store.folder / "series") as series:
            schema = (await series.schema(table)).remove(0)
            await series.drop(table)
            await series.create(table, schema.remove(schema.get_field_index("venue")))
        (finding,) = (await store.verified()).findings
        assert finding.reason == "COLUMNS"
        assert "'venue'" in finding.message


class TestFilesOfARunningService:
    """Damaged after the service has read and mapped them."""

    @pytest.fixture
    async def series(self, store: Store) -> AsyncIterator[ArrowFiles]:
        async with arrow_files(store.folder / "series") as series:
            assert (await store.verified_in(series)).findings == ()
            yield series

    async def test_a_file_in_the_place_of_another_is_judged(
        self, store: Store, series: ArrowFiles
    ) -> None:
        (segment,) = store.segments(store.manifest.ohlcv_measurement)
        content = segment.read_bytes()
        half = len(content) // 2
        replace_file(segment, content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
        found = {finding.reason for finding in (await store.verified_in(series)).findings}
        assert {"CONTENT_HASH", "BLOCK_HASH"} <= found
        replace_file(segment, content)
        assert (await store.verified_in(series)).findings == ()

    @pytest.mark.parametrize("left", [None, 0, 5000])
    async def test_a_file_that_is_gone_or_shorter_is_named(
        self, store: Store, series: ArrowFiles, left: int | None
    ) -> None:
        (segment,) = store.segments(store.manifest.indicator_measurement)
        content = segment.read_bytes()
        if left is None:
            segment.unlink()
        else:
            replace_file(segment, content[:left])
        (finding,) = (await store.verified_in(series)).findings
        assert finding.reason == "UNREADABLE"
        assert str(segment) in finding.message
        replace_file(segment, content)
        assert (await store.verified_in(series)).findings == ()


def replace_file(path: Path, content: bytes) -> None:
    aside = path.with_name("copy")
    aside.write_bytes(content)
    aside.replace(path)


class TestRecords:
    @pytest.mark.parametrize(
        ("change", "reasons"),
        [
            ("content_hash = repeat('0', 64)", {"MANIFEST_DIFFERS"}),
            ("lookback_rows = 51, lookahead_rows = 98", {"MANIFEST_DIFFERS"}),
            ("ohlcv_block_hashes = decode(repeat('00', 32), 'hex')", {"BLOCK_HASH"}),
            ("manifest = jsonb_set(manifest, '{gaps}', '[]')", {"GAPS"}),
            (
                "manifest = jsonb_set(manifest, '{content_hash}', '\"00\"')",
                {"MANIFEST_DIFFERS", "CONTENT_HASH"},
            ),
            (
                "manifest = jsonb_set(manifest, '{columns,0,null_count}', '3')",
                {"NULL_COUNT"},
            ),
            (
                "manifest = jsonb_set(jsonb_set(manifest, '{lookback_rows}', '51'),"
                " '{lookahead_rows}', '98'), lookback_rows = 51, lookahead_rows = 98",
                {"ALIGNMENT"},
            ),
            (
                "manifest = jsonb_set(manifest, '{ohlcv_measurement}', '\"other\"')",
                {"MANIFEST_DIFFERS", "MISSING_TABLE"},
            ),
        ],
    )
    async def test_a_changed_record_is_found(
        self, store: Store, change: str, reasons: set[str]
    ) -> None:
        await store.sql(f"UPDATE dataset.dataset_versions SET {change} WHERE dataset_id = %(id)s")
        assert await store.reasons() == reasons

    async def test_a_manifest_that_cannot_be_is_told_apart(self, store: Store) -> None:
        await store.sql(
            "UPDATE dataset.dataset_versions SET manifest = jsonb_set(manifest,"
            " '{ohlcv_rows}', '1') WHERE dataset_id = %(id)s"
        )
        with pytest.raises(DataLoss, match="A manifest in the catalogue is damaged"):
            await store.verified()

    async def test_a_dataset_that_is_gone_is_not_there(self, store: Store) -> None:
        await store.sql(
            "UPDATE dataset.datasets SET deleted_at_ms = created_at_ms WHERE dataset_id = %(id)s"
        )
        with pytest.raises(NotFound):
            await store.verified()


async def test_an_upload_to_be_verified_takes_a_place_before_its_first_byte(
    store: Store,
) -> None:
    places = Places(1)
    part = Part(table=Table.OHLCV, file_name="", options=Options())

    begun = []

    async def unread() -> AsyncIterator[PartBytes]:
        begun.append(True)
        yield PartBytes(0, b"")

    async with arrow_files(store.folder / "series") as series:
        verifying = Verifying(
            catalogue=PostgresCatalogue(store.pool, system_clock),
            series=series,
            spool=Spool(store.folder / "spool", 1 << 30),
            places=places,
            sessions=exchange_sessions,
        )
        order = VerifyOrder(name=store.manifest.dataset_id, version=1, parts=(part,), sample_rows=0)
        with places.one():
            with pytest.raises(TooManyImports, match="1 uploads are under way"):
                await anext(verifying.run(order, unread()))
            assert not begun
            steps = verifying.run(replace(order, parts=()), nothing())
            assert [step async for step in steps]
        with pytest.raises(InvalidRequest, match="has no bytes"):
            await anext(verifying.run(order, nothing()))
        with places.one():
            assert not list((store.folder / "spool").iterdir())


async def test_progress_is_told_while_rows_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dataset.app.verifying.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("services.dataset.app.verifying.GROUP_BYTES", 1)
    async with arrow_files(store.folder / "series") as series:
        verifying = Verifying(
            catalogue=PostgresCatalogue(store.pool, system_clock),
            series=series,
            spool=Spool(store.folder / "spool", 1 << 30),
            places=Places(1),
            sessions=exchange_sessions,
        )
        name = store.manifest.dataset_id
        order = VerifyOrder(name=name, version=1, parts=(), sample_rows=0)
        *told, report = [step async for step in verifying.run(order, nothing())]
    rows = [step.rows for step in told if isinstance(step, Progress)]
    assert rows == sorted(rows)
    assert rows[-1] == 2999 + 2850
    assert isinstance(report, VerifyReport)
