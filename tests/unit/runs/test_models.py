from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from services.runs.storage import models
from services.runs.storage.models import ModelFiles
from services.shared.errors import TooLarge


async def test_a_model_lies_under_the_hash_of_all_its_parts(tmp_path: Path) -> None:
    files, run_id = ModelFiles(tmp_path), uuid4()
    model = files.begin(run_id)
    for part in (b"one ", b"two ", b""):
        await model.write(part)
    sha256 = await model.finish()
    assert sha256 == hashlib.sha256(b"one two ").hexdigest()
    assert (tmp_path / run_id.hex / f"{sha256}.ubj").read_bytes() == b"one two "
    await model.discard()  # too late: it stays
    assert [p.name for p in (tmp_path / run_id.hex).iterdir()] == [f"{sha256}.ubj"]


async def test_a_discarded_model_leaves_nothing(tmp_path: Path) -> None:
    files, run_id = ModelFiles(tmp_path), uuid4()
    model = files.begin(run_id)
    await model.write(b"half of")
    assert list((tmp_path / run_id.hex).iterdir())
    await model.discard()
    assert not list((tmp_path / run_id.hex).iterdir())


async def test_what_a_crash_left_half_written_is_cleaned_and_the_rest_stays(
    tmp_path: Path,
) -> None:
    files, run_id = ModelFiles(tmp_path), uuid4()
    whole, half = files.begin(run_id), files.begin(run_id)
    await whole.write(b"whole")
    sha256 = await whole.finish()
    await half.write(b"half")
    await files.clean()
    assert [p.name for p in (tmp_path / run_id.hex).iterdir()] == [f"{sha256}.ubj"]
    await half.discard()


async def test_the_models_of_a_run_are_removed_with_it(tmp_path: Path) -> None:
    files, run_id, other = ModelFiles(tmp_path), uuid4(), uuid4()
    for owner in (run_id, other):
        model = files.begin(owner)
        await model.write(b"model")
        await model.finish()
    await files.remove(run_id)
    await files.remove(run_id)
    assert await files.runs() == [other]


async def test_folders_that_are_not_ours_are_no_runs(tmp_path: Path) -> None:
    files, run_id = ModelFiles(tmp_path), uuid4()
    for name in (run_id.hex, str(uuid4()), "lost+found"):
        (tmp_path / name).mkdir()
    assert await files.runs() == [run_id]


async def test_a_model_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MAX_BYTES", 10)
    model = ModelFiles(tmp_path).begin(uuid4())
    await model.write(b"0123456789")
    with pytest.raises(TooLarge):
        await model.write(b"0")
    await model.discard()
