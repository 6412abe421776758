from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.dataset.formats import DateOrder, FileAmbiguous, TimeLayout, Unit
from tests.unit.dataset_formats.files import Files, times

MAY_1_14H = 1_714_572_000_000
HOUR = 3_600_000


def stamped(*stamps: str, header: str = "date") -> str:
    rows = "".join(f"{stamp},1,2,.5,1.5,0\n" for stamp in stamps)
    return f"{header},Open,High,Low,Close,Volume\n{rows}"


def tssb(*stamps: str) -> str:
    return "".join(f"{stamp} 1 2 .5 1.5 0\n" for stamp in stamps)


def test_the_date_20240501_with_time_140000_is_1714572000000(files: Files) -> None:
    assert times(files.bars(tssb("20240501 140000", "20240501 150000")))[0] == MAY_1_14H


@pytest.mark.parametrize(
    "stamp",
    [
        "01.05.2024 14:00:00.000",
        "2024-05-01 14:00",
        "2024-05-01T14:00:00Z",
        "2024-05-01 16:00:00+02:00",
        "01.05.2024 15:00:00.000 GMT+0100",
        "2024/05/01 2:00 PM",
        "20240501 140000",
        "20240501T140000",
        "20240501140000",
        "202405011400",
        "1714572000",
        "1714572000.0",
        "1.714572e9",
        "1.714572000000E+12",
        "1714572000000",
        "1714572000000000",
        "1714572000000000000",
    ],
)
def test_a_moment_is_the_same_however_it_is_written(files: Files, stamp: str) -> None:
    content = stamped(stamp, header="Gmt time")
    assert times(files.bars(content, time_layout=TimeLayout.HHMMSS)) == [MAY_1_14H]


def test_milliseconds_of_dukascopy_are_kept(files: Files) -> None:
    parsed = files.bars(stamped("01.05.2024 14:00:00.007", header="Gmt time"))
    assert times(parsed) == [MAY_1_14H + 7]
    assert any("GMT" in note for note in parsed.notes)


def test_a_time_finer_than_a_millisecond_is_refused(files: Files) -> None:
    assert "finer than a millisecond in 1 line: 2" in files.bars_refused(
        stamped("2024-05-01 14:00:00.0005")
    )
    assert "finer" in files.bars_refused(stamped("1714572000000001", header="time"))


def test_the_day_is_found_in_the_whole_column(files: Files) -> None:
    day_first = stamped("01/02/2024 00:00", "02/02/2024 01:00", "13/02/2024 00:00")
    assert times(files.bars(day_first))[0] == epoch_ms(2024, 2, 1)
    month_first = stamped("01/02/2024 00:00", "01/03/2024 01:00", "01/13/2024 00:00")
    assert times(files.bars(month_first))[0] == epoch_ms(2024, 1, 2)


def test_days_that_could_be_months_need_the_order(files: Files) -> None:
    content = stamped("01.02.2024 00:00", "02.02.2024 01:00")
    with pytest.raises(FileAmbiguous) as caught:
        files.bars(content)
    assert [v.field for v in caught.value.violations] == ["ohlcv.date_order"]
    assert times(files.bars(content, date_order=DateOrder.DAY_FIRST))[0] == epoch_ms(2024, 2, 1)
    assert times(files.bars(content, date_order=DateOrder.MONTH_FIRST))[0] == epoch_ms(2024, 1, 2)


def test_a_date_against_the_order_of_the_column_is_refused(files: Files) -> None:
    content = stamped("13/02/2024", "14/02/2024", "02/15/2024")
    assert "date that does not exist from 1800 to 2200 in 1 line: 4" in files.bars_refused(content)
    assert "year is the first" in files.bars_refused(
        stamped("2024-05-01"), date_order=DateOrder.DAY_FIRST
    )


def test_dates_that_do_not_exist_are_refused(files: Files) -> None:
    assert "in 1 line: 3" in files.bars_refused(stamped("2024-02-28", "2024-02-30"))
    assert "in 1 line: 2" in files.bars_refused(tssb("20240228", "20240230", "20240301"))
    assert "in 1 line: 2" in files.bars_refused(stamped("2023-02-29", "2024-02-29"))


def test_years_outside_1800_to_2200_are_refused(files: Files) -> None:
    assert "1800 to 2200 in 1 line: 2" in files.bars_refused(stamped("1799-12-31", "1800-01-01"))
    assert times(files.bars(stamped("1800-01-01", "2200-12-31")))[0] == epoch_ms(1800, 1, 1)
    assert "1800 to 2200" in files.bars_refused(stamped("8000000000000"), unit=Unit.MS)


def test_dates_before_1970_are_negative(files: Files) -> None:
    assert times(files.bars(stamped("1969-12-31 23:00", "1970-01-01 00:00"))) == [-HOUR, 0]
    assert times(files.bars(stamped("-3600", "0", header="unix"))) == [-HOUR, 0]


def test_milliseconds_that_look_like_another_unit_are_refused(files: Files) -> None:
    content = stamped("1714572000", header="timestamp_ms")
    refusal = files.bars_refused(content)
    assert refusal.startswith("ohlcv.unit")
    assert "looks like seconds" in refusal
    micros = stamped("1714572000000000", header="timestamp_ms")
    assert "looks like microseconds" in files.bars_refused(micros)
    assert times(files.bars(content, unit=Unit.S)) == [MAY_1_14H]


def test_the_unit_is_that_of_the_largest_value(files: Files) -> None:
    parsed = files.bars(stamped("0", "3600", "1714572000", header="unix"))
    assert times(parsed) == [0, HOUR, MAY_1_14H]
    assert any("seconds" in note for note in parsed.notes)


@pytest.mark.parametrize(
    ("stamps", "rule"),
    [
        (["1704205860", "1704205920000"], "looks like seconds, where others are milli"),
        (["1735686000000", "1735689600000000"], "looks like milliseconds, where others are micro"),
        (["1714572000.0", "1714572001000"], "looks like seconds, where others are milli"),
    ],
)
def test_a_column_whose_unit_changes_is_refused_by_line(
    files: Files, stamps: list[str], rule: str
) -> None:
    assert f"{rule}seconds (a given unit is taken for all) in 1 line: 2" in files.bars_refused(
        stamped(*stamps)
    )


def test_the_few_rows_of_another_unit_are_told(files: Files) -> None:
    content = stamped("1735686000000", "1735689600000", "1735693200000000", header="timestamp_ms")
    assert "looks like microseconds" in files.bars_refused(content)
    content = stamped("1735686000", "1735689600000", "1735693200000", header="timestamp_ms")
    assert "looks like seconds, where others are" in files.bars_refused(content)


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000])
@pytest.mark.parametrize("step_ms", [7 * 24 * HOUR, 91 * 24 * HOUR, 365 * 24 * HOUR])
def test_one_unit_passes_through_all_magnitudes(files: Files, scale: int, step_ms: int) -> None:
    expected = [row * step_ms for row in range(-20, 53)]
    stamps = [str(ms * scale) for ms in expected]
    assert times(files.bars(stamped(*stamps))) == expected


@pytest.mark.parametrize(
    ("stamps", "looks"),
    [
        (["45293", "45294"], "days as Excel counts them"),
        (["45293.5", "45293.75"], "days as Excel counts them"),
        (["202311", "202312", "202401"], "months as YYYYMM"),
        (["2020", "2021"], "years"),
        (["1", "2"], "from 1 to 2; write"),
    ],
)
def test_small_numbers_are_no_seconds_unless_it_is_said(
    files: Files, stamps: list[str], looks: str
) -> None:
    with pytest.raises(FileAmbiguous, match=looks) as caught:
        files.bars(stamped(*stamps, header="Date"))
    assert [v.field for v in caught.value.violations] == ["ohlcv.unit"]
    expected = [round(float(stamp) * 1000) for stamp in stamps]
    assert times(files.bars(stamped(*stamps), unit=Unit.S)) == expected
    assert times(files.bars(stamped(*stamps, header="unix"))) == expected


def test_a_unit_overrides_what_looks_like_a_date(files: Files) -> None:
    assert times(files.bars(stamped("20240501", header="time"))) == [epoch_ms(2024, 5, 1)]
    assert times(files.bars(stamped("20240501", header="time"), unit=Unit.S)) == [20_240_501_000]


def test_fractions_are_for_seconds_only(files: Files) -> None:
    assert times(files.bars(stamped("1714572000.25"))) == [MAY_1_14H + 250]
    assert times(files.bars(stamped("1.71457200025e9"))) == [MAY_1_14H + 250]
    assert "only seconds" in files.bars_refused(stamped("1714572000000.5"))


def test_hhmm_and_hhmmss_are_told_apart_by_the_whole_column(files: Files) -> None:
    hours = tssb("20240501 0", "20240501 2300", "20240502 100")
    assert times(files.bars(hours))[2] - times(files.bars(hours))[0] == 25 * HOUR
    seconds = tssb("20240501 0", "20240501 230000", "20240502 10000")
    assert times(files.bars(seconds))[2] - times(files.bars(seconds))[0] == 25 * HOUR


def test_times_that_could_be_both_need_the_digits(files: Files) -> None:
    content = tssb("20240501 100", "20240501 200", "20240501 300")
    with pytest.raises(FileAmbiguous) as caught:
        files.bars(content)
    assert [v.field for v in caught.value.violations] == ["ohlcv.time_layout"]
    hhmm = times(files.bars(content, time_layout=TimeLayout.HHMM))
    hhmmss = times(files.bars(content, time_layout=TimeLayout.HHMMSS))
    assert (hhmm[1] - hhmm[0], hhmmss[1] - hhmmss[0]) == (HOUR, 60_000)


def test_hours_alone_are_never_minutes(files: Files) -> None:
    content = tssb("20240501 9", "20240501 10", "20240502 9")
    refusal = files.bars_refused(content)
    assert "time_layout is missing: the times (up to 10) could be hours" in refusal
    assert "could be hours" in files.bars_refused(tssb("20240501 09", "20240501 10"))
    minutes = times(files.bars(content, time_layout=TimeLayout.HHMM))
    assert minutes[1] - minutes[0] == 60_000
    midnight = files.bars(tssb("20240501 0", "20240502 0"))
    assert times(midnight) == [epoch_ms(2024, 5, 1), epoch_ms(2024, 5, 2)]


def test_leading_zeros_settle_the_digits(files: Files) -> None:
    content = tssb("20240501 0100", "20240501 0200")
    assert times(files.bars(content))[1] - times(files.bars(content))[0] == HOUR


def test_a_time_with_a_digit_too_many_is_refused(files: Files) -> None:
    content = tssb("20240501 0900", "20240501 1000", "20240502 00100")
    assert "has a time that is no HHMM in 1 line: 3" in files.bars_refused(
        content, time_layout=TimeLayout.HHMM
    )


def test_midnight_as_2400_is_never_guessed(files: Files) -> None:
    content = tssb("20240501 2300", "20240501 2400", "20240502 100")
    assert "HHMM or HHMMSS" in files.bars_refused(content)
    assert "no HHMM in 1 line: 2" in files.bars_refused(content, time_layout=TimeLayout.HHMM)
    half_hours = [minute // 60 * 100 + minute % 60 for minute in range(30, 24 * 60 + 1, 30)]
    one_day = tssb(*(f"20240501 {time}" for time in half_hours))
    assert "HHMM or HHMMSS" in files.bars_refused(one_day)


def test_times_that_do_not_exist_are_refused_by_line(files: Files) -> None:
    content = tssb("20240501 1000", "20240501 1075", "20240502 1100")
    assert "no HHMM in 1 line: 2" in files.bars_refused(content)
    assert "in 1 line: 2" in files.bars_refused(stamped("2024-05-01 24:00", "2024-05-02 01:00"))


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Tokyo"])
def test_local_times_agree_with_the_zone(files: Files, zone: str) -> None:
    local = [
        datetime(year, 1, 1, 5) + timedelta(days=day) for year in (1975, 2024) for day in range(366)
    ]
    content = stamped(*(f"{moment:%Y-%m-%d %H:%M}" for moment in local))
    expected = [int(moment.replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000 for moment in local]
    assert times(files.bars(content, zone=zone)) == expected


def test_a_local_hour_that_came_twice_is_refused(files: Files) -> None:
    content = stamped("2024-11-03 00:30", "2024-11-03 01:30", "2024-11-03 02:30")
    refusal = files.bars_refused(content, zone="America/New_York")
    assert "had twice (clocks went back) in 1 line: 3" in refusal


def test_a_local_hour_that_never_came_is_refused(files: Files) -> None:
    content = stamped("2024-03-10 01:30", "2024-03-10 02:30", "2024-03-10 03:30")
    refusal = files.bars_refused(content, zone="America/New_York")
    assert "skipped (clocks went forward) in 1 line: 3" in refusal


def test_a_zone_must_be_known_and_must_not_contradict(files: Files) -> None:
    assert "no IANA" in files.bars_refused(stamped("2024-05-01 14:00"), zone="Mars/Olympus")
    assert "no IANA" in files.bars_refused(stamped("2024-05-01 14:00"), zone="../etc/passwd")
    own_offset = stamped("2024-05-01 14:00+02:00")
    assert "own offsets" in files.bars_refused(own_offset, zone="Europe/Berlin")
    assert "are UTC" in files.bars_refused(stamped("1714572000"), zone="Europe/Berlin")
    late = stamped("2150-07-01 14:00")
    assert "after 2099" in files.bars_refused(late, zone="Europe/Berlin")


@pytest.mark.parametrize("header", ["Local time", "local_time", "LOCAL DATE", "Time (local)"])
def test_local_times_without_offset_need_the_zone(files: Files, header: str) -> None:
    content = stamped("31.12.2017 23:00:00.000", "01.01.2018 00:00:00.000", header=header)
    read = {"timestamp_column": header, "date_order": DateOrder.DAY_FIRST}
    with pytest.raises(FileAmbiguous) as caught:
        files.bars(content, **read)
    assert [v.field for v in caught.value.violations] == ["ohlcv.zone"]
    assert times(files.bars(content, **read, zone="UTC"))[1] == epoch_ms(2018, 1, 1)
    tokyo = times(files.bars(content, **read, zone="Asia/Tokyo"))
    assert tokyo[1] == epoch_ms(2018, 1, 1) - 9 * HOUR


@pytest.mark.parametrize(
    ("header", "zone"),
    [
        ("Time (EET)", "EET"),
        ("Date (EST)", "EST"),
        ("date_est", "est"),
        ("CET Time", "CET"),
        ("Time (UTC+2)", "UTC+2"),
        ("timestamp [America/New_York]", "America/New_York"),
    ],
)
def test_a_zone_that_the_header_names_must_be_given(files: Files, header: str, zone: str) -> None:
    content = stamped("2024-05-01 14:00", "2024-05-01 15:00", header=header)
    with pytest.raises(FileAmbiguous, match=f"holds times of {re.escape(zone)} without") as caught:
        files.bars(content)
    assert [v.field for v in caught.value.violations] == ["ohlcv.zone"]
    tokyo = files.bars(content, zone="Asia/Tokyo")
    assert times(tokyo)[0] == MAY_1_14H - 9 * HOUR


@pytest.mark.parametrize("header", ["Time (UTC)", "date_utc", "GMT Time", "Timestamp [gmt]"])
def test_a_header_that_says_utc_needs_no_zone(files: Files, header: str) -> None:
    parsed = files.bars(stamped("2024-05-01 14:00", header=header))
    assert times(parsed) == [MAY_1_14H]
    assert any("the header says" in note for note in parsed.notes)


def test_a_zone_may_be_named_by_the_time_of_two_columns(files: Files) -> None:
    content = stamped("2024-05-01,14:00", header="Date,Time (EET)")
    assert "'Time (EET)' holds times of EET" in files.bars_refused(content)
    assert times(files.bars(content, zone="UTC")) == [MAY_1_14H]


@pytest.mark.parametrize("header", ["Time (open)", "Date (DD.MM.YYYY)", "time (ms)"])
def test_what_else_stands_in_brackets_is_no_zone(files: Files, header: str) -> None:
    content = stamped("2024-05-01 14:00", header=header)
    assert times(files.bars(content, timestamp_column=header)) == [MAY_1_14H]


def test_local_times_with_their_offset_or_of_sessions_need_no_zone(files: Files) -> None:
    offsets = stamped("01.05.2024 15:00:00.000 GMT+0100", header="Local time")
    assert times(files.bars(offsets)) == [MAY_1_14H]
    days = stamped("01.05.2024", "02.05.2024", header="Local time")
    assert times(files.bars(days))[0] == epoch_ms(2024, 5, 1)
    assert times(
        files.bars(
            stamped("2024-05-01 14:00", header="locale date"), timestamp_column="locale date"
        )
    )


def test_daily_bars_keep_their_session_date(files: Files) -> None:
    for content in (stamped("2024-05-01", "2024-05-02"), tssb("20240501", "20240502")):
        parsed = files.bars(content, zone="America/New_York")
        assert times(parsed) == [epoch_ms(2024, 5, 1), epoch_ms(2024, 5, 2)]
    yahoo = stamped("2024-05-01 00:00:00-04:00", "2024-12-02 00:00:00-05:00")
    assert times(files.bars(yahoo)) == [epoch_ms(2024, 5, 1), epoch_ms(2024, 12, 2)]


def test_a_line_without_an_offset_among_others_is_refused(files: Files) -> None:
    content = stamped("2024-05-01 14:00+02:00", "2024-05-01 15:00")
    assert "no offset from UTC, as other lines do in 1 line: 3" in files.bars_refused(content)


def test_times_that_repeat_or_go_back_are_refused(files: Files) -> None:
    content = stamped("1000000", "1000060", "1000060", "1000050", "1000120", header="unix")
    refusal = files.bars_refused(content)
    assert "repeats the time of the row above it in 1 line: 4" in refusal
    assert "has a time before that of the row above it in 1 line: 5" in refusal


def test_a_file_with_its_newest_row_first_is_told_so(files: Files) -> None:
    assert "newest row first" in files.bars_refused(
        stamped("2024-05-03", "2024-05-02", "2024-05-01")
    )


def test_a_missing_time_is_refused(files: Files) -> None:
    assert "no time in 1 line: 3" in files.bars_refused(stamped("2024-05-01", "", "2024-05-03"))


def epoch_ms(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000
