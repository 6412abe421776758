"""Rows with a planted signal, and a fold over them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.shared.evaluation import Pair
from services.trainer.domain import Device, Floats, Fold, Learner, Recipe, TrainedFold, Window
from services.trainer.engine import Matrix
from services.trainer.fold import train_fold

NAMES = ("a", "b", "c", "d")
BAR_MS = 60_000
QUICK = Learner(
    num_boost_round=60,
    early_stopping_rounds=10,
    min_boost_rounds=5,
    parameters={"learning_rate": "0.1"},
)
RECIPE = Recipe(features=NAMES, learner=QUICK, own=None, signals_when_learned_nothing=False)


@dataclass(frozen=True)
class Table:
    features: Matrix
    target: Floats

    def rows(self, start: int, end: int) -> tuple[Matrix, Floats]:
        return self.features[start:end], self.target[start:end]


def table(rows: int = 700, *, signal: float = 1.0, seed: int = 1) -> Table:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, len(NAMES))).astype(np.float32)
    target = signal * features[:, 0].astype(np.float64) + generator.normal(size=rows)
    return Table(features, target)


def window(start: int, end: int) -> Window:
    return Window(start=start, end=end, start_ts_ms=start * BAR_MS, end_ts_ms=end * BAR_MS)


def fold(start: int = 0, number: int = 0) -> Fold:
    return Fold(
        number=number,
        train=window(start, start + 500),
        fit=window(start, start + 300),
        validation=window(start + 306, start + 500),
        test=window(start + 506, start + 606),
    )


def trained(
    data: Table | None = None,
    *,
    learner: Learner = QUICK,
    own: Pair | None = None,
    threads: int = 1,
    silent: bool = True,
) -> TrainedFold:
    return train_fold(
        fold(),
        data or table(),
        replace(RECIPE, learner=learner, own=own, signals_when_learned_nothing=not silent),
        device=Device.CPU,
        threads=threads,
        on_progress=lambda _: None,
    )
