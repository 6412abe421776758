"""What the trainer and its worker process say to each other, in this order:
Ready; then for each job Open → Opened, Run → Progress… → Done, …, Close.

Every question gets one last answer, which is Failed when it cannot be done.
Cancel gets none of its own: it turns the answer to Run into Cancelled, if it is in time.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.errors import Stage1Error
from services.trainer.domain import Capabilities, Device, Fold, Progress, Recipe, TrainedFold
from services.trainer.frame import Shape


@dataclass(frozen=True)
class Ready:
    capabilities: Capabilities


@dataclass(frozen=True)
class Open:
    """The descriptor of the frame file follows on the socket."""

    shape: Shape
    recipe: Recipe
    device: Device
    threads: int


@dataclass(frozen=True)
class Opened:
    pass


@dataclass(frozen=True)
class Run:
    fold: Fold


@dataclass(frozen=True)
class Done:
    trained: TrainedFold
    seconds: float


@dataclass(frozen=True)
class Failed:
    error: Stage1Error


@dataclass(frozen=True)
class Cancel:
    pass


@dataclass(frozen=True)
class Cancelled:
    pass


@dataclass(frozen=True)
class Close:
    """Lets go of the job's rows."""


Answer = Ready | Opened | Progress | Done | Failed | Cancelled
