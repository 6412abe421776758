"""What a run learns from and what it learns, checked against a dataset version.

Also decides how far the target looks ahead, because a gap shorter than that trains on
labels that were not known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.runs.domain.plan import Caution, Facts, Windows
from services.shared.errors import InvalidRequest, Violation


class Role(StrEnum):
    FEATURE = "FEATURE"
    TARGET = "TARGET"
    PRICE = "PRICE"
    EXTRA = "EXTRA"


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    role: Role
    numeric: bool = True
    indicator: bool = True
    horizon_bars: int | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """What a run must know of the immutable version it is computed on."""

    dataset_id: UUID
    slug: str
    version: int
    content_hash: str
    facts: Facts
    columns: tuple[Column, ...] = ()  # left out where a run is read


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The columns a run uses; `horizon_bars` is None when nothing says it."""

    target: str
    features: tuple[str, ...]
    horizon_bars: int
    cautions: tuple[Caution, ...] = ()


def choose(
    dataset: DatasetVersion,
    *,
    target: str,
    features: Sequence[str],
    horizon_bars: int | None,
    windows: Windows,
) -> Choice:
    """The columns meant: an empty target is the only one, no features are all of that role.

    Raises InvalidRequest with everything that is wrong with them.
    """
    learnable = {c.name: c for c in dataset.columns if c.numeric and c.indicator}
    wrong: list[Violation] = []
    named = target or _only_target(learnable, wrong)
    if named and named not in learnable:
        wrong.append(Violation("spec.target_column", _unknown(named, dataset)))
    chosen = tuple(features) or tuple(
        c.name for c in learnable.values() if c.role is Role.FEATURE and c.name != named
    )
    wrong.extend(_wrong_features(chosen, named, learnable, dataset))
    if wrong:
        raise InvalidRequest(wrong, reason="COLUMNS_REFUSED")
    horizon, cautions = _horizon(learnable[named], horizon_bars, dataset.facts)
    return Choice(
        target=named,
        features=chosen,
        horizon_bars=horizon,
        cautions=(*cautions, *_gap_cautions(windows, named, horizon)),
    )


def _only_target(learnable: dict[str, Column], wrong: list[Violation]) -> str:
    targets = [c.name for c in learnable.values() if c.role is Role.TARGET]
    if len(targets) == 1:
        return targets[0]
    problem = (
        f"must be named, since the dataset has {len(targets)}: {', '.join(targets)}"
        if targets
        else "must be named, since no column of the dataset has that role"
    )
    wrong.append(Violation("spec.target_column", problem))
    return ""


def _wrong_features(
    chosen: Sequence[str], target: str, learnable: dict[str, Column], dataset: DatasetVersion
) -> list[Violation]:
    if not chosen:
        return [
            Violation("spec.feature_columns", "are missing: the dataset has no column of that role")
        ]
    wrong = []
    for name in dict.fromkeys(chosen):
        if name == target:
            wrong.append(
                Violation("spec.feature_columns", f"contain {name!r}, which is the target")
            )
        elif name not in learnable:
            wrong.append(Violation("spec.feature_columns", _unknown(name, dataset)))
        elif learnable[name].role is Role.TARGET:
            wrong.append(
                Violation(
                    "spec.feature_columns", f"contain {name!r}, which is a target and looks ahead"
                )
            )
        if chosen.count(name) > 1:
            wrong.append(Violation("spec.feature_columns", f"contain {name!r} more than once"))
    return wrong


def _unknown(name: str, dataset: DatasetVersion) -> str:
    known = next((c for c in dataset.columns if c.name == name), None)
    if known is None:
        return f"name {name!r}, and {dataset.slug} version {dataset.version} has no such column"
    if not known.indicator:
        return f"name {name!r}, which is a column of the bars, not of the indicators"
    return f"name {name!r}, which is text"


def _horizon(target: Column, asked: int | None, facts: Facts) -> tuple[int, tuple[Caution, ...]]:
    known = target.horizon_bars
    if asked is not None:
        if known is None or asked >= known:
            return asked, ()
        return asked, (
            Caution(
                "HORIZON_BELOW_COLUMN",
                f"The request says {target.name} looks {asked} bars ahead, but the dataset says"
                f" {known}.",
            ),
        )
    if known is not None:
        return known, ()
    if facts.lookahead_rows == 0:
        raise InvalidRequest(
            [
                Violation(
                    "spec.horizon_bars",
                    f"is missing: nothing says how far {target.name} looks ahead, and the bars end"
                    " with the last indicator row",
                )
            ],
            reason="HORIZON_UNKNOWN",
        )
    return facts.lookahead_rows, (
        Caution(
            "HORIZON_ASSUMED",
            f"Nothing says how far {target.name} looks ahead; {facts.lookahead_rows} bars are"
            " assumed, the bars after the last indicator row.",
        ),
    )


def _gap_cautions(windows: Windows, target: str, horizon: int) -> tuple[Caution, ...]:
    if windows.train_test_gap >= horizon:
        return ()
    return (
        Caution(
            "GAP_BELOW_HORIZON",
            f"The gap of {windows.train_test_gap} rows is smaller than the {horizon} bars that"
            f" {target} looks ahead: labels at the end of training were not known yet at the"
            " first prediction.",
        ),
    )
