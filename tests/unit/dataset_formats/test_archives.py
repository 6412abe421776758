"""gzip and zip: undone within limits, members told apart, and nothing written under their names."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import pytest

from services.dataset.formats import FileAmbiguous
from services.shared.errors import TooLarge
from tests.unit.dataset_formats.files import HEADER, Files

BARS = HEADER + "2024-05-01,1,2,.5,1.5,7\n2024-05-02,1,2,.5,1.5,7\n"


def archive(files: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as into:
        for name, content in files.items():
            into.writestr(name, content)
    return sink.getvalue()


def patched(content: bytes, field: bytes, offset: int, value: bytes) -> bytes:
    at = content.index(field) + offset
    return content[:at] + value + content[at + len(value) :]


def test_the_only_file_of_an_archive_is_taken_and_told(files: Files) -> None:
    clutter = {"data/": b"", "__MACOSX/data/._bars.csv": b"x", "data/.DS_Store": b"x"}
    parsed = files.bars(archive({**clutter, "data/bars.csv": BARS}))
    assert parsed.table == files.bars(BARS).table
    assert parsed.used.member == "data/bars.csv"
    assert parsed.notes[0] == f"The file is 'data/bars.csv' of a ZIP archive: {len(BARS)} bytes."


def test_several_files_need_a_choice(files: Files) -> None:
    content = archive({"a.csv": BARS, "b.csv": BARS.replace("05-02", "05-03")})
    with pytest.raises(FileAmbiguous, match=r"holds 'a\.csv', 'b\.csv'") as caught:
        files.bars(content)
    assert [v.field for v in caught.value.violations] == ["ohlcv.member"]
    assert files.bars(content, member="a.csv").table == files.bars(BARS).table
    assert "is 'c.csv', but the ZIP archive holds" in files.bars_refused(content, member="c.csv")
    assert "is no zip archive" in files.bars_refused(BARS, member="a.csv")


@pytest.mark.parametrize("name", ["../bars.csv", "/etc/bars.csv", "..\\bars.csv", "C:bars.csv"])
def test_the_names_in_an_archive_lead_nowhere(
    files: Files, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp()
    before = set(root.rglob("*bars.csv"))
    assert files.bars(archive({name: BARS})).table == files.bars(BARS).table
    assert set(root.rglob("*bars.csv")) == before


def test_a_link_in_an_archive_is_refused(files: Files) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as into:
        link = zipfile.ZipInfo("bars.csv")
        link.external_attr = 0o120777 << 16
        into.writestr(link, "/etc/passwd")
    assert "a link where a file should be" in files.bars_refused(sink.getvalue())


def test_an_encrypted_archive_is_refused(files: Files) -> None:
    content = archive({"bars.csv": BARS})
    content = patched(content, b"PK\x03\x04", 6, b"\x01\x00")
    content = patched(content, b"PK\x01\x02", 8, b"\x01\x00")
    assert "is an encrypted ZIP archive" in files.bars_refused(content)


def test_archives_in_archives_are_refused(files: Files) -> None:
    inner = archive({"bars.csv": BARS})
    assert "compressed twice" in files.bars_refused(archive({"inner.zip": inner}))
    assert "compressed twice" in files.bars_refused(gzip.compress(inner))
    assert "compressed twice" in files.bars_refused(archive({"a.gz": gzip.compress(b"x")}))


def test_an_excel_workbook_is_told(files: Files) -> None:
    content = archive({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"})
    assert "is an Excel workbook" in files.bars_refused(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(files: Files, method: int) -> None:
    refusal = files.bars_refused(archive({"bars.csv": BARS}, method))
    assert "other than deflate" in refusal


def test_a_zip_bomb_is_stopped(files: Files) -> None:
    bomb = archive({"bars.csv": b"0" * (40 << 20)})
    with pytest.raises(TooLarge, match="more than 200 times its size"):
        files.bars(bomb)
    with pytest.raises(TooLarge, match="more than 100000 bytes"):
        files.bars(archive({"bars.csv": b"0" * 300_000}), max_bytes=100_000)


def test_sizes_that_an_archive_claims_are_not_believed(files: Files) -> None:
    content = archive({"bars.csv": BARS})
    assert "damaged" in files.bars_refused(patched(content, b"PK\x01\x02", 24, b"\x10\0\0\0"))
    large = patched(content, b"PK\x01\x02", 24, b"\xff\xff\xff\x7f")
    assert files.bars(large).table == files.bars(BARS).table


def test_an_archive_of_very_many_files_is_refused_before_its_list_is_read(files: Files) -> None:
    content = archive({f"{i:05}": b"" for i in range(25_000)})
    with pytest.raises(TooLarge, match="too many files"):
        files.bars(content)
    end = content.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    size = (1 << 32, 1 << 32)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, *size)
    with pytest.raises(TooLarge, match="too many files"):
        files.bars(content[:end] + record + locator + content[end:])


@pytest.mark.parametrize("cut", [1, 22, 60, 100])
def test_an_archive_cut_off_is_refused(files: Files, cut: int) -> None:
    assert "ZIP archive" in files.bars_refused(archive({"bars.csv": BARS})[:-cut])


def test_a_changed_byte_in_an_archive_is_found(files: Files) -> None:
    content = archive({"bars.csv": BARS}, zipfile.ZIP_STORED)
    assert "damaged" in files.bars_refused(content.replace(b"2024-05-02,1", b"2024-05-02,2"))


def test_nothing_of_an_archive_is_left_on_the_disk(files: Files, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    parsed = files.bars(archive({"bars.csv": BARS}), aside=aside)
    assert list(aside.iterdir()) == []
    assert parsed.table.num_rows == 2
    with pytest.raises(TooLarge):
        files.bars(gzip.compress(b"0" * 300_000), max_bytes=1000, aside=aside)
    assert list(aside.iterdir()) == []
