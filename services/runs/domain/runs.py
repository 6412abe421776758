"""A walk-forward run: what was asked, what was planned, where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from services.runs.domain.columns import Choice, DatasetVersion
from services.runs.domain.folds import FoldResult
from services.runs.domain.plan import Caution, PlannedFold, Windows, distinct_rows
from services.runs.domain.states import Progression, State
from services.shared.errors import Conflict
from services.shared.learner import DEFAULTS

# Measured on two cores: 12 folds of 8,000 by 120 rows by 200 rounds took 13 s, 45 of
# 1,200 by 25 about 4.5 s, nearly all of it per round. BENCHMARKS.md has both.
_SECONDS_A_CELL_AND_ROUND: Final = 5e-9
_SECONDS_A_ROUND: Final = 3e-4


class TargetTransform(StrEnum):
    NONE = "NONE"
    STANDARDIZE = "STANDARDIZE"
    TANH = "TANH"


@dataclass(frozen=True, kw_only=True)
class Learner:
    """XGBoost and what surrounds it; the share that is fitted belongs to the windows."""

    num_boost_round: int = 2000
    early_stopping_rounds: int = 50
    min_boost_rounds: int = 100
    seed: int = 43
    target_transform: TargetTransform = TargetTransform.NONE
    tanh_k: float = 0.5
    parameters: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULTS))


@dataclass(frozen=True, kw_only=True)
class SignalRules:
    """The user's own thresholds, judged beside those found; either may be None."""

    own_long_threshold: float | None = None
    own_short_threshold: float | None = None
    signals_when_learned_nothing: bool = False


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is asked for; an empty target or no features mean the dataset's own."""

    dataset: str
    version: int
    target: str
    features: tuple[str, ...]
    windows: Windows
    learner: Learner
    signal_rules: SignalRules = SignalRules()
    horizon_bars: int | None = None
    device: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do; `folds` are left out where a run is read without them."""

    dataset: DatasetVersion
    target: str
    features: tuple[str, ...]
    horizon_bars: int
    windows: Windows
    learner: Learner
    signal_rules: SignalRules
    cautions: tuple[Caution, ...]
    predicted_rows: int
    estimated_seconds: float
    folds: tuple[PlannedFold, ...] = ()


def assemble(
    spec: RunSpec,
    dataset: DatasetVersion,
    choice: Choice,
    *,
    folds: tuple[PlannedFold, ...],
    cautions: tuple[Caution, ...],
) -> Plan:
    cells = spec.windows.fit_rows * len(choice.features)
    a_round = _SECONDS_A_ROUND + cells * _SECONDS_A_CELL_AND_ROUND
    return Plan(
        dataset=dataset,
        target=choice.target,
        features=choice.features,
        horizon_bars=choice.horizon_bars,
        windows=spec.windows,
        learner=spec.learner,
        signal_rules=spec.signal_rules,
        cautions=cautions,
        predicted_rows=distinct_rows(f.test.rows for f in folds),
        estimated_seconds=len(folds) * _likely_rounds(spec.learner) * a_round,
        folds=folds,
    )


def _likely_rounds(learner: Learner) -> int:
    """Early stopping mostly ends a fold soon after it may."""
    return min(
        learner.num_boost_round, learner.min_boost_rounds + 2 * learner.early_stopping_rounds
    )


class RunFinished(Conflict):
    reason = "RUN_FINISHED"


class RunNotFinished(Conflict):
    reason = "RUN_NOT_FINISHED"


@dataclass(frozen=True, kw_only=True)
class Run:
    run_id: UUID
    name: str
    plan: Plan
    device: str
    fold_count: int
    progression: Progression
    folds_completed: int = 0
    folds_learned_nothing: int = 0
    summary: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None

    @property
    def subject_id(self) -> UUID:
        """By which events and attempts know it."""
        return self.run_id

    @property
    def state(self) -> State:
        return self.progression.state

    @property
    def predictions_table(self) -> str:
        return f"{self.plan.dataset.slug}_wf_{self.run_id.hex}"

    @property
    def is_complete(self) -> bool:
        return self.folds_completed == self.fold_count

    def add_fold(self, attempt: int, result: FoldResult) -> Run:
        """With one more fold stored. Raises StaleAttempt."""
        return replace(
            self,
            progression=self.progression.advance(attempt),
            folds_completed=self.folds_completed + 1,
            folds_learned_nothing=self.folds_learned_nothing + result.learned_nothing,
        )

    def complete(self, attempt: int, summary: Mapping[str, Any] | None, now_ms: int) -> Run:
        if not self.is_complete:
            raise Conflict(
                f"Run {self.run_id} has {self.folds_completed} of {self.fold_count} folds:"
                " it is not complete."
            )
        return replace(
            self, progression=self.progression.complete(attempt, now_ms), summary=summary
        )

    def cancel(self, now_ms: int) -> Run:
        """The run, cancelled; itself when it already was.

        Raises RunFinished when it completed or failed before.
        """
        if self.state in (State.COMPLETED, State.FAILED):
            raise RunFinished(f"Run {self.run_id} is {self.state}: it has ended already.")
        return replace(self, progression=self.progression.cancel(now_ms))

    def refuse_unfinished(self) -> None:
        if not self.state.is_terminal:
            raise RunNotFinished(
                f"Run {self.run_id} is {self.state}: wait until it ends, or cancel it."
            )
