"""A simulation of a run's predictions: what was asked, where it stands, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.runs.domain.runs import Run, RunFinished, RunNotFinished
from services.runs.domain.states import Progression, State
from services.shared.errors import Conflict


class Mode(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    DUAL = "DUAL"


class Threshold(StrEnum):
    PERCENTILE = "PERCENTILE"
    OPTIMAL = "OPTIMAL"
    ZERO = "ZERO"
    OWN = "OWN"


class Intrabar(StrEnum):
    STOP_FIRST = "STOP_FIRST"
    TARGET_FIRST = "TARGET_FIRST"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How predictions become trades; None switches a rule off."""

    mode: Mode = Mode.DUAL
    threshold: Threshold = Threshold.PERCENTILE
    long_threshold: float | None = None
    short_threshold: float | None = None
    honor_signal_reversal: bool = True
    exit_strength: float | None = None
    stop_fraction: float | None = None
    trailing_stop: bool = False
    target_fraction: float | None = None
    max_holding_bars: int | None = None
    cooldown_bars: int = 0
    intrabar: Intrabar = Intrabar.STOP_FIRST
    flat_between_folds: bool = False
    fee_bps: float = 0.0
    slippage_bps: float = 0.0
    notional: float = 1000.0
    signals_when_learned_nothing: bool = False


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Trades of one side together."""

    side: str
    trades: int
    wins: int
    losses: int
    pnl: float
    mean_return: float
    median_return: float
    best_return: float
    worst_return: float
    mean_bars_held: float
    mean_mae: float
    mean_mfe: float
    exit_reasons: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Result:
    """`metrics` is the simulator's own account, kept as it is; buckets are rows of their own."""

    metrics: Mapping[str, Any]
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    simulation_id: UUID
    run_id: UUID
    dataset_id: UUID
    dataset_slug: str
    version: int
    settings: Settings
    progression: Progression
    result: Result | None = None

    @property
    def subject_id(self) -> UUID:
        """By which events and attempts know it."""
        return self.simulation_id

    @property
    def state(self) -> State:
        return self.progression.state

    def table(self, kind: str) -> str:
        """Series table of this attempt's trades or equity."""
        return (
            f"{self.dataset_slug}_sim_{self.simulation_id.hex}_{kind}_a{self.progression.attempt}"
        )

    def complete(self, attempt: int, result: Result, now_ms: int) -> Simulation:
        progression = self.progression.complete(attempt, now_ms)
        return replace(self, progression=progression, result=result)

    def cancel(self, now_ms: int) -> Simulation:
        """Itself when it was cancelled already. Raises RunFinished when it ended before."""
        if self.state in (State.COMPLETED, State.FAILED):
            raise RunFinished(
                f"Simulation {self.simulation_id} is {self.state}: it has ended already.",
                reason="SIMULATION_FINISHED",
            )
        return replace(self, progression=self.progression.cancel(now_ms))

    def refuse_unfinished(self) -> None:
        if not self.state.is_terminal:
            raise RunNotFinished(
                f"Simulation {self.simulation_id} is {self.state}: wait until it ends, or cancel"
                " it.",
                reason="SIMULATION_NOT_FINISHED",
            )

    def refuse_unread(self) -> None:
        if self.state is not State.COMPLETED:
            raise Conflict(
                f"Simulation {self.simulation_id} is {self.state}: only a COMPLETED one has trades"
                " and equity.",
                reason="SIMULATION_NOT_COMPLETED",
            )


def simulate(run: Run, simulation_id: UUID, settings: Settings, now_ms: int) -> Simulation:
    """A queued simulation. Raises Conflict when the run has nothing to simulate."""
    run.refuse_unfinished()
    if run.folds_completed == 0:
        raise Conflict(f"Run {run.run_id} has no folds to simulate.", reason="RUN_WITHOUT_FOLDS")
    return Simulation(
        simulation_id=simulation_id,
        run_id=run.run_id,
        dataset_id=run.plan.dataset.dataset_id,
        dataset_slug=run.plan.dataset.slug,
        version=run.plan.dataset.version,
        settings=settings,
        progression=Progression(created_at_ms=now_ms),
    )
