"""Training requests as `runs` sends them."""

from __future__ import annotations

from uuid import UUID

from stage1.runs.v1 import plan_pb2
from stage1.trainer.v1 import trainer_service_pb2 as pb

from services.trainer.domain import Fold, Learner, Window
from tests.unit.trainer.examples import BAR_MS, NAMES, QUICK, fold


def request(*, folds: int = 1, learner: Learner = QUICK) -> pb.TrainRequest:
    return pb.TrainRequest(
        run_id=str(UUID(int=7)),
        epoch=1,
        dataset_id=str(UUID(int=8)),
        version=1,
        target_column="y",
        feature_columns=NAMES,
        learner=plan_pb2.Learner(
            num_boost_round=learner.num_boost_round,
            early_stopping_rounds=learner.early_stopping_rounds,
            min_boost_rounds=learner.min_boost_rounds,
            seed=learner.seed,
            parameters=learner.parameters,
        ),
        folds=[planned(fold(start=100 * n, number=n)) for n in range(folds)],
        bar_interval_ms=BAR_MS,
    )


def planned(fold: Fold) -> plan_pb2.PlannedFold:
    return plan_pb2.PlannedFold(
        fold=fold.number,
        train=_window(fold.train),
        fit=_window(fold.fit),
        validation=_window(fold.validation),
        test=_window(fold.test),
    )


def _window(window: Window) -> plan_pb2.Window:
    return plan_pb2.Window(
        start_index=window.start,
        end_index=window.end,
        start_ts_ms=window.start_ts_ms,
        end_ts_ms=window.end_ts_ms,
    )
