"""What the runs service needs of a store; tests/contract/run_store.py says it in full."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.runs.domain.events import Event, Kept
from services.runs.domain.folds import Fold, FoldResult
from services.runs.domain.runs import Run
from services.runs.domain.simulations import Simulation
from services.runs.domain.states import State
from services.runs.domain.trials import Outcome, Trial
from services.runs.domain.workers import Worker


@dataclass(frozen=True, kw_only=True)
class Page:
    """Newest first: `size` items after the one that `after` is the time and id of."""

    size: int
    skip: int = 0
    after: tuple[int, UUID] | None = None


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    dataset_id: UUID | None = None
    dataset_slug: str | None = None
    state: State | None = None
    target: str | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class SimulationFilter:
    run_id: UUID | None = None
    dataset_id: UUID | None = None
    state: State | None = None


class Store(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """All of it or none of it; concurrent ones on the same run take turns."""


class Transaction(Protocol):
    @property
    def runs(self) -> RunTable: ...
    @property
    def simulations(self) -> SimulationTable: ...
    @property
    def events(self) -> EventTable: ...
    @property
    def workers(self) -> WorkerTable: ...
    @property
    def ledger(self) -> Ledger: ...


class RunTable(Protocol):
    async def add(self, run: Run) -> None:
        """With the folds of its plan."""

    async def get(self, run_id: UUID) -> Run:
        """As it stands, its plan without folds. Raises NotFound."""

    async def lock(self, run_id: UUID) -> Run:
        """As `get`, and nobody else may lock it until the transaction ends."""

    async def put(self, run: Run) -> None:
        """What may change: the progression, counts, summary and environment."""

    async def put_fold(self, run_id: UUID, number: int, result: FoldResult) -> None: ...

    async def folds(self, run_id: UUID, *, start: int = 0, limit: int | None = None) -> list[Fold]:
        """In order, from a number on."""

    async def find(self, wanted: RunFilter, page: Page) -> list[Run]: ...

    async def uses(self, dataset_id: UUID) -> tuple[int, int]:
        """How many runs and simulations there are of it."""

    async def remove(self, run_id: UUID) -> None:
        """With its folds, simulations and events; the trials stay."""

    async def claimable(self, now_ms: int) -> tuple[Run, Worker] | None:
        """The oldest run that waits and a trainer with a free slot for it, both locked."""

    async def abandoned(self, now_ms: int) -> list[UUID]:
        """Running, but past their lease."""

    async def unsummarised(self) -> list[UUID]:
        """Ended, but without pooled figures."""

    async def exist(self, run_ids: Sequence[UUID]) -> set[UUID]: ...


class SimulationTable(Protocol):
    async def add(self, simulation: Simulation) -> None: ...

    async def get(self, simulation_id: UUID) -> Simulation:
        """With its result. Raises NotFound."""

    async def lock(self, simulation_id: UUID) -> Simulation: ...

    async def put(self, simulation: Simulation) -> None:
        """What may change: the progression, and the result with its buckets once it is there."""

    async def find(self, wanted: SimulationFilter, page: Page) -> list[Simulation]: ...

    async def of_run(self, run_id: UUID) -> list[UUID]: ...

    async def remove(self, simulation_id: UUID) -> None: ...

    async def claimable(self, now_ms: int) -> tuple[Simulation, Worker] | None: ...

    async def abandoned(self, now_ms: int) -> list[UUID]: ...

    async def current(self, simulation_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The attempt whose tables are to be kept, of those that exist."""


class EventTable(Protocol):
    async def append(self, subject_id: UUID, at_ms: int, kind: Kept) -> Event:
        """Numbered under the row lock of its run or simulation."""

    async def after(self, subject_id: UUID, sequence: int, limit: int) -> list[Event]:
        """Completed folds come with their results."""


class WorkerTable(Protocol):
    async def register(self, worker: Worker) -> None: ...

    async def beat(self, worker_id: UUID, now_ms: int) -> bool:
        """Whether it is known."""

    async def alive(self, now_ms: int) -> list[Worker]: ...

    async def remove(self, worker_id: UUID) -> None:
        """It does not answer: it may register again."""

    async def forget(self, before_ms: int) -> None: ...


class Ledger(Protocol):
    async def recall(self, method: str, key: str, body_sha256: bytes, now_ms: int) -> UUID | None:
        """What the key made within 24 h. Raises AlreadyExists when the body was another."""

    async def remember(
        self, method: str, key: str, *, body_sha256: bytes, made: UUID, now_ms: int
    ) -> bool:
        """False when another call with the key came first; waits for one under way."""

    async def forget_keys(self, now_ms: int) -> None: ...

    async def record(self, trial: Trial) -> None: ...

    async def conclude(self, outcome: Outcome) -> None:
        """Once: a second outcome of a trial changes nothing."""

    async def loosen_pin(self, holder: UUID, now_ms: int) -> None: ...

    async def tie_pin(self, holder: UUID) -> bool:
        """A run stands behind it now. False when the pin is being given back."""

    async def loose_pins(self, before_ms: int) -> list[UUID]: ...
