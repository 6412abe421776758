"""Tables that others made in QuestDB: read as they are, and merged into with care."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from services.shared.errors import Conflict, DataLoss, InvalidRequest
from services.shared.series import NoSuchTable, Rows, SeriesStore
from services.shared.series.questdb import questdb_store
from services.shared.series.questdb.layout import foreign
from services.shared.series.questdb.refusals import StoreRefused
from tests.contract.series_examples import (
    BARS,
    bars,
    new_name,
    put,
    rows_of,
    with_bars,
)
from tests.integration.shared.questdb_sql import sql


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
