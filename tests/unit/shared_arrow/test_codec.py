from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage1.dataset.v1.dataset_service_pb2 import ReadBarsResponse

from services.shared.arrow_stream import (
    CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    Decoder,
    MalformedStream,
    MessageTooLarge,
    StoredMessage,
    StreamTooLarge,
    decode,
    encode,
    ipc_messages,
)
from services.shared.arrow_stream.cutter import Cutter
from services.shared.arrow_stream.messages import END_OF_STREAM
from services.shared.arrow_stream.wire import payload
from services.shared.errors import Stage1Error
from tests.unit.shared_arrow.tables import each, tables

PRICES = pa.record_batch({"close": [1.5, None, 2.5], "market": ["a", None, "ü"]})


def encoded(table: pa.Table, pieces: Sequence[Any] | None = None) -> list[bytes]:
    async def collect() -> list[bytes]:
        given = table.to_batches() if pieces is None else pieces
        return [raw async for raw in encode(table.schema, each(given))]  # type: ignore[arg-type]

    return asyncio.run(collect())


def decoded(raws: Iterable[bytes], schema: pa.Schema | None = None) -> list[pa.RecordBatch]:
    async def collect() -> list[pa.RecordBatch]:
        return [batch async for batch in decode(each(raws), schema)]

    return asyncio.run(collect())


def fed(pieces: Iterable[bytes], **limits: Any) -> pa.Table:
    decoder = Decoder(**limits)
    batches = [batch for piece in pieces for batch in decoder.feed(piece)]
    decoder.finish()
    return pa.Table.from_batches(batches, decoder.schema)


def stream_of(*batches: pa.RecordBatch) -> bytes:
    return b"".join(ipc_messages(batches[0].schema, batches))


@given(tables())
def test_what_is_encoded_is_decoded_the_same(table: pa.Table) -> None:
    batches = decoded(encoded(table), table.schema)
    assert pa.Table.from_batches(batches, table.schema).equals(table)


@given(tables())
def test_the_payloads_put_end_to_end_are_one_arrow_stream(table: pa.Table) -> None:
    payloads = b"".join(payload(raw) for raw in encoded(table))
    assert pa.ipc.open_stream(payloads).read_all().equals(table)
    assert payloads == b"".join(ipc_messages(table.schema, table.to_batches()))


@given(tables(), st.lists(st.integers(0, 5_000), max_size=12))
def test_a_stream_cut_anywhere_is_the_same_stream(table: pa.Table, cuts: list[int]) -> None:
    whole = b"".join(ipc_messages(table.schema, table.to_batches()))
    edges = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    assert fed(whole[a:b] for a, b in pairwise(edges)).equals(table)


def test_a_stream_that_comes_byte_by_byte_is_the_same_stream() -> None:
    whole = stream_of(PRICES, PRICES)
    assert fed(bytes([b]) for b in whole).num_rows == 6


@given(tables())
def test_the_standard_parser_reads_what_we_send(table: pa.Table) -> None:
    messages = [ReadBarsResponse.FromString(raw) for raw in encoded(table)]
    payloads = b"".join(message.ipc for message in messages)
    assert pa.ipc.open_stream(payloads).read_all().equals(table)


@given(tables())
def test_we_read_what_the_standard_serializer_sends(table: pa.Table) -> None:
    messages = ipc_messages(table.schema, table.to_batches())
    raws = [ReadBarsResponse(ipc=ipc).SerializeToString() for ipc in messages]
    assert pa.Table.from_batches(decoded(raws), table.schema).equals(table)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.data())
def test_a_damaged_stream_is_refused_or_valid(table: pa.Table, data: st.DataObject) -> None:
    whole = bytearray(b"".join(ipc_messages(table.schema, table.to_batches())))
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(whole) - 1))
        whole[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        read = fed([bytes(whole[:cut]), bytes(whole[cut:])])
    except Stage1Error:
        return
    read.validate(full=True)
    assert fed(ipc_messages(read.schema, read.to_batches())).num_rows == read.num_rows


@given(st.binary(max_size=200))
def test_any_bytes_as_a_message_are_refused_or_read(raw: bytes) -> None:
    try:
        found = bytes(payload(raw))
    except MalformedStream:
        return
    assert found == ReadBarsResponse.FromString(raw).ipc if _is_standard(raw) else True


def _is_standard(raw: bytes) -> bool:
    try:
        ReadBarsResponse.FromString(raw)
    except Exception:  # protobuf's own, by implementation
        return False
    return True


def test_columns_lie_on_their_borders_in_the_receivers_memory() -> None:
    table = pa.table({"x": np.arange(300_000.0)})
    for batch in decoded(encoded(table)):
        assert batch.column(0).buffers()[1].address % 8 == 0


def test_columns_of_a_standard_sender_are_moved_to_their_borders() -> None:
    raws = [
        ReadBarsResponse(ipc=ipc).SerializeToString()
        for ipc in ipc_messages(PRICES.schema, [PRICES])
    ]
    (batch,) = decoded(raws)
    assert batch.column(0).buffers()[1].address % 8 == 0


def test_big_batches_are_sliced_to_about_a_mebibyte() -> None:
    table = pa.table({f"c{i}": np.arange(200_000.0) for i in range(5)})
    sizes = [len(payload(raw)) for raw in encoded(table)][1:-2]
    assert all(0.7 * CHUNK_BYTES < size < 1.4 * CHUNK_BYTES for size in sizes)


def test_rows_of_very_different_lengths_still_fit_into_messages() -> None:
    texts = ["x" * (1_000_000 if i % 50 == 7 else 3) for i in range(200)]
    table = pa.table({"text": texts})
    raws = encoded(table)
    assert max(map(len, raws)) < MAX_MESSAGE_BYTES
    assert pa.Table.from_batches(decoded(raws)).equals(table)


def test_a_row_that_fits_into_no_message_is_refused() -> None:
    with pytest.raises(MessageTooLarge, match="over the limit"):
        encoded(pa.table({"text": ["x" * MAX_MESSAGE_BYTES]}))


def test_a_batch_of_other_columns_is_a_mistake_of_the_sender() -> None:
    with pytest.raises(ValueError, match="cannot be sent in a stream of"):
        encoded(pa.table({"x": [1.0]}), [PRICES])


def test_stored_messages_are_sent_as_they_are() -> None:
    table = pa.Table.from_batches([PRICES])
    ipc = PRICES.serialize()
    raws = encoded(table, [StoredMessage(ipc, 3), PRICES])
    assert bytes(payload(raws[1])) == ipc.to_pybytes()
    assert [batch.equals(PRICES) for batch in decoded(raws)] == [True, True]


def test_other_columns_than_promised_are_refused() -> None:
    with pytest.raises(MalformedStream, match="expected are x: double"):
        decoded(encoded(pa.Table.from_batches([PRICES])), pa.schema([("x", pa.float64())]))


@pytest.mark.parametrize("end", [0, 100, -8, -1])
def test_a_stream_that_just_stops_is_refused(end: int) -> None:
    with pytest.raises(MalformedStream, match="stops before its end mark"):
        fed([stream_of(PRICES)[:end]])


def test_nothing_may_follow_the_end_mark() -> None:
    with pytest.raises(MalformedStream, match="goes on after its end mark"):
        fed([stream_of(PRICES), stream_of(PRICES)])


def test_the_first_wrong_message_of_a_piece_is_the_one_that_is_told() -> None:
    decoder = Decoder()
    decoder.feed(PRICES.schema.serialize().to_pybytes())
    huge = b"\xff\xff\xff\xff" + (2**31 - 1).to_bytes(4, "little")
    with pytest.raises(MalformedStream, match="goes on after its end mark"):
        decoder.feed(END_OF_STREAM * 2 + huge)


def test_what_is_remembered_of_metadata_is_bounded() -> None:
    cutter = Cutter(MAX_MESSAGE_BYTES)
    wide = pa.record_batch([pa.array([1.0])] * 2_000, names=[f"c{i}" for i in range(2_000)])
    for batch in (*(PRICES.slice(0, n) for n in range(3)), wide):
        for copies in range(1, 40):
            taken = pa.concat_batches([batch] * copies).serialize().to_pybytes()
            assert [message.size for _, message in cutter.feed(taken)] == [len(taken)]
    held = [metadata for metadata, _ in cutter._known.values()]
    assert len(held) <= 16
    assert sum(map(len, held)) <= 1 << 20


def test_a_stream_starts_with_its_schema_and_has_only_one() -> None:
    schema, batch, end = ipc_messages(PRICES.schema, [PRICES])
    for wrong in ([batch, end], [schema, schema, batch, end], [end]):
        with pytest.raises(MalformedStream, match="starts with its schema"):
            fed(wrong)


def ipc_stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as w:
        w.write_table(table)
    return bytes(sink.getvalue())


def test_what_grows_when_it_is_read_is_refused() -> None:
    zeros = pa.table({"x": np.zeros(100_000)})
    words = pa.table({"x": pa.array(["a", "a"]).dictionary_encode()})
    for stream in (ipc_stream(zeros, compression="zstd"), ipc_stream(words)):
        with pytest.raises(MalformedStream, match="are not accepted"):
            fed([stream])


def test_rows_that_take_no_bytes_are_bounded_too() -> None:
    batch = pa.record_batch({"x": pa.nulls(1_000_000)})
    with pytest.raises(MessageTooLarge, match="A batch of 1000000 rows"):
        fed([ipc_stream(pa.Table.from_batches([batch]))], max_message_bytes=50_000)


def test_a_column_that_may_have_no_nulls_has_none() -> None:
    schema = pa.schema([pa.field("x", pa.float64(), nullable=False)])
    broken = pa.RecordBatch.from_arrays([pa.array([1.0, None])], schema=schema)
    with pytest.raises(MalformedStream, match="'x' has nulls"):
        fed([stream_of(broken)])


def test_nulls_are_found_after_batches_of_the_same_size_without_them() -> None:
    strict = pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.int64())])
    loose = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    full, holed = pa.array(range(9)), pa.array([None, *range(7)])
    fine, wrong = (
        pa.record_batch([values, values], schema=loose).serialize().to_pybytes()
        for values in (full, holed)
    )
    assert len(fine) == len(wrong)  # a row more takes the place of two bitmaps
    decoder = Decoder()
    decoder.feed(strict.serialize().to_pybytes())
    for _ in range(2):
        assert decoder.feed(fine)[0].column(0).equals(full)
    with pytest.raises(MalformedStream, match="Column 'a' has nulls"):
        decoder.feed(wrong)


@given(tables(), st.data())
def test_many_kinds_of_batches_in_any_order_are_the_same(
    table: pa.Table, data: st.DataObject
) -> None:
    rows = st.integers(0, table.num_rows)
    ends = data.draw(st.lists(st.tuples(rows, rows), min_size=20, max_size=60))
    whole = table.combine_chunks()
    slices = [whole.slice(min(a, b), abs(b - a)) for a, b in ends]
    messages = [b for piece in slices for b in piece.to_batches()]
    read = fed([*ipc_messages(table.schema, messages)])
    assert read.equals(pa.Table.from_batches(messages, table.schema))


def test_text_that_is_not_utf8_is_refused() -> None:
    whole = stream_of(PRICES).replace("ü".encode(), b"\xff\xff")
    with pytest.raises(MalformedStream, match="is broken"):
        fed([whole])


def test_messages_and_streams_are_limited() -> None:
    whole = stream_of(pa.record_batch({"x": np.zeros(10_000)}))
    with pytest.raises(MessageTooLarge, match="over the limit of 50000"):
        fed([whole], max_message_bytes=50_000)
    with pytest.raises(StreamTooLarge, match="its limit of 50000 bytes"):
        fed([whole], max_bytes=50_000)


def test_a_message_that_claims_to_be_huge_is_refused_before_it_comes() -> None:
    decoder = Decoder()
    decoder.feed(PRICES.schema.serialize().to_pybytes())
    with pytest.raises(MessageTooLarge):
        decoder.feed(b"\xff\xff\xff\xff" + (2**31 - 1).to_bytes(4, "little"))
