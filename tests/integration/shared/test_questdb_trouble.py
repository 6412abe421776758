"""A QuestDB that is away, killed, full, suspended or locked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.shared.errors import Unavailable
from services.shared.questdb_server import Server, free_port, running, url_of
from services.shared.series import NoSuchTable, Rows, SeriesStore
from services.shared.series.disk import DiskFull
from services.shared.series.questdb import questdb_store
from services.shared.series.questdb.refusals import StoreRefused, WalSuspended
from tests.contract.series_examples import (
    BARS,
    bars,
    expected,
    put,
    rows_of,
    stream,
    with_bars,
)
from tests.integration.shared.questdb_sql import sql


async def test_a_server_that_is_away_is_told_in_its_own_words() -> None:
    async with questdb_store(url_of(free_port())) as store:
        with pytest.raises(Unavailable) as refusal:
            await store.tables()
    assert "refused" in refusal.value.cause


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
