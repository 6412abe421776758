from __future__ import annotations

import gzip

import pytest

from services.dataset.formats import Format
from tests.unit.dataset_formats.files import Files, times, values

TSSB_MARKET = "20240501 900 1 2 .5 1.5 7\n20240502 1000 1.5 2 1 1.25 8\n"
TSSB_DATABASE = "Date Time Market CMMA TGT\n20240501 900 ES .1 1\n20240502 1000 ES -.2 2\n"
YAHOO = (
    "Date,Open,High,Low,Close,Adj Close,Volume\n"
    "2024-05-01,1,2,.5,1.5,1.4,7\n2024-05-02,1.5,2,1,1.25,1.2,8\n"
)


def test_tssb_market_history_is_recognised(files: Files) -> None:
    parsed = files.bars(TSSB_MARKET)
    assert parsed.format is Format.TSSB_MARKET
    assert parsed.table.column_names == ["timestamp_ms", "open", "high", "low", "close", "volume"]
    assert values(parsed, "close") == [1.5, 1.25]
    assert values(parsed, "volume") == [7, 8]


def test_daily_market_history_has_no_time(files: Files) -> None:
    parsed = files.bars("20240501,1,2,.5,1.5,7\n20240502,1.5,2,1,1.25,8\n")
    assert times(parsed)[1] - times(parsed)[0] == 86_400_000


@pytest.mark.parametrize("separator", [" ", "\t", ",", "   ", " \t ", ", "])
def test_tssb_files_may_have_any_separator(files: Files, separator: str) -> None:
    bars = files.bars(TSSB_MARKET.replace(" ", separator))
    assert bars.table == files.bars(TSSB_MARKET).table
    indicators = files.indicators(TSSB_DATABASE.replace(" ", separator))
    assert indicators.table == files.indicators(TSSB_DATABASE).table


def test_a_tssb_database_is_recognised(files: Files) -> None:
    parsed = files.indicators(TSSB_DATABASE)
    assert parsed.format is Format.TSSB_DATABASE
    assert parsed.table.column_names == ["timestamp_ms", "CMMA", "TGT"]
    assert values(parsed, "CMMA") == [0.1, -0.2]
    assert any("'ES' (2 rows)" in note for note in parsed.notes)


def test_a_database_with_long_names_or_other_dates_is_csv(files: Files) -> None:
    assert files.indicators("Date,A_NAME_BEYOND_15\n20240501,1\n").format is Format.CSV
    assert files.indicators("Date,A\n2024-05-01,1\n").format is Format.CSV
    refusal = files.indicators_refused("Date,A\n2024-05-01,1\n", format=Format.TSSB_DATABASE)
    assert "no TSSB database" in refusal


def test_what_a_bar_file_holds_besides_bars_is_kept(files: Files) -> None:
    parsed = files.bars(YAHOO)
    assert parsed.format is Format.CSV
    assert parsed.table.column_names[1:] == ["open", "high", "low", "close", "volume", "Adj Close"]
    assert values(parsed, "Adj Close") == [1.4, 1.2]


def test_without_volume_it_is_null(files: Files) -> None:
    parsed = files.bars("time,open,high,low,close\n2024-05-01,1,2,.5,1.5\n")
    assert values(parsed, "volume") == [None]
    assert parsed.null_counts == {"volume": 1}


@pytest.mark.parametrize(
    "changed",
    [
        "\ufeff" + YAHOO,
        YAHOO.replace("\n", "\r\n"),
        YAHOO.replace("\n", "\r"),
        YAHOO.replace("\n", "\n\n  \n"),
        YAHOO.replace("\n", ",\n"),
        YAHOO.replace("7\n", "7,\n"),
        YAHOO.replace(",", ";"),
        YAHOO.replace(",", "\t"),
        YAHOO.replace(",", " , "),
        YAHOO.rstrip("\n"),
        "\n\n" + YAHOO,
        "".join(f'"{line}"\n' for line in YAHOO.replace(",", '","').splitlines()),
        YAHOO.replace("Open", "<OPEN>").replace("Close,A", "close,A"),
        YAHOO.replace("Date", "").replace("2024", "2024"),
    ],
)
def test_the_dress_of_a_file_does_not_matter(files: Files, changed: str) -> None:
    assert files.bars(changed).table == files.bars(YAHOO).table


def test_the_separator_can_be_given(files: Files) -> None:
    content = YAHOO.replace(",", "|")
    assert files.bars(content, separator="|").table == files.bars(YAHOO).table
    assert "cannot separate" in files.bars_refused(content, separator="x")
    assert "one ASCII character" in files.bars_refused(content, separator="||")


def test_row_numbers_of_pandas_are_left_out(files: Files) -> None:
    content = ",Date,A\n0,2024-05-01,1.5\n1,2024-05-02,2.5\n"
    parsed = files.indicators(content)
    assert parsed.table.column_names == ["timestamp_ms", "A"]
    assert "without a name" in files.indicators_refused(content.replace("1,2024", "7,2024"))


def test_an_unnamed_first_column_can_be_the_time(files: Files) -> None:
    assert len(times(files.indicators(",A\n2024-05-01,1.5\n2024-05-02,2.5\n"))) == 2


def test_columns_can_be_given_and_renamed(files: Files) -> None:
    content = "When,First,Max,Min,Last\n2024-05-01,1,2,.5,1.5\n"
    assert "time could be" not in files.bars_refused(content)
    assert "has no column for" in files.bars_refused(content, timestamp_column="When")
    given = {"open": "First", "high": "Max", "low": "Min", "close": "Last"}
    parsed = files.bars(content, timestamp_column="When", columns=given)
    assert values(parsed, "close") == [1.5]
    renamed = files.indicators("Date,Open,A\n2024-05-01,1,2\n", columns={"x_open": "Open"})
    assert renamed.table.column_names == ["timestamp_ms", "x_open", "A"]


def test_an_override_that_names_no_column_is_refused(files: Files) -> None:
    assert "ohlcv.columns names 'Last'" in files.bars_refused(YAHOO, columns={"close": "Last"})
    assert "text_columns names" in files.bars_refused(YAHOO, text_columns=("Note",))
    assert "timestamp_column is 'When'" in files.bars_refused(YAHOO, timestamp_column="When")


def test_two_time_columns_need_a_choice(files: Files) -> None:
    content = "unix,date,A\n1714572000,2024-05-01 14:00,1\n"
    assert "the time could be in 'unix', 'date'" in files.indicators_refused(content)
    parsed = files.indicators(content, timestamp_column="unix")
    assert parsed.table.column_names == ["timestamp_ms", "date", "A"]
    ours = content.replace("unix", "timestamp_ms").replace("1714572000", "1714572000000")
    assert times(files.indicators(ours)) == [1_714_572_000_000]


def test_several_markets_need_a_choice(files: Files) -> None:
    content = "Date Market A\n20240501 ES 1\n20240501 NQ 2\n20240502 ES 3\n20240502 NQ 4\n"
    refusal = files.indicators_refused(content)
    assert "indicators.market is missing: the file holds the markets 'ES', 'NQ'" in refusal
    assert values(files.indicators(content, market="NQ"), "A") == [2, 4]
    assert "is 'YM', but" in files.indicators_refused(content, market="YM")
    assert "no market column" in files.bars_refused(YAHOO, market="ES")


def test_markets_may_look_like_numbers(files: Files) -> None:
    content = "Date Market A\n20240501 7203 1\n20240502 7203 2\n"
    assert values(files.indicators(content, market="7203"), "A") == [1, 2]


def test_text_columns_stay_text(files: Files) -> None:
    content = "Date,Regime,Code,A\n2024-05-01,bull,007,1\n2024-05-02,,008,2\n"
    parsed = files.indicators(content, text_columns=("Code",))
    assert values(parsed, "Regime") == ["bull", None]
    assert values(parsed, "Code") == ["007", "008"]
    assert any("text: 'Regime', 'Code'" in note for note in parsed.notes)


def test_t_beside_the_prices_is_the_time(files: Files) -> None:
    content = "v,vw,o,c,h,l,t,n\n5,1.2,1,1.5,2,.5,1714572000000,9\n"
    parsed = files.bars(content)
    assert times(parsed) == [1_714_572_000_000]
    assert values(parsed, "close") == [1.5]
    assert "no column has a name like date" in files.indicators_refused("t,a\n1714572000,1\n")


def test_an_empty_last_field_is_no_separator_left_out(files: Files) -> None:
    content = "time,open,high,low,close,RSI\n1714572000,1,2,.5,1.5,\n1714575600,1,2,.5,1.5,7\n"
    assert not any("left out" in note for note in files.bars(content).notes)
    trailing = content.replace("RSI\n", "RSI,\n").replace(".5,\n", ".5,,\n").replace("7\n", "7,\n")
    assert any("ends of lines are left out" in note for note in files.bars(trailing).notes)


def test_gzip_is_undone(files: Files) -> None:
    assert files.bars(gzip.compress(YAHOO.encode())).table == files.bars(YAHOO).table
    head, tail = YAHOO[:50].encode(), YAHOO[50:].encode()
    members = gzip.compress(head) + gzip.compress(tail) + b"\0" * 9
    assert files.bars(members).table == files.bars(YAHOO).table


def test_indicators_keep_their_nulls_and_lose_empty_edges(files: Files) -> None:
    content = (
        "Date,A,B\n2024-05-01,,NaN\n2024-05-02,1,\n2024-05-03,nan,2\n"
        "2024-05-04,N/A,3\n2024-05-05,5,5\n2024-05-06,,\n2024-05-07,,null\n"
    )
    parsed = files.indicators(content)
    assert values(parsed, "A") == [1, None, None, 5]
    assert values(parsed, "B") == [None, 2, 3, 5]
    assert parsed.null_counts == {"A": 2, "B": 1}
    assert (parsed.trimmed_head, parsed.trimmed_tail) == (1, 2)


def test_numbers_survive_to_the_last_digit(files: Files) -> None:
    numbers = [0.1, 1e-300, 1.7976931348623157e308, 5e-324, -0.30000000000000004]
    rows = "".join(f"2024-05-0{i + 1},{n!r}\n" for i, n in enumerate(numbers))
    assert values(files.indicators("Date,A\n" + rows), "A") == numbers
