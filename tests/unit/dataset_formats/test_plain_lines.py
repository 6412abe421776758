"""Files that are read at a glance, and what ends that: the answer must be the same."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.formats.refusal import FileRefused
from tests.unit.dataset_formats.files import Files, times, values

_ROWS = 60_000  # more than the first lines that are looked at, which is 1 MiB
_MINUTE_MS = 60_000
_START_MS = 1_500_000_000_000


def _bars(rows: int) -> list[str]:
    lines = [f"{_START_MS + i * _MINUTE_MS},1.5,2,1,{1 + i % 9 / 10:.1f},7" for i in range(rows)]
    return ["timestamp_ms,open,high,low,close,volume", *lines]


def test_whole_times_that_become_dates_are_refused_by_line(files: Files) -> None:
    lines = _bars(_ROWS)
    lines[50_000] = lines[50_000].replace(str(_START_MS + 49_999 * _MINUTE_MS), "2021-01-01 00:00")
    assert "in 1 line: 50001" in files.bars_refused("\n".join(lines))


def test_whole_seconds_that_get_fractions_are_the_same_moments(files: Files) -> None:
    lines = ["unix,open,high,low,close,volume"]
    lines += [f"{1_500_000_000 + 60 * i},1.5,2,1,1.5,7" for i in range(_ROWS)]
    lines[-1] = f"{1_500_000_000 + 60 * (_ROWS - 1)}.250,1.5,2,1,1.5,7"
    found = times(files.bars("\n".join(lines)))
    assert found[:2] == [_START_MS, _START_MS + _MINUTE_MS]
    assert found[-1] == _START_MS + (_ROWS - 1) * _MINUTE_MS + 250


def test_a_blank_line_beside_a_longer_one_hides_neither(files: Files) -> None:
    lines = _bars(20)
    lines[4] = ""
    lines[9] += ",1,2,3,4,5"
    refusal = files.bars_refused("\n".join(lines) + "\n")
    assert "does not have the 6 fields of the first line in 1 line: 10" in refusal


@pytest.mark.parametrize("odd", ["+inf", "-inf"])
def test_infinities_of_both_signs_are_both_found(files: Files, odd: str) -> None:
    lines = _bars(20)
    lines[3] = lines[3].replace(",7", ",inf")
    lines[5] = lines[5].replace(",7", f",{odd}")
    assert "has an infinite value in 'volume' in 2 lines: 4, 6" in files.bars_refused(
        "\n".join(lines)
    )


def test_values_whose_sum_is_infinite_are_values(files: Files) -> None:
    lines = [line.replace(",7", ",1e308") for line in _bars(20)]
    assert values(files.bars("\n".join(lines)), "volume") == [1e308] * 20


@pytest.mark.parametrize("separator", ["\t", "\x01"])
@pytest.mark.parametrize("place", [1, 4, 20])
def test_a_line_of_nothing_but_separators_that_are_blank_is_blank(
    files: Files, separator: str, place: int
) -> None:
    lines = [line.replace(",", separator) for line in _bars(20)]
    lines.insert(place, separator * 5)
    assert len(times(files.bars("\n".join(lines) + "\n", separator=separator))) == 20


@pytest.mark.parametrize("trailing", [range(1, 21), [4]])
def test_large_numbers_are_told_where_lines_end_in_separators(
    files: Files, trailing: Iterable[int]
) -> None:
    lines = _bars(20)
    lines[4] = lines[4].replace(",7", ",9007199254740993")
    for place in trailing:
        lines[place] += ","
    assert "'volume' that float64 cannot hold exactly in 1 line: 5" in files.bars_refused(
        "\n".join(lines)
    )


_FIELD = st.sampled_from(
    ["1", "+1", " 1", "1 ", "1e3", "-0", "", "nan", "NaN", "inf", "9007199254740993", "x", "1\t"]
)


@given(fields=st.lists(st.tuples(_FIELD, _FIELD), min_size=3, max_size=8), blank=st.booleans())
def test_quotes_elsewhere_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, fields: list[tuple[str, str]], blank: bool
) -> None:
    """A quoted name leaves the fast path."""
    files = Files(tmp_path_factory.mktemp("files"))
    rows = [f"{_START_MS + i * _MINUTE_MS},{a},{b}" for i, (a, b) in enumerate(fields)]
    rows = [rows[0], *([""] if blank else []), *rows[1:]]

    def outcome(last: str) -> object:
        text = "\n".join(["timestamp_ms,a,b", *rows, last]) + "\n"
        try:
            read = files.indicators(text)
        except FileRefused as refusal:
            return str(refusal)
        return times(read), repr(values(read, "a")), repr(values(read, "b"))

    moment = _START_MS + len(fields) * _MINUTE_MS
    assert outcome(f"{moment},5,6") == outcome(f'{moment},5,"6"')
