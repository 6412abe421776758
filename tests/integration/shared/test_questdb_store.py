from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.shared.errors import InvalidRequest
from services.shared.series import Rows, SeriesStore, Span, TableDiffers, Times
from services.shared.series.arrow_files import arrow_files
from services.shared.series.questdb import memory, questdb_store
from services.shared.series.questdb.wire import Answer, Wire
from tests.contract.series_examples import (
    BARS,
    PREDICTIONS,
    PREDICTIONS_KEY,
    bars,
    new_name,
    predictions,
    put,
    rows_of,
    with_bars,
    with_predictions,
)
from tests.contract.series_store import SeriesStoreContract

SMALL = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class TestQuestdb(SeriesStoreContract):
    pass


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
def slices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the server answers to readers: rows and bytes."""
    answers: list[tuple[int, int]] = []
    ask = Wire.slice

    async def asked(*args: Any, **kwargs: Any) -> Answer:
        answer = await ask(*args, **kwargs)
        answers.append((answer.rows, answer.size))
        return answer

    monkeypatch.setattr(Wire, "slice", asked)
    return answers


async def test_texts_that_grow_long_are_read_in_slices_that_do_not(
    store: SeriesStore, slices: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
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
    assert slices[0][0] == 1000
    assert all(size <= 2 * (256 << 10) for rows, size in slices if rows > 1)


async def test_a_wide_table_is_read_in_slices_of_its_width(
    store: SeriesStore, slices: list[tuple[int, int]]
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
    assert [rows > 0 for rows, _ in slices] == [True, True]
    assert max(size for _, size in slices) <= 1.02 * memory.SLICE_BYTES


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
