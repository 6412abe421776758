from __future__ import annotations

import io
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from services.dataset.formats import Format, Unit
from services.shared.errors import TooLarge
from tests.unit.dataset_formats.files import Files, times, values

MAY_1_14H = 1_714_572_000_000
HOUR = 3_600_000
BARS = {
    "open": [1.0, 1.5],
    "high": [2.0, 2.0],
    "low": [0.5, 1.0],
    "close": [1.5, 1.25],
    "volume": [7.0, None],
}


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def arrow_file(table: pa.Table, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow_stream(table: pa.Table, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def feather_v2(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(table, sink)
    return sink.getvalue()


WRITERS = [parquet, arrow_file, arrow_stream, feather_v2]


def bars(stamps: pa.Array, name: str = "timestamp_ms") -> pa.Table:
    return pa.table({name: stamps, **BARS})


@pytest.mark.parametrize("write", WRITERS)
def test_the_same_table_comes_back(files: Files, write: Any) -> None:
    table = bars(pa.array([MAY_1_14H, MAY_1_14H + HOUR]))
    parsed = files.bars(write(table))
    assert parsed.table == table
    assert parsed.format is (Format.PARQUET if write is parquet else Format.ARROW)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("write", [arrow_file, arrow_stream])
def test_compressed_arrow_is_bounded_before_it_expands(
    files: Files, write: Any, compression: str
) -> None:
    rows = 200_000
    stamps = pa.array(range(MAY_1_14H, MAY_1_14H + rows))
    text = pa.array(["same"] * rows).dictionary_encode()
    table = pa.table({"timestamp_ms": stamps, "A": pa.array([1.0] * rows), "T": text})
    content = write(table, compression)
    assert len(values(files.indicators(content), "A")) == rows
    with pytest.raises(TooLarge, match="expands to more than 3000000 bytes"):
        files.indicators(content, max_bytes=3_000_000)


def test_parquet_is_bounded_before_it_expands(files: Files) -> None:
    rows = 200_000
    stamps = pa.array(range(MAY_1_14H, MAY_1_14H + rows))
    content = parquet(pa.table({"timestamp_ms": stamps, "A": pa.array([1.0] * rows)}))
    with pytest.raises(TooLarge, match="at most 3000000 are taken"):
        files.indicators(content, max_bytes=3_000_000)


def test_one_long_text_for_many_rows_is_bounded(files: Files) -> None:
    rows = 20_000
    stamps = pa.array(range(MAY_1_14H, MAY_1_14H + rows))
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 10_000])
    table = pa.table({"timestamp_ms": stamps, "A": pa.array([1.0] * rows), "T": text})
    for write in (parquet, arrow_file):
        with pytest.raises(TooLarge, match="expands to 200000000 bytes"):
            files.indicators(write(table), max_bytes=100_000_000)


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array([datetime(2024, 5, 1, 14), datetime(2024, 5, 1, 15)], pa.timestamp(unit))
        for unit in ("s", "ms", "us", "ns")
    ]
    + [
        pa.array([MAY_1_14H, MAY_1_14H + HOUR], pa.timestamp("ms", "America/New_York")),
        pa.array([MAY_1_14H, MAY_1_14H + HOUR], pa.timestamp("ms", "+02:00")),
        pa.array([MAY_1_14H // 1000, MAY_1_14H // 1000 + 3600]),
        pa.array([MAY_1_14H / 1000, MAY_1_14H / 1000 + 3600]),
        pa.array(["2024-05-01 14:00", "2024-05-01 15:00"]),
    ],
)
def test_every_type_of_time_is_understood(files: Files, stamps: pa.Array) -> None:
    parsed = files.bars(parquet(bars(stamps, "time")))
    assert times(parsed) == [MAY_1_14H, MAY_1_14H + HOUR]


def test_naive_times_take_the_zone(files: Files) -> None:
    local = [datetime(2024, 5, 1, 14), datetime(2024, 5, 1, 15)]
    parsed = files.bars(parquet(bars(pa.array(local), "time")), zone="America/New_York")
    zone = ZoneInfo("America/New_York")
    assert times(parsed) == [int(t.replace(tzinfo=zone).timestamp()) * 1000 for t in local]


def test_dates_are_session_dates(files: Files) -> None:
    days = pa.array([date(2024, 5, 1), date(2024, 5, 2)])
    assert times(files.bars(parquet(bars(days, "Date")))) == [1_714_521_600_000, 1_714_608_000_000]
    midnights = [datetime(2024, 5, d, tzinfo=ZoneInfo("America/New_York")) for d in (1, 2)]
    stamps = pa.array(midnights, pa.timestamp("us", "America/New_York"))
    assert times(files.bars(parquet(bars(stamps, "Date")))) == [
        1_714_521_600_000,
        1_714_608_000_000,
    ]


def test_a_time_column_is_found_by_its_type(files: Files) -> None:
    stamps = pa.array([MAY_1_14H, MAY_1_14H + HOUR], pa.timestamp("ms"))
    assert times(files.bars(parquet(bars(stamps, "when"))))[0] == MAY_1_14H


def test_milliseconds_that_are_seconds_are_refused(files: Files) -> None:
    content = parquet(bars(pa.array([MAY_1_14H // 1000, MAY_1_14H // 1000 + 3600])))
    assert "looks like seconds" in files.bars_refused(content)
    assert times(files.bars(content, unit=Unit.S))[0] == MAY_1_14H


def test_every_number_becomes_a_float(files: Files) -> None:
    table = pa.table(
        {
            "timestamp_ms": [MAY_1_14H, MAY_1_14H + HOUR],
            "I": pa.array([1, None], pa.int16()),
            "F": pa.array([0.5, float("nan")], pa.float32()),
            "D": pa.array([Decimal("1.25"), None]),
            "B": [True, False],
            "N": pa.nulls(2),
            "T": pa.array(["a", None], pa.string_view()),
        }
    )
    parsed = files.indicators(arrow_file(table))
    assert [values(parsed, name) for name in "IFDBNT"] == [
        [1, None],
        [0.5, None],
        [1.25, None],
        [1, 0],
        [None, None],
        ["a", None],
    ]
    kinds = [str(field.type) for field in parsed.table.schema]
    assert kinds == ["int64", *["double"] * 5, "string"]


@pytest.mark.parametrize("type_", [pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.uint64()])
@pytest.mark.parametrize("moment", [2**62, 2**63 - 1, 9_000_000_000_000])
def test_moments_far_away_are_refused(files: Files, type_: Any, moment: int) -> None:
    content = arrow_file(bars(pa.array([0, moment], type_), "time"))
    files.bars_refused(content, unit=Unit.MS if type_ == pa.uint64() else None)


def test_integers_that_would_change_are_refused(files: Files) -> None:
    table = pa.table({"timestamp_ms": [MAY_1_14H], "I": [2**53 + 1]})
    assert "cannot hold exactly" in files.indicators_refused(parquet(table))


def test_types_without_meaning_are_refused(files: Files) -> None:
    table = pa.table({"timestamp_ms": [MAY_1_14H], "L": [[1.0]]})
    assert "in column 'L', which is no number and no text" in files.indicators_refused(
        parquet(table)
    )


def test_bad_rows_are_told_by_row(files: Files) -> None:
    table = bars(pa.array([MAY_1_14H, MAY_1_14H]))
    refusal = files.bars_refused(parquet(table))
    assert "repeats the time of the row above it in 1 row: 2" in refusal


def test_the_index_of_pandas_is_the_time_or_left_out(files: Files) -> None:
    stamps = pa.array([MAY_1_14H, MAY_1_14H + HOUR], pa.timestamp("ms"))
    content = parquet(bars(stamps, "__index_level_0__"))
    assert times(files.bars(content))[0] == MAY_1_14H
    numbered = bars(pa.array([MAY_1_14H, MAY_1_14H + HOUR])).append_column(
        "__index_level_0__", pa.array([0, 1])
    )
    assert "__index_level_0__" not in files.bars(parquet(numbered)).table.column_names


def test_a_table_without_rows_is_refused(files: Files) -> None:
    table = bars(pa.array([MAY_1_14H, MAY_1_14H + HOUR])).slice(0, 0)
    for write in WRITERS:
        assert "no rows" in files.bars_refused(write(table))


def test_a_file_cut_off_is_refused(files: Files) -> None:
    table = bars(pa.array([MAY_1_14H, MAY_1_14H + HOUR]))
    for write in (parquet, arrow_file, feather_v2):
        content = write(table)
        for end in (len(content) - 1, len(content) // 2, 12):
            files.bars_refused(content[:end])
    stream = arrow_stream(table)
    for end in (len(stream) - 9, len(stream) // 2, 12):
        files.bars_refused(stream[:end])


@pytest.mark.parametrize("write", WRITERS)
def test_a_column_of_text_stays_text_whatever_it_holds(files: Files, write: Any) -> None:
    stamps = pa.array([MAY_1_14H, MAY_1_14H + HOUR])
    table = bars(stamps).append_column("code", pa.array(["001", "2"]))
    table = table.append_column("none", pa.array([None, None], pa.string()))
    parsed = files.bars(write(table))
    assert parsed.table == table
    assert any("Columns of text: 'code', 'none'" in note for note in parsed.notes)


def test_text_is_taken_as_a_line_of_text_can_carry_it(files: Files) -> None:
    stamps = pa.array([MAY_1_14H, MAY_1_14H + HOUR])
    table = bars(stamps).append_column(" code ", pa.array([" a ", " "]))
    parsed = files.bars(parquet(table))
    assert values(parsed, "code") == ["a", None]
    assert parsed.null_counts["code"] == 1
    for text in ("a\nb", "a\rb", "a\tb", "a\x7fb", "a\x85b"):
        broken = bars(stamps).append_column("code", pa.array(["a", text]))
        assert "control character in 'code' in 1 row: 2" in files.bars_refused(parquet(broken))


def test_prices_written_as_text_are_numbers(files: Files) -> None:
    table = bars(pa.array([MAY_1_14H, MAY_1_14H + HOUR]))
    written = table.set_column(1, "open", pa.array(["1.0", "1.5"]))
    assert files.bars(parquet(written)).table == table
