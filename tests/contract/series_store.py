"""What every series store must do. A test class inherits this and gives `store`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pyarrow as pa
import pytest

from services.shared.errors import InvalidRequest
from services.shared.series import (
    Bounds,
    NoSuchTable,
    Rows,
    SeriesStore,
    Span,
    TableDiffers,
    Times,
)
from tests.contract.series_examples import (
    BARS,
    MINUTE,
    PREDICTIONS,
    bars,
    expected,
    new_name,
    predictions,
    put,
    rows_of,
    with_bars,
    with_predictions,
)


class SeriesStoreContract:
    async def test_rows_come_back_in_order_with_their_index(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 10), bars(10, 25))
        assert await rows_of(store, table) == expected(0, 25)

    async def test_a_new_table_is_empty(self, store: SeriesStore) -> None:
        table = await with_bars(store)
        assert await rows_of(store, table) == []
        assert await rows_of(store, table, span=Rows(0, 10)) == []
        assert await rows_of(store, table, span=Times(0, 10)) == []

    async def test_a_table_grows_write_by_write(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 10))
        await put(store, table, bars(10, 12))
        await put(store, table)
        await put(store, table, bars(12, 12), bars(12, 30))
        assert await rows_of(store, table) == expected(0, 30)

    async def test_only_the_columns_asked_for_come_in_the_order_asked(
        self, store: SeriesStore
    ) -> None:
        table = await with_bars(store, bars(0, 9))
        rows = await rows_of(store, table, ["close", "index"])
        assert rows == [{"close": r["close"], "index": r["index"]} for r in expected(0, 9)]
        assert [list(row) for row in rows[:1]] == [["close", "index"]]

    @pytest.mark.parametrize(
        ("span", "start", "end"),
        [
            (Rows(0, 30), 0, 30),
            (Rows(5, 6), 5, 6),
            (Rows(9, 21), 9, 21),
            (Rows(25, 99), 25, 30),
            (Rows(7, 7), 0, 0),
            (Rows(40, 50), 0, 0),
            (Times(0, 30 * MINUTE), 0, 30),
            (Times(5 * MINUTE, 12 * MINUTE), 5, 12),
            (Times(5 * MINUTE + 1, 12 * MINUTE + 1), 6, 13),
            (Times(-99, 1), 0, 1),
            (Times(20 * MINUTE, 10 * MINUTE), 0, 0),
            (Times(31 * MINUTE, 99 * MINUTE), 0, 0),
        ],
    )
    async def test_a_span_is_half_open_and_cut_to_the_table(
        self, store: SeriesStore, span: Span, start: int, end: int
    ) -> None:
        table = await with_bars(store, bars(0, 10))
        await put(store, table, bars(10, 20))
        await put(store, table, bars(20, 30))
        assert await rows_of(store, table, span=span) == expected(start, end)
        projected = await rows_of(store, table, ["index"], span=span)
        assert [row["index"] for row in projected] == list(range(start, end))

    async def test_rows_at_or_after_the_watermark_do_not_exist(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 10))
        await put(store, table, bars(10, 20))
        mark = 12 * MINUTE
        assert await rows_of(store, table, below_ms=mark) == expected(0, 12)
        assert await rows_of(store, table, span=Rows(5, 99), below_ms=mark) == expected(5, 12)
        late = Times(11 * MINUTE, 99 * MINUTE)
        assert await rows_of(store, table, span=late, below_ms=mark) == expected(11, 12)

    async def test_writing_rows_again_changes_nothing(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 20))
        await put(store, table, bars(5, 15))
        await put(store, table, bars(15, 30))
        assert await rows_of(store, table) == expected(0, 30)

    async def test_a_large_table_comes_back_as_it_was(self, store: SeriesStore) -> None:
        size = 120_000
        table = await with_bars(store, *(bars(i, i + 15_000) for i in range(0, size, 15_000)))
        schema = await store.schema(table)
        read = pa.Table.from_batches([b async for b in store.read(table)], schema)
        assert read.column("index").to_pylist() == list(range(size))
        assert read.drop_columns("index").equals(pa.Table.from_batches([bars(0, size)]))

    async def test_null_stays_null_and_text_stays_text(self, store: SeriesStore) -> None:
        odd = pa.RecordBatch.from_pylist(
            [
                {"timestamp_ms": 5, "close": None, "market": ""},
                {"timestamp_ms": 6, "close": -0.5, "market": None},
                {"timestamp_ms": 7, "close": 1e300, "market": "größer 🙂"},
            ],
            schema=BARS,
        )
        table = await with_bars(store, odd)
        assert await rows_of(store, table, BARS.names) == odd.to_pylist()

    async def test_times_before_1970_are_kept_or_refused(self, store: SeriesStore) -> None:
        table, early = await with_bars(store), bars(-3, 2)
        try:
            await put(store, table, early)
        except InvalidRequest:
            early = early.slice(0, 0)
        assert await rows_of(store, table, BARS.names) == early.to_pylist()

    async def test_values_of_every_type_stay_what_they_are(self, store: SeriesStore) -> None:
        schema = pa.schema(
            [
                pa.field("timestamp_ms", pa.int64(), nullable=False),
                ("flag", pa.bool_()),
                ("count", pa.int64()),
                ("value", pa.float64()),
                pa.field("sure", pa.bool_(), nullable=False),
                ("text", pa.string()),
            ]
        )
        columns = [
            [0, 1, 2, 3, 4],
            [True, None, False, None, True],
            [2**63 - 1, None, 0, -(2**63) + 1, 2**53 + 1],
            [float("inf"), None, -0.0, 5e-324, -1.7976931348623157e308],
            [True, False, False, True, True],
            ["a", "", None, "x" * 70_000, "\0\n,\"'\\ü🙂"],
        ]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        table = new_name()
        await store.create(table, schema)
        await put(store, table, batch)
        assert await rows_of(store, table, schema.names) == batch.to_pylist()

    async def test_names_of_columns_are_kept_exactly(self, store: SeriesStore) -> None:
        names = ["Close", "close", "CLOSE ", "_0", "_1", "timestamp", "Timestamp", "ä.b", 'a"b;--']
        names += ["", "select", "x" * 500, "名前", "a\nb", "..", "TIMESTAMP_MS"]
        schema = pa.schema([BARS.field("timestamp_ms"), *((n, pa.float64()) for n in names)])
        table = new_name()
        await store.create(table, schema)
        values = [[float(i + 10 * row) for row in range(3)] for i in range(len(names))]
        batch = pa.RecordBatch.from_arrays(
            [pa.array([1, 2, 3]), *map(pa.array, values)], schema=schema
        )
        await put(store, table, batch)
        assert (await store.schema(table)).names == ["index", *schema.names]
        assert await rows_of(store, table, schema.names) == batch.to_pylist()
        assert (
            await rows_of(store, table, ["名前", "Close"])
            == batch.select(["名前", "Close"]).to_pylist()
        )

    async def test_a_table_may_have_two_thousand_columns(self, store: SeriesStore) -> None:
        names = [f"Indicator {i} of the widest table" for i in range(1_999)]
        schema = pa.schema([BARS.field("timestamp_ms"), *((n, pa.float64()) for n in names)])
        table, staged = new_name(), new_name()
        rows = np.arange(40)
        batch = pa.RecordBatch.from_arrays(
            [pa.array(rows), *(pa.array(rows + i / 2_000) for i in range(1_999))], schema=schema
        )
        for name, part in ((table, batch.slice(0, 30)), (staged, batch.slice(30))):
            await store.create(name, schema)
            await put(store, name, part)
        await store.merge(staged, table)
        await store.settle(table)
        read = pa.Table.from_batches([b async for b in store.read(table, schema.names)], schema)
        assert read.equals(pa.Table.from_batches([batch]))
        some = list(reversed(names[1:]))
        assert len(await rows_of(store, table, some)) == 40

    async def test_creating_a_table_again_keeps_its_rows(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 3))
        await store.create(table, BARS)
        assert await rows_of(store, table) == expected(0, 3)

    async def test_a_table_keeps_its_columns_and_its_key(self, store: SeriesStore) -> None:
        table = await with_bars(store)
        with pytest.raises(TableDiffers):
            await store.create(table, PREDICTIONS)
        other = await with_predictions(store)
        with pytest.raises(TableDiffers):
            await store.create(other, PREDICTIONS)

    async def test_the_schema_is_that_of_what_is_read(self, store: SeriesStore) -> None:
        table = await with_bars(store)
        assert (await store.schema(table)).names == ["index", *BARS.names]
        assert (await store.schema(table, ["market"])).names == ["market"]
        assert (await store.schema(await with_predictions(store))).equals(PREDICTIONS)

    async def test_rows_of_a_longer_key_come_in_its_order_whoever_wrote_first(
        self, store: SeriesStore
    ) -> None:
        late = predictions((t, 1, 1, 1.0) for t in range(5, 15))
        early = predictions((t, 0, 1, 0.0) for t in range(10))
        table = await with_predictions(store, late, early)
        keys = [(row["timestamp_ms"], row["fold"]) for row in await rows_of(store, table)]
        assert keys == sorted([*((t, 0) for t in range(10)), *((t, 1) for t in range(5, 15))])

    async def test_of_equal_keys_the_last_written_row_counts(self, store: SeriesStore) -> None:
        table = await with_predictions(
            store,
            predictions([(1, 0, 1, 0.1), (2, 0, 1, 0.2), (1, 0, 1, 0.3)]),
            predictions([(2, 0, 1, 0.4), (2, 0, 2, 0.5)]),
        )
        rows = [(r["timestamp_ms"], r["prediction"]) for r in await rows_of(store, table)]
        assert rows == [(1, 0.3), (2, 0.4), (2, 0.5)]

    async def test_rows_in_any_order_become_one_order(self, store: SeriesStore) -> None:
        shuffled = np.random.default_rng(7).permutation(3_000).tolist()
        parts = [shuffled[i : i + 500] for i in range(0, 3_000, 500)]
        table = await with_predictions(
            store, *(predictions((t // 3, t % 3, 1, float(t)) for t in part) for part in parts)
        )
        rows = await rows_of(store, table)
        assert [row["prediction"] for row in rows] == [float(t) for t in range(3_000)]

    async def test_where_compares_columns_of_the_key(self, store: SeriesStore) -> None:
        table = await with_predictions(
            store, predictions((t, f, a, 1.0) for t in range(4) for f in range(3) for a in (1, 2))
        )
        rows = await rows_of(store, table, ["timestamp_ms"], where={"fold": 1, "attempt": 2})
        assert rows == [{"timestamp_ms": t} for t in range(4)]
        some = await rows_of(store, table, span=Times(1, 3), below_ms=2, where={"fold": 0})
        assert [(r["timestamp_ms"], r["attempt"]) for r in some] == [(1, 1), (1, 2)]

    async def test_where_compares_nothing_else(self, store: SeriesStore) -> None:
        table = await with_predictions(store)
        with pytest.raises(InvalidRequest, match="where"):
            await rows_of(store, table, where={"prediction": 1})

    async def test_rows_of_a_longer_key_have_no_index(self, store: SeriesStore) -> None:
        table = await with_predictions(store, predictions([(1, 0, 1, 0.5)]))
        with pytest.raises(InvalidRequest, match="columns names"):
            await rows_of(store, table, ["index"])
        with pytest.raises(InvalidRequest, match="span"):
            await rows_of(store, table, span=Rows(0, 1))

    async def test_merging_twice_is_the_same_as_once(self, store: SeriesStore) -> None:
        base, staged = await with_bars(store, bars(0, 10)), await with_bars(store, bars(10, 14))
        for _ in range(2):
            await store.merge(staged, base)
            await store.settle(base)
            assert await rows_of(store, base) == expected(0, 14)
        assert len(await rows_of(store, staged)) == 4

    async def test_a_merge_that_came_half_way_is_finished_by_the_next(
        self, store: SeriesStore
    ) -> None:
        base, staged = await with_bars(store, bars(0, 10)), await with_bars(store, bars(8, 20))
        await put(store, base, bars(10, 13))
        await store.merge(staged, base)
        await store.settle(base)
        assert await rows_of(store, base) == expected(0, 20)

    async def test_merging_rows_of_a_longer_key_twice_is_the_same_as_once(
        self, store: SeriesStore
    ) -> None:
        base = await with_predictions(store, predictions([(1, 0, 1, 0.1), (3, 0, 1, 0.3)]))
        staged = await with_predictions(store, predictions([(2, 0, 1, 0.2), (3, 0, 1, 0.4)]))
        for _ in range(2):
            await store.merge(staged, base)
            await store.settle(base)
            assert [r["prediction"] for r in await rows_of(store, base)] == [0.1, 0.2, 0.4]

    async def test_a_dropped_table_is_gone_and_its_name_is_free(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 3))
        await store.drop(table)
        await store.drop(table)
        assert table not in await store.tables()
        for size in (0, 4, 2):
            await store.create(table, BARS)
            await put(store, table, bars(0, size))
            assert await rows_of(store, table) == expected(0, size)
            await store.drop(table)

    async def test_the_bounds_of_a_table_are_known_without_reading_it(
        self, store: SeriesStore
    ) -> None:
        table = await with_bars(store)
        assert await store.bounds(table) is None
        await put(store, table, bars(3, 10))
        await put(store, table, bars(10, 25))
        assert await store.bounds(table) == Bounds(22, 3 * MINUTE, 24 * MINUTE)
        other = await with_predictions(store, predictions([(7, 0, 1, 0.5), (2, 1, 1, 0.5)]))
        assert await store.bounds(other) == Bounds(2, 2, 7)

    async def test_tables_are_listed(self, store: SeriesStore) -> None:
        table = await with_bars(store)
        assert table in await store.tables()

    async def test_a_table_that_is_not_there_is_named(self, store: SeriesStore) -> None:
        absent = new_name()
        with pytest.raises(NoSuchTable, match=absent):
            await rows_of(store, absent)
        with pytest.raises(NoSuchTable, match=absent):
            await put(store, absent, bars(0, 1))
        with pytest.raises(NoSuchTable, match=absent):
            await store.merge(absent, absent)
        with pytest.raises(NoSuchTable, match=absent):
            await store.bounds(absent)

    @pytest.mark.parametrize("name", ["", "../x", "A", "a b", "a.b", ".aside", "x" * 201])
    async def test_a_name_that_is_not_ours_is_refused(self, store: SeriesStore, name: str) -> None:
        with pytest.raises(InvalidRequest, match="table is"):
            await store.create(name, BARS)
        with pytest.raises(InvalidRequest, match="table is"):
            await store.drop(name)

    async def test_columns_that_are_not_there_are_named(self, store: SeriesStore) -> None:
        table = await with_bars(store)
        with pytest.raises(InvalidRequest, match="'volume'"):
            await rows_of(store, table, ["close", "volume"])
        with pytest.raises(InvalidRequest, match="columns is empty"):
            await rows_of(store, table, [])

    @pytest.mark.parametrize(
        ("schema", "key"),
        [
            (pa.schema([("timestamp_ms", pa.int64()), ("x", pa.date32())]), ("timestamp_ms",)),
            (pa.schema([("timestamp_ms", pa.int64()), ("index", pa.int64())]), ("timestamp_ms",)),
            (pa.schema([("time", pa.int64())]), ("time",)),
            (pa.schema([("timestamp_ms", pa.float64())]), ("timestamp_ms",)),
            (PREDICTIONS, ("timestamp_ms", "prediction")),
            (PREDICTIONS, ("fold", "timestamp_ms")),
        ],
    )
    async def test_a_table_that_cannot_be_kept_is_refused(
        self, store: SeriesStore, schema: pa.Schema, key: tuple[str, ...]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await store.create(new_name(), schema, key=key)

    async def test_a_failed_source_leaves_whole_rows_or_none(self, store: SeriesStore) -> None:
        table = await with_bars(store, bars(0, 5))

        async def failing() -> AsyncIterator[pa.RecordBatch]:
            yield bars(5, 8)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.write(table, failing())
        await store.settle(table)
        there = await rows_of(store, table)
        assert there == expected(0, len(there))
        await put(store, table, bars(5, 10))
        assert await rows_of(store, table) == expected(0, 10)
