from __future__ import annotations

import re
from typing import get_args

import pytest

from gateway.cli.supervisor.data_folder import Series
from tests.e2e.command import Command
from tests.e2e.conftest import data_folder

SAID = (
    "6,225 rows, 2017-01-01 22:00 to 2017-12-29 21:00 UTC",
    "15 missing slots in 2 gaps; policy mark",
    "Prices are ASK",
    "train 1500, gap 9, test 100, step 100",
    "45 of 45",
    "No costs are taken",
    "buy & hold",
    "the bars do not contain what was planted",
    "TGT_PLANTED: ",
    "/trades",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("series", get_args(Series))
def test_the_demo_tells_the_whole_story_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, series: Series
) -> None:
    with data_folder() as folder:
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        done = Command("http://127.0.0.1:9")("demo", "--series", series)
        assert done.code == 0, done.err
        assert not list(folder.glob("stage1-demo-*"))
    assert [words for words in SAID if words not in done.out] == []
    # What each process took, the store's server among them.
    assert ("questdb  " in done.out) == (series == "questdb")
    fold_rows = re.findall(r"^ +(\d+) +2017-\d\d-\d\d ", done.out, re.MULTILINE)
    assert fold_rows == [str(fold) for fold in range(45)]
