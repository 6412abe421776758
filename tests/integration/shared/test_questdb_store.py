from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.shared.errors import Conflict, DataLoss, InvalidRequest, Unavailable
from services.shared.questdb_server import Server, free_port, running, url_of
from services.shared.series import NoSuchTable, Rows, SeriesStore, Span, TableDiffers, Times
from services.shared.series.arrow_files import arrow_files
from services.shared.series.disk import DiskFull
from services.shared.series.questdb import memory, questdb_store
from services.shared.series.questdb.layout import foreign
from services.shared.series.questdb.refusals import StoreRefused, WalSuspended
from services.shared.series.questdb.wire import Wire
from tests.contract.series_store import (
    BARS,
    PREDICTIONS,
    PREDICTIONS_KEY,
    SeriesStoreContract,
    bars,
    expected,
    new_name,
    predictions,
    put,
    rows_of,
    stream,
    with_bars,
    with_predictions,
)

SMALL = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def store(questdb_server: str) -> AsyncIterator[SeriesStore]:
    async with questdb_store(questdb_server) as opened:
        yield opened


class TestQuestdb(SeriesStoreContract):
    pass


def sql(url: str, query: str) -> list[list[Any]]:
    reply = httpx.get(f"{url}/exec", params={"query": query}, trust_env=False, timeout=30)
    rows: list[list[Any]] = reply.raise_for_status().json().get("dataset", [])
    return rows


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few thousand rows are many slices."""
    monkeypatch.setattr(memory, "SLICE_BYTES", 16 << 10)
    monkeypatch.setattr(memory, "LEAST_SLICE_BYTES", 16 << 10)


@pytest.fixture(scope="module")
async def pair(
    questdb_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[SeriesStore, SeriesStore]]:
    """Both stores with the same tables `prices` and `guesses`."""
    root = tmp_path_factory.mktemp("arrow")
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.integers(1, 4_000_000, 3_000))
    values = np.where(rng.random(3_000) < 0.1, np.nan, rng.standard_normal(3_000))
    prices = pa.RecordBatch.from_arrays(
        [
            pa.array(times),
            pa.array(values, from_pandas=True),
            pa.array([f"m{t % 97}" for t in times]),
        ],
        schema=BARS,
    )
    guesses = predictions(
        sorted((int(t) // 50, f, 1, float(t)) for t in rng.integers(0, 9_000, 900) for f in (0, 1))
    )
    async with arrow_files(root) as files, questdb_store(questdb_server) as questdb:
        for store in (files, questdb):
            await store.create("prices", BARS)
            await put(store, "prices", prices)
            await store.create("guesses", PREDICTIONS, key=PREDICTIONS_KEY)
            await put(store, "guesses", guesses)
        yield files, questdb
        for table in ("prices", "guesses"):
            await questdb.drop(table)


rows = st.builds(Rows, st.integers(-5, 3_100), st.integers(-5, 3_100))
moments = st.integers(-10, 7_000_000_000)
times = st.builds(Times, moments, moments)
names = st.lists(st.sampled_from(["index", *BARS.names]), min_size=1, unique=True)


@given(span=st.none() | rows | times, below=st.none() | moments, columns=st.none() | names)
@SMALL
async def test_any_part_of_a_table_is_what_arrow_files_give(
    pair: tuple[SeriesStore, SeriesStore],
    small_slices: None,
    span: Span | None,
    below: int | None,
    columns: list[str] | None,
) -> None:
    files, questdb = pair
    asked: dict[str, Any] = {"span": span, "below_ms": below}
    got = await rows_of(questdb, "prices", columns, **asked)
    assert got == await rows_of(files, "prices", columns, **asked)


small_moments = st.integers(-2, 190)


@given(
    span=st.none() | st.builds(Times, small_moments, small_moments),
    where=st.dictionaries(st.sampled_from(["fold", "attempt"]), st.integers(0, 2)),
)
@SMALL
async def test_rows_of_one_time_are_never_parted(
    pair: tuple[SeriesStore, SeriesStore],
    small_slices: None,
    span: Span | None,
    where: dict[str, int],
) -> None:
    files, questdb = pair
    got = await rows_of(questdb, "guesses", ["prediction"], span=span, where=where)
    assert got == await rows_of(files, "guesses", ["prediction"], span=span, where=where)


@pytest.mark.usefixtures("small_slices")
async def test_committed_rows_are_read_once_while_a_late_attempt_writes(
    store: SeriesStore,
) -> None:
    committed = [(t, 0, 1, float(t)) for t in range(5_000)]
    table = await with_predictions(store, predictions(committed))
    read: list[float] = []
    reader = store.read(table, ["prediction"], where={"fold": 0, "attempt": 1})
    async with aclosing(reader) as batches:
        read += (await anext(batches)).column("prediction").to_pylist()
        late = predictions([(t, 0, 2, 0.5) for t in range(0, 5_000, 2)])
        await put(store, table, late)
        async for batch in batches:
            read += batch.column("prediction").to_pylist()
    assert read == [row[3] for row in committed]


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    """What the server answers to readers."""
    answers: list[pa.Table] = []
    ask = Wire.arrow

    async def arrow(*args: Any, **kwargs: Any) -> pa.Table:
        answers.append(await ask(*args, **kwargs))
        return answers[-1]

    monkeypatch.setattr(Wire, "arrow", arrow)
    return answers


async def test_texts_that_grow_long_are_read_in_slices_that_do_not(
    store: SeriesStore, slices: list[pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLICE_BYTES", 256 << 10)
    monkeypatch.setattr(memory, "LEAST_SLICE_BYTES", 256 << 10)
    texts = ["short"] * 9_000 + ["long" * 2_500] * 500 + ["longest" * 100_000] * 2
    schema = pa.schema([BARS.field("timestamp_ms"), ("text", pa.string())])
    rows = pa.RecordBatch.from_arrays([pa.array(range(len(texts))), pa.array(texts)], schema=schema)
    table = new_name()
    await store.create(table, schema)
    await put(store, table, rows)
    read = [row async for batch in store.read(table) for row in batch.column("text").to_pylist()]
    assert read == texts
    assert slices[0].num_rows == 1000
    assert all(found.nbytes <= 2 * (256 << 10) for found in slices if found.num_rows > 1)


async def test_a_wide_table_is_read_in_slices_of_its_width(
    store: SeriesStore, slices: list[pa.Table]
) -> None:
    fields = [pa.field(f"c{i}", pa.float64()) for i in range(1000)]
    schema = pa.schema([BARS.field("timestamp_ms"), *fields])
    values = np.random.default_rng(5).standard_normal((1001, 2_500))
    columns = [pa.array(range(2_500)), *map(pa.array, values[:1000])]
    table = new_name()
    await store.create(table, schema)
    await put(store, table, pa.RecordBatch.from_arrays(columns, schema=schema))
    last = [batch.column("c999") async for batch in store.read(table)]
    assert np.array_equal(np.concatenate(last), values[999])
    assert [found.num_rows > 0 for found in slices] == [True, True]
    assert max(found.nbytes for found in slices) <= memory.SLICE_BYTES


async def test_two_stores_on_one_server_see_the_same_tables(
    store: SeriesStore, questdb_server: str
) -> None:
    table, schema = new_name(), pa.schema([BARS.field("timestamp_ms"), ("Größe", pa.bool_())])
    await store.create(table, schema)
    batch = pa.RecordBatch.from_pylist([{"timestamp_ms": 1, "Größe": None}], schema=schema)
    await put(store, table, batch)
    async with questdb_store(f"{questdb_server}/") as other:
        assert await rows_of(other, table, schema.names) == batch.to_pylist()
        with pytest.raises(TableDiffers):
            await other.create(table, BARS)
        await other.create(table, schema)


async def test_a_name_that_the_server_cannot_keep_is_refused(store: SeriesStore) -> None:
    with pytest.raises(InvalidRequest, match="longer than the 120 characters"):
        await store.create("x" * 121, BARS)


async def test_what_the_server_would_read_as_null_is_refused(store: SeriesStore) -> None:
    schema = pa.schema([BARS.field("timestamp_ms"), ("count", pa.int64())])
    table = new_name()
    await store.create(table, schema)
    lost = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([-(2**63)])], schema=schema)
    with pytest.raises(InvalidRequest, match="count holds -9223372036854775808"):
        await put(store, table, lost)
    assert await rows_of(store, table) == []


async def test_not_a_number_in_a_column_without_nulls_stays(store: SeriesStore) -> None:
    sure = pa.field("value", pa.float64(), nullable=False)
    schema = pa.schema([BARS.field("timestamp_ms"), sure])
    table = new_name()
    await store.create(table, schema)
    values = pa.array([1.0, float("nan")])
    await put(store, table, pa.RecordBatch.from_arrays([pa.array([1, 2]), values], schema=schema))
    (batch,) = [b async for b in store.read(table, ["value"])]
    batch.validate(full=True)
    assert str(batch.column("value").to_pylist()) == "[1.0, nan]"


async def test_rows_out_of_order_are_noticed(store: SeriesStore) -> None:
    table = await with_bars(store)
    with pytest.raises(TableDiffers, match="not in order"):
        await put(store, table, bars(5, 9), bars(3, 4))


async def made_by_others(url: str, store: SeriesStore, more: str = "") -> str:
    table = f"others_{new_name()}"
    sql(url, f"DROP TABLE IF EXISTS {table}")
    columns = "ts TIMESTAMP, open FLOAT, close DOUBLE, venue SYMBOL, note VARCHAR, n INT"
    kept = "TIMESTAMP(ts) PARTITION BY DAY WAL"
    sql(url, f"CREATE TABLE {table} ({columns}) {kept}{more}")
    sql(url, f"INSERT INTO {table} VALUES (1000, 0.5, 1, 'a', 'b', 3)")
    sql(url, f"INSERT INTO {table} VALUES (2000, null, 2, null, '', null)")
    await store.settle(table)
    return table


OTHERS = [
    (0, 1, 0.5, 1.0, "a", "b", 3),
    (1, 2, None, 2.0, None, "", None),
]


def values_of(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found]


async def test_a_table_that_others_made_is_read_by_its_own_names(
    store: SeriesStore, questdb_server: str
) -> None:
    table = await made_by_others(questdb_server, store)
    found = await rows_of(store, table)
    assert list(found[0]) == ["index", "timestamp_ms", "open", "close", "venue", "note", "n"]
    assert values_of(found) == OTHERS
    assert await rows_of(store, table, ["note"], span=Rows(1, 2)) == [{"note": ""}]


async def test_rows_are_merged_into_a_table_of_others_only_where_a_repeat_is_harmless(
    store: SeriesStore, questdb_server: str
) -> None:
    table = await made_by_others(questdb_server, store)
    schema = pa.schema(f for f in await store.schema(table) if f.name != "index")
    staged = new_name()
    await store.create(staged, schema)
    more = {"timestamp_ms": 3, "open": 1.5, "note": "a longer text than before", "n": 7}
    await put(store, staged, pa.RecordBatch.from_pylist([more], schema=schema))
    with pytest.raises(Conflict, match="DEDUP ENABLE"):
        await store.merge(staged, table)
    safe = await made_by_others(questdb_server, store, " DEDUP UPSERT KEYS(ts)")
    for _ in range(2):
        await store.merge(staged, safe)
        await store.settle(safe)
    last = (2, 3, 1.5, None, None, "a longer text than before", 7)
    assert values_of(await rows_of(store, safe)) == [*OTHERS, last]


async def test_a_column_that_others_add_is_seen(store: SeriesStore, questdb_server: str) -> None:
    table = await made_by_others(questdb_server, store)
    before = await store.schema(table)
    sql(questdb_server, f"ALTER TABLE {table} ADD COLUMN low DOUBLE")
    await store.settle(table)
    assert (await store.schema(table)).names == [*before.names, "low"]


@pytest.mark.usefixtures("small_slices")
async def test_rows_of_one_time_in_a_table_of_others_are_told_as_such(
    store: SeriesStore, questdb_server: str
) -> None:
    table = f"others_{new_name()}"
    sql(questdb_server, f"CREATE TABLE {table} (ts TIMESTAMP, x DOUBLE) TIMESTAMP(ts)")
    rows = "SELECT (x/5*1000000)::TIMESTAMP, x::DOUBLE FROM long_sequence(9000)"
    sql(questdb_server, f"INSERT INTO {table} {rows}")
    with pytest.raises(InvalidRequest, match="several rows of one time"):
        await rows_of(store, table)


async def test_a_merge_names_the_table_that_is_not_there(
    store: SeriesStore, questdb_server: str
) -> None:
    staged, base = await with_bars(store, bars(0, 5)), await with_bars(store)
    other_staged = await with_bars(store, bars(5, 9))
    async with questdb_store(questdb_server) as other:
        await other.drop(base)
    with pytest.raises(NoSuchTable, match=f"no table {base}\\."):
        await store.merge(staged, base)
    with pytest.raises(NoSuchTable, match=f"no table {base}\\."):
        await store.schema(base)
    await store.create(base, BARS)
    async with questdb_store(questdb_server) as other:
        await other.drop(staged)
    with pytest.raises(NoSuchTable, match=f"no table {staged}\\."):
        await store.merge(staged, base)
    await store.merge(other_staged, base)


async def test_times_between_milliseconds_are_not_rounded(
    store: SeriesStore, questdb_server: str
) -> None:
    table = await made_by_others(questdb_server, store)
    sql(questdb_server, f"INSERT INTO {table} VALUES (2001, 1, 1, '', '', 1)")
    await store.settle(table)
    with pytest.raises(DataLoss, match="between milliseconds"):
        await rows_of(store, table)


def test_a_table_of_others_without_a_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no time of its own"):
        foreign("t", [])


async def test_a_server_that_is_away_is_told_in_its_own_words() -> None:
    async with questdb_store(url_of(free_port())) as store:
        with pytest.raises(Unavailable) as refusal:
            await store.tables()
    assert "refused" in refusal.value.cause


async def test_what_the_server_refuses_carries_its_words(
    store: SeriesStore, questdb_server: str
) -> None:
    table = await made_by_others(questdb_server, store, " DEDUP UPSERT KEYS(ts)")
    fields = {f.name: f for f in await store.schema(table) if f.name != "index"}
    sql(questdb_server, f"ALTER TABLE {table} ALTER COLUMN n TYPE BOOLEAN")
    await store.settle(table)
    staged = new_name()
    await store.create(staged, pa.schema(fields.values()))
    with pytest.raises(StoreRefused) as refusal:
        await store.merge(staged, table)
    assert "inconvertible types" in refusal.value.cause


async def test_acknowledged_rows_survive_a_killed_server(own_questdb: Server) -> None:
    async with questdb_store(own_questdb.url) as store:
        table = await with_bars(store, bars(0, 20_000))
        killed = False

        async def killing() -> AsyncIterator[pa.RecordBatch]:
            nonlocal killed
            for start in range(20_000, 400_000, 20_000):
                if start == 200_000:
                    own_questdb.kill()
                    killed = True
                yield bars(start, start + 20_000)

        with pytest.raises(Unavailable) as refusal:
            await store.write(table, killing())
        assert killed
        assert refusal.value.cause
        own_questdb.start()
        await store.settle(table)
        assert await rows_of(store, table, span=Rows(0, 20_000)) == expected(0, 20_000)
        await put(store, table, *(bars(i, i + 50_000) for i in range(0, 400_000, 50_000)))
        index = [b.column("index").to_numpy() async for b in store.read(table, ["index"])]
        assert np.array_equal(np.concatenate(index), np.arange(400_000))
        assert (await rows_of(store, table, span=Rows(399_999, 400_000))) == expected(
            399_999, 400_000
        )


@pytest.mark.usefixtures("small_slices")
async def test_a_read_from_a_killed_server_ends_with_an_error(own_questdb: Server) -> None:
    async with questdb_store(own_questdb.url) as store:
        table = await with_bars(store, bars(0, 20_000))
        async with aclosing(store.read(table)) as batches:
            await anext(batches)
            own_questdb.kill()
            with pytest.raises(Unavailable, match="does not answer"):
                [batch async for batch in batches]
        own_questdb.start()
        assert await rows_of(store, table) == expected(0, 20_000)


async def test_a_server_with_a_user_wants_its_password(tmp_path: Path) -> None:
    login = {"QDB_HTTP_USER": "writer", "QDB_HTTP_PASSWORD": "a;b=c d"}
    with running(tmp_path, more=login) as server:
        async with questdb_store(server.url, "writer", "a;b=c d") as store:
            table = await with_bars(store, bars(0, 5))
            assert await rows_of(store, table) == expected(0, 5)
        async with questdb_store(server.url, "writer", "wrong") as store:
            with pytest.raises(StoreRefused, match="refuses the user"):
                await store.tables()


async def test_a_suspended_table_is_told_at_once_and_goes_on_when_resumed(
    own_questdb: Server,
) -> None:
    async with questdb_store(own_questdb.url) as store:
        table = await with_bars(store, bars(0, 5))
        sql(own_questdb.url, f"ALTER TABLE {table} SUSPEND WAL WITH 24, 'too many open files'")
        await store.write(table, stream(bars(5, 9)))
        with pytest.raises(WalSuspended, match="RESUME WAL") as refusal:
            await store.settle(table)
        assert refusal.value.reason == "WAL_SUSPENDED"
        assert "too many open files" in refusal.value.cause
        sql(own_questdb.url, f"ALTER TABLE {table} RESUME WAL")
        await store.settle(table)
        assert await rows_of(store, table) == expected(0, 9)


async def test_a_full_disk_of_the_server_is_told_as_one(own_questdb: Server) -> None:
    async with questdb_store(own_questdb.url) as store:
        table = await with_bars(store, bars(0, 5))
        sql(own_questdb.url, f"ALTER TABLE {table} SUSPEND WAL WITH 'DISK FULL', 'no space left'")
        with pytest.raises(DiskFull, match="disk was full"):
            await store.settle(table)


async def test_rows_for_a_dropped_table_do_not_bring_it_back(
    store: SeriesStore, questdb_server: str
) -> None:
    table = await with_bars(store, bars(0, 5))
    async with questdb_store(questdb_server) as other:
        await other.drop(table)
    with pytest.raises(NoSuchTable, match=table):
        await put(store, table, bars(5, 9))
    assert table not in await store.tables()
    await store.create(table, BARS)
    assert await rows_of(store, table) == []
