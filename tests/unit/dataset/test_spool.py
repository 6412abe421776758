from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.storage.spool import Spool, Upload, UploadTooLarge
from services.shared.errors import Exhausted, InvalidRequest

HEADER = "00" * 32


async def uploaded(folder: Path, parts: list[bytes], cut: int) -> tuple[list[bytes], str]:
    async with Spool(folder, 1 << 20).upload(uuid4(), len(parts), hashed=True) as upload:
        for part, data in enumerate(parts):
            for start in range(0, len(data), cut):
                await upload.write(part, data[start : start + cut])
        upload.close()
        return [path.read_bytes() for path in upload.paths], upload.sha256(HEADER)


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=3), st.integers(1, 60))
async def test_an_upload_is_what_was_sent_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    whole = await uploaded(folder, parts, 100)
    assert await uploaded(folder, parts, cut) == whole
    assert whole[0] == parts
    assert list(folder.iterdir()) == []


async def test_bytes_that_move_from_one_part_to_the_next_change_the_hash(tmp_path: Path) -> None:
    assert (await uploaded(tmp_path, [b"ab", b"c"], 9))[1] != (
        await uploaded(tmp_path, [b"a", b"bc"], 9)
    )[1]


async def test_the_limit_is_of_all_parts_together(tmp_path: Path) -> None:
    async with Spool(tmp_path, 10).upload(uuid4(), 2) as upload:
        await upload.write(0, b"12345")
        await upload.write(1, b"12345")
        with pytest.raises(UploadTooLarge, match="limit of 10 bytes"):
            await upload.write(1, b"6")


@pytest.mark.parametrize("part", [-1, 0, 2])
async def test_parts_go_neither_back_nor_beyond(tmp_path: Path, part: int) -> None:
    async with Spool(tmp_path, 10).upload(uuid4(), 2) as upload:
        await upload.write(1, b"x")
        with pytest.raises(InvalidRequest, match=r"bytes\.part is"):
            await upload.write(part, b"x")


async def test_what_is_read_takes_no_room_any_more_while_the_upload_lasts(tmp_path: Path) -> None:
    async with Spool(tmp_path, 10).upload(uuid4(), 2) as upload:
        await upload.write(0, b"x")
        await upload.write(1, b"y")
        upload.remove()
        assert upload.missing() == [0, 1]


async def test_a_full_disk_is_said() -> None:
    upload = Upload([Path("/dev/full")], 10)
    with pytest.raises(Exhausted) as caught:
        await upload.write(0, b"x")
    upload.close()
    assert caught.value.reason == "DISK_FULL"


NEARLY_FULL = """
import asyncio, resource, sys
from pathlib import Path
from services.dataset.storage.spool import Upload
from services.shared.errors import Exhausted

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
upload = Upload([Path(sys.argv[1])], 2000)
try:
    asyncio.run(upload.write(0, bytes(1500)))
except Exhausted as error:
    print(error.reason)
upload.close()
"""


def test_a_write_that_the_disk_takes_in_part_is_not_taken_for_whole(tmp_path: Path) -> None:
    file = tmp_path / "part_0"
    command = [sys.executable, "-c", NEARLY_FULL, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert file.stat().st_size == 1000
    assert done.stdout == "DISK_FULL\n"
