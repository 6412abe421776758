"""What happens to a run or simulation, as its watchers and its worker's stream say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.runs.domain.folds import FoldResult
from services.runs.domain.simulations import Result
from services.runs.domain.states import State


@dataclass(frozen=True)
class StateChanged:
    state: State
    error: str = ""


@dataclass(frozen=True)
class FoldStarted:
    fold: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class FoldCompleted:
    """`result` is None where the event is stored: the fold's own row has it."""

    fold: int
    folds_completed: int
    fold_count: int
    result: FoldResult | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    fold: int
    round: int
    rounds: int
    train_score: float
    validation_score: float


@dataclass(frozen=True)
class Heartbeat:
    pass


@dataclass(frozen=True)
class Log:
    text: str


Kept = StateChanged | FoldStarted | FoldCompleted | Log
"""Stored and numbered; the others are only passed on to who watches at the time."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """`sequence` counts from 1 without holes; 0 for what is not kept."""

    sequence: int
    at_ms: int
    kind: Kept | Progress | Heartbeat


@dataclass(frozen=True)
class Environment:
    """What is needed to repeat the run: device, library versions, threads, seed."""

    facts: Mapping[str, Any]


@dataclass(frozen=True)
class PredictionsPart:
    fold: int
    ipc: bytes


@dataclass(frozen=True)
class ModelPart:
    fold: int
    data: bytes


@dataclass(frozen=True)
class TrainedFold:
    fold: int
    result: FoldResult


@dataclass(frozen=True)
class TradesPart:
    ipc: bytes


@dataclass(frozen=True)
class EquityPart:
    ipc: bytes


@dataclass(frozen=True)
class Finished:
    pass


FromTrainer = (
    FoldStarted
    | Progress
    | Heartbeat
    | PredictionsPart
    | ModelPart
    | TrainedFold
    | Log
    | Environment
    | Finished
)
FromSimulator = TradesPart | EquityPart | Heartbeat | Result
