"""Any schema, any batches: what the codec has to carry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

_values: dict[Any, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=20),
    pa.large_string(): st.text(max_size=20),
    pa.binary(): st.binary(max_size=20),
    pa.timestamp("ms", "UTC"): st.integers(0, 2**40),
    pa.list_(pa.int64()): st.lists(st.integers(0, 9), max_size=3),
}
fields = st.builds(
    pa.field, st.text(max_size=8), st.sampled_from(list(_values)), nullable=st.booleans()
)
schemas = st.lists(fields, min_size=1, max_size=5).map(pa.schema)


@st.composite
def batches(draw: st.DrawFn, schema: pa.Schema) -> pa.RecordBatch:
    rows = draw(st.integers(0, 12))
    columns = []
    for field in schema:
        value = _values[field.type]
        value = st.none() | value if field.nullable else value
        drawn = draw(st.lists(value, min_size=rows, max_size=rows))
        columns.append(pa.array(drawn, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    schema = draw(schemas)
    return pa.Table.from_batches(draw(st.lists(batches(schema), max_size=4)), schema)


async def each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
