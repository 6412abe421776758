from __future__ import annotations

import gzip
import zlib

import pytest

from services.dataset.formats import FileRefused, Format
from services.shared.errors import InvalidRequest, TooLarge
from tests.unit.dataset_formats.files import HEADER, Files, values

GOOD = "2024-05-01,1,2,.5,1.5,7\n"


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("1,2,.5,x,7", "no number in 'Close' (but 'x', for example)"),
        ('"1,5",2,.5,1.5,7', "no number in 'Open'"),
        ("1,,.5,1.5,7", "no value in open, high, low or close"),
        ("1,nan,.5,1.5,7", "no value in open, high, low or close"),
        ("1,inf,.5,1.5,7", "an infinite value in 'high'"),
        ("1,2,.5,1.5,-inf", "an infinite value in 'volume'"),
        ("1,1e999,.5,1.5,7", "an infinite value in 'high'"),
        ("1,2,0,1.5,7", "a price that is not above 0"),
        ("1,2,-1,1.5,7", "a price that is not above 0"),
        ("1,.5,2,1.5,7", "high below low"),
        ("3,2,.5,1.5,7", "open outside low to high"),
        ("1,2,.5,.25,7", "close outside low to high"),
        ("1,2,.5,1.5,-7", "a volume below 0"),
        ("1,2,.5,1.5", "not have the 6 fields of the first line"),
        ("1,2,.5,1.5,7,8,9", "not have the 6 fields of the first line"),
    ],
)
def test_a_bad_bar_is_refused_by_line_and_rule(files: Files, row: str, rule: str) -> None:
    refusal = files.bars_refused(f"{HEADER}{GOOD}\n2024-05-02,{row}\n2024-05-03,1,2,.5,1.5,7\n")
    assert rule in refusal
    assert "in 1 line: 4" in refusal


def test_every_broken_rule_is_told_at_once(files: Files) -> None:
    content = HEADER + GOOD + GOOD + "2024-05-02,1,2,.5,9,7\n2024-05-03,0,2,.5,1,7\n"
    with pytest.raises(InvalidRequest) as caught:
        files.bars(content)
    assert isinstance(caught.value, FileRefused)
    assert caught.value.reason == "FILE_REFUSED"
    assert [(v.field, v.message) for v in caught.value.violations] == [
        ("ohlcv", "repeats the time of the row above it in 1 line: 3"),
        ("ohlcv", "has a price that is not above 0 in 1 line: 5"),
        ("ohlcv", "has open outside low to high in 1 line: 5"),
        ("ohlcv", "has close outside low to high in 1 line: 4"),
    ]


def test_the_first_twenty_lines_and_their_number_are_told(files: Files) -> None:
    rows = "".join(f"2024-{m:02}-{d:02},1,2,.5,9,7\n" for m in (1, 2, 3) for d in range(1, 11))
    refusal = files.bars_refused(HEADER + rows)
    assert "in 30 lines: 2, 3, 4" in refusal
    assert refusal.endswith("20, 21, ….")


def test_an_infinite_indicator_is_refused(files: Files) -> None:
    content = "Date,A\n2024-05-01,1\n2024-05-02,-inf\n"
    assert "infinite value in 'A' in 1 line: 3" in files.indicators_refused(content)


def test_an_indicator_that_is_no_number_is_refused(files: Files) -> None:
    content = "Date,A\n2024-05-01,1\n2024-05-02,oops\n2024-05-03,1_000\n"
    refusal = files.indicators_refused(content)
    assert "no number in 'A' (but 'oops', for example) in 2 lines: 3, 4" in refusal


def test_a_number_far_down_makes_a_column_of_numbers(files: Files) -> None:
    rows = "".join(f"{i},x\n" for i in range(3000)) + "3000,1.5\n"
    assert "no number in 'A'" in files.indicators_refused("unix,A\n" + rows)


def test_a_row_without_any_value_between_others_is_refused(files: Files) -> None:
    content = "Date,A,B\n2024-05-01,1,1\n2024-05-02,,\n2024-05-03,1,1\n"
    assert "between rows that have some, in 1 line: 3" in files.indicators_refused(content)
    assert "no value in any row" in files.indicators_refused("Date,A\n2024-05-01,\n")


@pytest.mark.parametrize("name", ["index", "Timestamp_MS", "ohlcv_index", "Open", "VOLUME"])
def test_names_of_the_system_are_refused_with_another(files: Files, name: str) -> None:
    refusal = files.indicators_refused(f"unix,A,{name}\n0,1,1\n", timestamp_column="unix")
    assert f"{name!r} (use 'x_{name.lower()}')" in refusal


def test_bars_may_not_hold_an_index(files: Files) -> None:
    content = "Date,Open,High,Low,Close,Index\n2024-05-01,1,2,.5,1.5,7\n"
    assert "'Index' (use 'x_index')" in files.bars_refused(content)


def test_names_must_differ(files: Files) -> None:
    assert "same name" in files.indicators_refused("Date,A,a\n2024-05-01,1,2\n")


def test_columns_have_their_number_and_names_their_length(files: Files) -> None:
    def wide(columns: int, name: str = "F") -> str:
        names = ",".join(f"{name}{i}" for i in range(columns - 1))
        return f"Date,{names}\n2024-05-01{',1' * (columns - 1)}\n"

    assert files.indicators(wide(2000)).table.num_columns == 2000
    assert "has 2001 columns, and at most 2000 are taken" in files.indicators_refused(wide(2001))
    assert files.indicators(wide(2, "n" * 126)).table.num_columns == 2
    assert "names longer than 127 bytes" in files.indicators_refused(wide(2, "n" * 127))
    assert "names longer than 127 bytes" in files.indicators_refused(wide(2, "ü" * 64))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \r\n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEADER.encode(), "a header, but no rows"),
        (b"Date,Open\n\0\0", "a NUL byte in line 2"),
        (HEADER.encode() + b"2024-05-01,1,2,\xff,1,7\n", "not UTF-8: line 2 has the byte 0xff"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "ZIP archive"),
        (b"%PDF-1.4", "PDF"),
        (b"PAR1 but not really PAR1", "Parquet"),
        (b"ARROW1\0\0 but not really ARROW1", "Arrow"),
        (b"\xff\xff\xff\xff\x10\0\0\0 no", "Arrow"),
        (b"FEA1", "Feather version 1"),
        (b"<html><body>404</body></html>", "is a web page"),
        (b'{"bars": []}', "is JSON"),
        (b"some words of prose\nand a few more\n", "no column has a name like"),
        (gzip.compress(GOOD.encode())[:-9], "cut off"),
        (gzip.compress(GOOD.encode())[:10] + b"\xff" * 20, "damaged"),
        (gzip.compress(GOOD.encode()) + b"rest", "after the end of its gzip"),
        (gzip.compress(gzip.compress(GOOD.encode())), "compressed twice"),
        (gzip.compress(b""), "is empty"),
        (
            HEADER.encode() + b'2024-05-01,"1,2,.5,1.5,7\n',
            "a quote that does not end there in 1 line: 2",
        ),
        (
            HEADER.encode() + b'2024-05-01,1"2,3"4,1,1,1\n',
            "quotes around a part of a field in 1 line: 2",
        ),
        (
            HEADER.encode() + b'2024-05-01,1,1,1,1, "1"\n',
            "quotes around a part of a field in 1 line: 2",
        ),
        (b"1714572000,1,2,.5,1.5,7\n", "has no header"),
        (b"Date,High,Low,Close\n2024-05-01,1,1,1\n", "no column for 'open'"),
    ],
)
def test_what_is_no_bar_file_is_told(files: Files, content: bytes, words: str) -> None:
    assert words in files.bars_refused(content)


def test_a_file_of_another_format_than_given_is_refused(files: Files) -> None:
    content = HEADER + GOOD
    assert "format is parquet, but the file is text" in files.bars_refused(
        content, format=Format.PARQUET
    )
    assert "no TSSB market history" in files.bars_refused(content, format=Format.TSSB_MARKET)
    headless = "20240501 1 2 .5 1.5 7\n"
    assert "has no header" in files.bars_refused(headless, format=Format.CSV)
    assert "has no header" in files.indicators_refused(headless)


def test_a_gzip_bomb_is_stopped_by_its_ratio(files: Files) -> None:
    bomb = gzip.compress(b"0" * (40 << 20))
    with pytest.raises(TooLarge, match="more than 200 times its size"):
        files.bars(bomb)


def test_gzip_is_stopped_at_the_byte_limit(files: Files) -> None:
    packed = zlib.compress(b"0" * 300_000, wbits=31)
    with pytest.raises(TooLarge, match="more than 100000 bytes"):
        files.bars(packed, max_bytes=100_000)
    with pytest.raises(TooLarge, match="at most 10 are taken"):
        files.bars(HEADER, max_bytes=10)


@pytest.mark.parametrize("other", ["1", '"x"', "1;5"])
def test_an_integer_that_would_be_rounded_is_refused_by_line(files: Files, other: str) -> None:
    content = f"Date;A;B\n2024-05-01;{2**53};{other}\n2024-05-02;{2**53 + 1};1\n"
    if ";5" in other:
        content = content.replace("1;5", "1,5")
    refusal = files.indicators_refused(content)
    assert "has an integer in 'A' that float64 cannot hold exactly in 1 line: 3" in refusal


def test_large_numbers_that_float64_holds_are_taken(files: Files) -> None:
    numbers = [2**53, 10**22, 1e300, -(2**60), None]
    rows = "".join(f"2024-05-0{i + 1},{n or ''},1\n" for i, n in enumerate(numbers))
    assert values(files.indicators("Date,A,B\n" + rows), "A") == numbers
