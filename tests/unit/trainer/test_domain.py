from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.trainer import convert
from services.trainer.domain import TimesDisagree, check_times
from tests.unit.trainer.examples import BAR_MS
from tests.unit.trainer.requests import request

TIMES = np.arange(800) * BAR_MS


def test_folds_whose_times_are_those_of_the_rows_pass() -> None:
    check_times(convert.job(request(folds=2)), TIMES)


def test_times_are_looked_up_from_the_first_row_of_the_job() -> None:
    asked = request(folds=2)
    del asked.folds[0]
    check_times(convert.job(asked), TIMES[100:])


@pytest.mark.parametrize("row", [0, 299, 306, 499, 506, 605])
def test_a_fold_planned_on_other_rows_is_refused(row: int) -> None:
    moved = TIMES.copy()
    moved[row] += 1
    with pytest.raises(TimesDisagree, match="fold 0"):
        check_times(convert.job(request()), moved)


def test_a_wrong_bar_interval_is_refused() -> None:
    job = replace(convert.job(request()), bar_interval_ms=BAR_MS + 1)
    with pytest.raises(TimesDisagree):
        check_times(job, TIMES)
