"""From what is asked to what will be done: columns, folds and their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from services.runs.domain.columns import Choice, DatasetVersion, choose
from services.runs.domain.feasibility import insist, make_folds, window_cautions
from services.runs.domain.plan import (
    FoldRows,
    boundary_rows,
    with_times,
)
from services.runs.domain.runs import Plan, RunSpec, assemble
from services.shared.errors import InvalidRequest, Violation


class Datasets(Protocol):
    async def version(self, dataset: str, version: int) -> DatasetVersion:
        """`dataset` is a UUID or a slug, version 0 the newest."""

    async def pin(self, dataset: str, version: int, holder: UUID) -> DatasetVersion:
        """The same, and it stays until the holder unpins it."""

    async def unpin(self, holder: UUID) -> None: ...

    async def times_ms(self, dataset: DatasetVersion, rows: Sequence[int]) -> dict[int, int]:
        """The time of each indicator row."""


async def make_plan(datasets: Datasets, spec: RunSpec, dataset: DatasetVersion) -> Plan:
    """Raises InvalidRequest with everything that forbids the run."""
    choice, folds = decide(spec, dataset)
    cautions = (*choice.cautions, *window_cautions(spec.windows))
    insist(spec.windows, cautions)
    times = await datasets.times_ms(dataset, boundary_rows(folds))
    return assemble(
        spec,
        dataset,
        choice,
        folds=with_times(folds, times, dataset.facts.bar_interval_ms),
        cautions=cautions,
    )


def decide(spec: RunSpec, dataset: DatasetVersion) -> tuple[Choice, tuple[FoldRows, ...]]:
    """Columns and windows; what is wrong with either is told together."""
    if dataset.facts.rows == 0:
        missing = f"{dataset.slug} version {dataset.version} has no indicators to learn from"
        raise InvalidRequest([Violation("spec.dataset", missing)], reason="NO_INDICATORS")
    try:
        choice = choose(
            dataset,
            target=spec.target,
            features=spec.features,
            horizon_bars=spec.horizon_bars,
            windows=spec.windows,
        )
    except InvalidRequest as wrong_columns:
        try:
            make_folds(spec.windows, dataset.facts)
        except InvalidRequest as wrong_windows:
            both = (*wrong_columns.violations, *wrong_windows.violations)
            raise InvalidRequest(both) from None
        raise
    return choice, make_folds(spec.windows, dataset.facts)
