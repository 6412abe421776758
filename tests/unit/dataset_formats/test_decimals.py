"""Decimal commas and separated thousands: read where they are certain, else asked or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.formats import FileAmbiguous, FileRefused
from tests.unit.dataset_formats.files import Files, values


def of(*numbers: str, separator: str = ";") -> str:
    rows = "".join(f"2024-05-{day + 1:02}{separator}{n}\n" for day, n in enumerate(numbers))
    return f"Date{separator}A\n{rows}"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_known_by_their_fractions(files: Files, separator: str) -> None:
    parsed = files.indicators(of("1,5", "-2,25", "3", ",5", "1,5e-3", separator=separator))
    assert values(parsed, "A") == [1.5, -2.25, 3.0, 0.5, 0.0015]
    assert parsed.used.decimal == ","


@pytest.mark.parametrize("mixed", ["2.5", "1,234,567", "12.34,5"])
def test_a_point_among_decimal_commas_is_refused_by_line(files: Files, mixed: str) -> None:
    refusal = files.indicators_refused(of("1,5", mixed), decimal=",")
    assert f"no number in 'A' (but {mixed!r}, for example) in 1 line: 3" in refusal


def test_a_point_that_parts_thousands_needs_more_than_a_comma_elsewhere(files: Files) -> None:
    content = of("1,5", "1.234")
    assert "no number in 'A' (but '1.234', for example)" in files.indicators_refused(content)
    assert values(files.indicators(content, decimal=","), "A") == [1.5, 1234]


def test_one_comma_that_could_be_either_is_asked(files: Files) -> None:
    content = of("1,234", "2,345")
    with pytest.raises(FileAmbiguous, match="could be fractions or thousands") as caught:
        files.indicators(content)
    assert [v.field for v in caught.value.violations] == ["indicators.decimal"]
    assert values(files.indicators(content, decimal=","), "A") == [1.234, 2.345]
    assert values(files.indicators(content, decimal="."), "A") == [1234, 2345]


def test_one_point_that_could_be_either_is_asked_between_semicolons(files: Files) -> None:
    content = of("16.769", "16.963", "500")
    with pytest.raises(FileAmbiguous, match=r"such as 1.234 in 'A' could be fractions") as caught:
        files.indicators(content)
    assert [v.field for v in caught.value.violations] == ["indicators.decimal"]
    assert values(files.indicators(content, decimal="."), "A") == [16.769, 16.963, 500]
    assert values(files.indicators(content, decimal=","), "A") == [16_769, 16_963, 500]
    by_commas = of("16.769", "16.963", separator=",")
    assert values(files.indicators(by_commas), "A") == [16.769, 16.963]


@pytest.mark.parametrize("shown", ["1.5", "0.123", "2938", "1234.567"])
def test_one_number_can_show_what_points_are(files: Files, shown: str) -> None:
    assert values(files.indicators(of("16.769", shown)), "A") == [16.769, float(shown)]


def test_histdata_is_known_to_write_points(files: Files) -> None:
    content = "20240512 190000;110.123;110.123;110.123;110.123;0\n"
    assert values(files.bars(content, zone="Etc/GMT+5"), "close") == [110.123]


def test_thousands_are_read_where_they_are_certain(files: Files) -> None:
    assert values(files.indicators(of("1,234.5", "2,345", "7")), "A") == [1234.5, 2345, 7]
    assert values(files.indicators(of("1,234,567", "1,000")), "A") == [1_234_567, 1000]
    assert values(files.indicators(of("1.234,5", "2.345", "7,25")), "A") == [1234.5, 2345, 7.25]
    quoted = files.indicators(of('"1,234.50"', '"12.25"', separator=","))
    assert values(quoted, "A") == [1234.5, 12.25]
    assert any("Thousands are separated in 'A'" in note for note in quoted.notes)


def test_thousands_are_groups_of_three_in_every_line(files: Files) -> None:
    refusal = files.indicators_refused(of("1,234.5", "12,34", "1,2345", "1,23.4"))
    assert "no number in 'A' (but '12,34', for example) in 3 lines: 3, 4, 5" in refusal


def test_commas_and_points_as_fractions_in_one_file_are_refused(files: Files) -> None:
    assert "no number in 'A' (but '1,5', for example)" in files.indicators_refused(of("1,5", "2.5"))


def test_a_comma_far_below_is_refused_rather_than_guessed(files: Files) -> None:
    rows = "".join(f"{i};{i}.5\n" for i in range(200_000))
    assert "in 1 line: 200002" in files.indicators_refused(f"unix;A\n{rows}200000;1,5\n")


def test_the_mark_must_not_be_the_separator(files: Files) -> None:
    assert "not the separator" in files.indicators_refused(of("1", separator=","), decimal=",")
    assert "give . or ," in files.indicators_refused(of("1"), decimal=":")


def test_text_with_commas_stays_text(files: Files) -> None:
    parsed = files.indicators("Date;Note;A\n2024-05-01;up, then down;1,5\n2024-05-02;flat;2,5\n")
    assert values(parsed, "Note") == ["up, then down", "flat"]
    assert values(parsed, "A") == [1.5, 2.5]


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=30), st.sampled_from(".,"))
@settings(max_examples=200, deadline=None)
def test_numbers_of_any_style_come_back_or_are_not_guessed(
    tmp_path_factory: pytest.TempPathFactory, cents: list[int], mark: str
) -> None:
    files = Files(tmp_path_factory.mktemp("style"))
    english = [f"{c / 100:,.2f}" for c in cents]
    swap = str.maketrans(",.", ".,")
    written = english if mark == "." else [text.translate(swap) for text in english]
    try:
        parsed = files.indicators(of(*written))
    except FileRefused:
        pytest.fail("fractions of two digits are certain")
    assert values(parsed, "A") == [c / 100 for c in cents]
