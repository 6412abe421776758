"""Files made to hurt: each is refused in a sentence, before it costs much."""

from __future__ import annotations

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.errors import Stage1Error
from tests.unit.dataset_formats.files import HEADER, Files, values
from tests.unit.dataset_formats.test_columnar import arrow_file, arrow_stream, parquet

TABLE = pa.table({"timestamp_ms": [1_714_572_000_000], "A": [1.0]})
ROW = "2024-05-01,1,2,.5,1.5,7\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Date," + b"1" * (10 << 20), "more than 4194304 bytes (4 MiB) in line 1"),
        (HEADER.encode() + b"1" * (10 << 20), "more than 4194304 bytes (4 MiB) in line 2"),
        (HEADER.encode() + b"1" * (5 << 20) + b"\n" + ROW.encode(), "(4 MiB) in line 2"),
        (b"," * (2 << 20), "has 2097152 columns, and at most 2000 are taken"),
        (b"a" * 200_000 + b",b\n1,2\n", "has column names longer than 127 bytes"),
        (b"Date,A" + b",x" * 5000 + b"\n", "has 5002 columns, and at most 2000 are taken"),
        ((HEADER + ROW).encode("utf-16-le"), "a NUL byte in line 1"),
        ((HEADER + ROW).encode("utf-32"), "UTF-16"),
        (HEADER.replace("Volume", "Größe").encode("latin-1") + b"\n", "not UTF-8: line 1"),
        (HEADER.encode() + b'"' * 100_001 + b"\n", "a quote that does not end there"),
        (HEADER.encode() + b'""""""""""\n' * 1000, "does not have the 6 fields"),
        (b"\n" * (5 << 20) + b"x\0", "a NUL byte in line 5242881"),
        (b"\r" * 100_000, "is empty"),
        (b" \t\n" * 100_000, "is empty"),
    ],
)
def test_hostile_text_is_refused(files: Files, content: bytes, words: str) -> None:
    assert words in files.bars_refused(content)


def test_digits_of_other_scripts_are_no_numbers(files: Files) -> None:
    for digits in ("\u0661\u0662", "\uff11\uff12", "\u00b2"):
        refusal = files.bars_refused(f"{HEADER}{ROW}2024-05-02,{digits},2,.5,1.5,7\n")
        assert "no number in 'Open'" in refusal
        assert "in 1 line: 3" in files.bars_refused(f"{HEADER}{ROW}2024-05-{digits},1,2,.5,1,7\n")


@pytest.mark.parametrize("claim", [0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])
def test_sizes_that_headers_claim_are_not_believed(files: Files, claim: int) -> None:
    size = struct.pack("<I", claim)
    written = parquet(TABLE)
    stream = arrow_stream(TABLE)
    for content in (
        written[:-8] + size + b"PAR1",
        stream[:4] + size + stream[8:],
        arrow_file(TABLE)[:-10] + size + b"ARROW1",
    ):
        files.indicators_refused(content)


def test_rows_that_parquet_claims_are_bounded_before_they_are_read(files: Files) -> None:
    sink = io.BytesIO()
    long = pa.table({"timestamp_ms": pa.array(range(3_000_000)), "A": pa.nulls(3_000_000)})
    pq.write_table(long, sink, compression="zstd")
    with pytest.raises(Stage1Error, match="at most 1000000 are taken"):
        files.indicators(sink.getvalue(), max_bytes=1_000_000)


def test_a_header_that_comes_again_is_told_by_line(files: Files) -> None:
    content = HEADER + ROW + HEADER + ROW.replace("05-01", "05-02")
    assert "repeats the header in 1 line: 3" in files.bars_refused(content)


def test_names_that_come_twice_are_named(files: Files) -> None:
    assert "same name (upper and lower case are one): 'a'" in files.indicators_refused(
        "Date,A,B,a\n2024-05-01,1,2,3\n"
    )


def test_a_column_that_is_empty_for_long_may_be_text_after_all(files: Files) -> None:
    rows = "".join(f"{i},,{i}\n" for i in range(600_000))
    parsed = files.indicators(f"unix,Note,A\n{rows}600000,late,1\n", timestamp_column="unix")
    assert parsed.table["Note"].to_pylist()[-1] == "late"
    assert parsed.null_counts == {"Note": 600_000}
    numbers = files.indicators(f"unix,B,A\n{rows}600000,2.5,1\n", timestamp_column="unix")
    assert numbers.table["B"].to_pylist()[-1] == 2.5


def test_rules_are_kept_across_blocks(files: Files) -> None:
    def row(i: int) -> str:
        return f"{1_600_000_000 + 60 * i},{i % 7 + 1},9,1,2,3\n"

    header = "unix,Open,High,Low,Close,Volume\n"
    rows = [row(i) for i in range(400_000)]
    assert files.bars(header + "".join(rows)).table.num_rows == 400_000
    for at in (131_072, 199_999, 399_999):
        content = header + "".join([*rows[:at], rows[at - 1], *rows[at:]])
        refusal = files.bars_refused(content)
        assert f"repeats the time of the row above it in 1 line: {at + 2}" in refusal


def test_a_text_may_be_as_long_as_a_line(files: Files) -> None:
    long = "x" * 200_000
    parsed = files.indicators(f'Date,A,Note\n2024-05-01,1,"{long}"\n2024-05-02,2,{long}\n')
    assert values(parsed, "Note") == [long, long]
