"""A version held against its rows, its record and its files: each kind of damage is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.checking import STUCK_MS, Checking
from services.dataset.app.order import Part, PartBytes
from services.dataset.app.places import Places, TooManyImports
from services.dataset.app.verifying import Progress, Verifying, VerifyOrder, VerifyReport
from services.dataset.calendars import exchange_sessions
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import Manifest
from services.dataset.formats import Options
from services.dataset.storage.postgres import PostgresCatalogue
from services.dataset.storage.spool import Spool
from services.shared.clock import system_clock
from services.shared.errors import DataLoss, InvalidRequest, NotFound
from services.shared.postgres import Pool
from services.shared.rpc.status import refusals
from services.shared.series.arrow_files import ArrowFiles, arrow_files
from tests.integration.dataset import inside
from tests.integration.dataset.client import (
    INDICATORS,
    OHLCV,
    Client,
    bar_file,
    euro_files,
    header_of,
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


@pytest.fixture
async def store(migrated: Pool, tmp_path: Path) -> Store:
    """Bars with a gap and a text column, and their indicators."""
    slug = f"d_{uuid4().hex}"
    times = np.delete(TIMES, 1500)
    bars = bar_file(times, venue=pa.array([f"v{i % 5}" for i in range(len(times))]))
    async with inside.started(migrated, tmp_path) as service:
        published = await service.run(inside.order(slug), bars, indicator_file(times[50:2900]))
    return Store(pool=migrated, folder=tmp_path, manifest=published.dataset.manifest)


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


class TestStore:
    async def test_a_store_as_it_should_be_has_no_findings(self, store: Store) -> None:
        assert await store.checked() == set()

    async def test_a_table_that_nobody_needs_is_named(self, store: Store) -> None:
        slug = store.manifest.dataset_slug
        ours = {f"{slug}_v7_ohlcv_a1", f"{slug}_v7_ind_a12"}
        others = {f"{slug}_wf_0123", f"{slug}_v7", "predictions"}
        async with arrow_files(store.folder / "series") as series:
            for table in ours | others:
                await series.create(table, pa.schema([("timestamp_ms", pa.int64())]))
        assert await store.checked() == {("ORPHANED_TABLE", table) for table in ours}

    async def test_tables_of_a_dataset_deleted_long_ago_are_named(self, store: Store) -> None:
        tables = {store.manifest.ohlcv_measurement, store.manifest.indicator_measurement}
        await store.sql(
            "UPDATE dataset.datasets SET deleted_at_ms = created_at_ms WHERE dataset_id = %(id)s"
        )
        assert await store.checked() == set()  # they are being dropped
        later = await store.checked(later_ms=STUCK_MS)
        assert later == {("ORPHANED_TABLE", table) for table in tables}

    async def test_rows_that_no_version_has_are_counted(self, store: Store) -> None:
        table = store.manifest.ohlcv_measurement

        def longer(rows: pa.Table) -> pa.Table:
            last = rows.slice(rows.num_rows - 1)
            time = pa.array([last["timestamp_ms"][0].as_py() + 3_600_000])
            return pa.concat_tables([rows, last.set_column(0, rows.schema.field(0), time)])

        await rewritten(store, table, longer)
        assert await store.checked() == {("ROW_COUNT", table), ("BOUNDS", table)}
        assert await store.reasons() == set()  # no version reads beyond its watermark

    async def test_imports_that_stand_still_are_named(self, store: Store) -> None:
        await store.sql(
            "UPDATE dataset.imports SET state = 'PUBLISHED' WHERE slug ="
            " (SELECT slug FROM dataset.datasets WHERE dataset_id = %(id)s)"
        )
        assert await store.checked() == set()
        slug = store.manifest.dataset_slug
        assert await store.checked(later_ms=STUCK_MS + 60_000) == {("STUCK_IMPORT", slug)}

    async def test_an_append_that_is_not_through_is_named(self, store: Store) -> None:
        await store.sql(
            "UPDATE dataset.imports SET state = 'MERGING', intent = '{}', had_intent = true"
            " WHERE slug ="
            " (SELECT slug FROM dataset.datasets WHERE dataset_id = %(id)s)"
        )
        assert await store.checked() == set()
        slug = store.manifest.dataset_slug
        assert await store.checked(later_ms=STUCK_MS) == {("UNFINISHED_APPEND", slug)}
        await store.sql(  # nobody could finish it
            "UPDATE dataset.imports SET state = 'CLEANED', intent = NULL WHERE state = 'MERGING'"
        )


@pytest.fixture(scope="module")
async def euro(client: Client) -> Client:
    """A service with real bars and their indicators."""
    header = header_of("euro")
    header.parts[0].zone = "UTC"
    await client.publish(header, *euro_files())
    return client


class TestFiles:
    async def verify(
        self,
        euro: Client,
        header: import_pb2.VerifyHeader,
        *files: bytes,
    ) -> import_pb2.VerifyReport:
        async def requests() -> AsyncIterator[pb.VerifyDatasetRequest]:
            yield pb.VerifyDatasetRequest(header=header)
            for part, data in enumerate(files):
                for start in range(0, len(data), 1 << 18):
                    piece = pb.PartBytes(part=part, data=data[start : start + (1 << 18)])
                    yield pb.VerifyDatasetRequest(bytes=piece)

        with refusals():
            *_, last = [answer async for answer in euro.stub.VerifyDataset(requests())]
        assert last.WhichOneof("step") == "report"
        return last.report

    def header(self, *tables: Any, sample: int = 0) -> import_pb2.VerifyHeader:
        parts = [import_pb2.ImportPart(table=table) for table in tables]
        return import_pb2.VerifyHeader(dataset="euro", parts=parts, sample_rows=sample)

    async def test_a_dataset_is_verified_without_files(self, euro: Client) -> None:
        report = await self.verify(euro, self.header())
        assert (report.is_sound, list(report.findings), report.compared_rows) == (True, [], 0)
        request = pb.GetManifestRequest(dataset="euro")
        manifest = (await euro.stub.GetManifest(request)).manifest
        assert report.content_hash == manifest.content_hash
        assert report.rows == manifest.ohlcv_rows + manifest.indicator_rows

    async def test_a_dataset_equals_the_files_it_was_made_of(self, euro: Client) -> None:
        header = self.header(OHLCV, INDICATORS)
        header.parts[0].zone = "UTC"
        whole = await self.verify(euro, header, *euro_files())
        assert whole.is_sound
        assert whole.compared_rows == whole.rows
        header.sample_rows = 100
        sampled = await self.verify(euro, header, *euro_files())
        assert (sampled.is_sound, sampled.compared_rows) == (True, 200)

    async def test_a_price_that_differs_is_shown(self, euro: Client) -> None:
        bars, _ = euro_files()
        lines = bars.splitlines(keepends=True)
        cells = lines[1001].split(b",")
        cells[-1] = b"1234567.5\n"
        lines[1001] = b",".join(cells)
        header = self.header(OHLCV)
        header.parts[0].zone = "UTC"
        report = await self.verify(euro, header, b"".join(lines))
        (finding,) = report.findings
        assert finding.reason == "FILE_ROWS_DIFFER"
        assert "1 rows have other values" in finding.message
        assert "volume is 1234567.5 in the file" in finding.message

    async def test_a_file_of_a_part_is_sound_only_when_that_is_said(self, euro: Client) -> None:
        bars, _ = euro_files()
        lines = bars.splitlines(keepends=True)
        part = b"".join([lines[0], *lines[2000:3000]])
        header = self.header(OHLCV)
        header.parts[0].zone = "UTC"
        (finding,) = (await self.verify(euro, header, part)).findings
        assert finding.reason == "FILE_ROWS_EXTRA"
        assert finding.message.startswith(f"{len(lines) - 1001} rows of the version (")
        assert "are not in the file, which holds 1000 rows from 2017-" in finding.message
        header.partial = True
        report = await self.verify(euro, header, part)
        assert (report.is_sound, report.compared_rows) == (True, 1000)

    async def test_files_are_judged_as_those_of_an_import(self, euro: Client) -> None:
        with pytest.raises(InvalidRequest, match="ohlcv"):
            await self.verify(euro, self.header(OHLCV), b"nonsense")
        with pytest.raises(InvalidRequest, match="has no bytes"):
            await self.verify(euro, self.header(OHLCV, INDICATORS), euro_files()[0])
        with pytest.raises(InvalidRequest, match="at most one of each"):
            await self.verify(euro, self.header(OHLCV, OHLCV))

    async def test_a_version_that_is_not_there_is_named(self, euro: Client) -> None:
        header = import_pb2.VerifyHeader(dataset="euro", version=9)
        with pytest.raises(NotFound, match="version 9 of a dataset euro"):
            await self.verify(euro, header)

    async def test_the_store_is_checked_over_the_wire(self, euro: Client) -> None:
        answer = await euro.ask(euro.stub.CheckStore(pb.CheckStoreRequest()))
        assert (answer.datasets, answer.versions, answer.tables) >= (1, 1, 2)
        assert not [f for f in answer.findings if f.subject.startswith("euro")]


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
