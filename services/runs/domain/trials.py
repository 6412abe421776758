"""Everything tried on a dataset and target is recorded: luck is judged by their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.runs.domain.states import State


@dataclass(frozen=True, kw_only=True)
class Trial:
    """`trial_id` is that of the run or simulation."""

    trial_id: UUID
    kind: str
    dataset_slug: str
    target: str
    started_at_ms: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`sharpe_per_period` is not annualised; of a run, per dual percentile signal."""

    trial_id: UUID
    state: State
    sharpe_per_period: float | None
    observations: int
    ended_at_ms: int


def run_outcome(
    run_id: UUID, state: State, summary: Mapping[str, Any] | None, ended_at_ms: int
) -> Outcome:
    side = (summary or {}).get("signals", {}).get("percentile", {}).get("dual", {})
    mean, std = side.get("mean"), side.get("std")
    return Outcome(
        trial_id=run_id,
        state=state,
        sharpe_per_period=mean / std if mean is not None and std else None,
        observations=int(side.get("n_signals", 0)),
        ended_at_ms=ended_at_ms,
    )


def simulation_outcome(
    simulation_id: UUID, state: State, metrics: Mapping[str, Any] | None, ended_at_ms: int
) -> Outcome:
    known = metrics or {}
    annual, bars_a_year = known.get("all", {}).get("sharpe"), known.get("bars_per_year", 0.0)
    return Outcome(
        trial_id=simulation_id,
        state=state,
        sharpe_per_period=annual / bars_a_year**0.5 if annual is not None and bars_a_year else None,
        observations=int(known.get("bars", 0)),
        ended_at_ms=ended_at_ms,
    )
