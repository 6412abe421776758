"""Protobuf to domain and back; what breaks a rule is refused here, every field at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message
from stage1.runs.v1 import simulation_pb2
from stage1.simulator.v1 import simulator_service_pb2 as pb

from services.shared.errors import InvalidRequest, Violation
from services.shared.uuids import uuid_of
from services.simulator.domain import FoldThresholds, Intrabar, Job, Mode, Settings, Threshold
from services.simulator.metrics import Bucket, Performance
from services.simulator.report import Report

_Settings = simulation_pb2.SimulationSettings
_MODES: Final = {
    _Settings.MODE_UNSPECIFIED: Mode.DUAL,
    _Settings.MODE_LONG: Mode.LONG,
    _Settings.MODE_SHORT: Mode.SHORT,
    _Settings.MODE_DUAL: Mode.DUAL,
}
_THRESHOLDS: Final = {
    _Settings.THRESHOLD_UNSPECIFIED: Threshold.PERCENTILE,
    _Settings.THRESHOLD_PERCENTILE: Threshold.PERCENTILE,
    _Settings.THRESHOLD_OPTIMAL: Threshold.OPTIMAL,
    _Settings.THRESHOLD_ZERO: Threshold.ZERO,
    _Settings.THRESHOLD_OWN: Threshold.OWN,
}
_INTRABARS: Final = {
    _Settings.INTRABAR_UNSPECIFIED: Intrabar.STOP_FIRST,
    _Settings.INTRABAR_STOP_FIRST: Intrabar.STOP_FIRST,
    _Settings.INTRABAR_TARGET_FIRST: Intrabar.TARGET_FIRST,
}
_ENUMS: Final[Mapping[str, Mapping[Any, Any]]] = {
    "mode": _MODES,
    "threshold": _THRESHOLDS,
    "intrabar": _INTRABARS,
}


def job(request: pb.SimulateRequest) -> Job:
    violations = [
        *_bad_ids(request),
        *_bad_folds(request.folds),
        *_bad_settings(request.settings),
    ]
    if violations:
        raise InvalidRequest(violations)
    return Job(
        simulation_id=UUID(request.simulation_id),
        run_id=UUID(request.run_id),
        dataset_id=UUID(request.dataset_id),
        version=request.version,
        settings=_settings(request.settings),
        folds=[_fold(fold) for fold in request.folds],
    )


def result(report: Report) -> simulation_pb2.SimulationResult:
    return simulation_pb2.SimulationResult(
        all=_performance(report.all),
        long_only=_performance(report.long_only),
        short_only=_performance(report.short_only),
        buy_hold=_performance(report.buy_hold),
        buckets=[_bucket(bucket) for bucket in report.buckets],
        bars=report.bars,
        first_ts_ms=report.first_ts_ms,
        last_ts_ms=report.last_ts_ms,
        n_conflicting=report.n_conflicting,
        n_unfilled=report.n_unfilled,
        n_died_at_gap=report.n_died_at_gap,
        insolvent=report.insolvent,
        bars_per_year=report.bars_per_year,
        warnings=report.warnings,
    )


def _bad_ids(request: pb.SimulateRequest) -> Iterator[Violation]:
    for field in ("simulation_id", "run_id", "dataset_id"):
        text = getattr(request, field)
        if uuid_of(text) is None:
            yield Violation(field, f"is {text!r}, which is not a UUID")
    if request.version < 1:
        yield Violation("version", f"is {request.version}, and versions start at 1")


def _bad_folds(folds: Sequence[pb.FoldThresholds]) -> Iterator[Violation]:
    seen: set[int] = set()
    for i, fold in enumerate(folds):
        if fold.fold < 0:
            yield Violation(f"folds[{i}].fold", f"is {fold.fold}, and folds start at 0")
        if fold.fold in seen:
            yield Violation(f"folds[{i}].fold", f"is {fold.fold}, which was there before")
        seen.add(fold.fold)
        for name in _THRESHOLD_FIELDS:
            value = getattr(fold.thresholds, name)
            if not math.isfinite(value):
                yield Violation(f"folds[{i}].thresholds.{name}", f"is {value}, which is no number")


_THRESHOLD_FIELDS: Final = ("long_percentile", "short_percentile", "long_optimal", "short_optimal")
# Field → what it must be, in comparisons that NaN fails.
_BOUNDS: Final[Mapping[str, tuple[str, Callable[[float], bool]]]] = {
    "exit_strength": ("0 to 1", lambda x: 0 <= x <= 1),
    "stop_fraction": ("above 0 and below 1", lambda x: 0 < x < 1),
    "target_fraction": ("above 0", lambda x: 0 < x < math.inf),
    "max_holding_bars": ("at least 1", lambda x: x >= 1),
    "cooldown_bars": ("at least 0", lambda x: x >= 0),
    "fee_bps": ("0 to 1000", lambda x: 0 <= x <= 1000),
    "slippage_bps": ("0 to 1000", lambda x: 0 <= x <= 1000),
    "notional": ("above 0", lambda x: 0 < x < math.inf),
    "long_threshold": ("a number", math.isfinite),
    "short_threshold": ("a number", math.isfinite),
}


def _bad_settings(s: simulation_pb2.SimulationSettings) -> Iterator[Violation]:
    given = _given(s)
    for name, known in _ENUMS.items():
        if given.get(name, 0) not in known:
            yield Violation(f"settings.{name}", f"is {given[name]}, which is no known value")
    for name, (rule, holds) in _BOUNDS.items():
        if name in given and not holds(given[name]):
            yield Violation(f"settings.{name}", f"is {given[name]}, and must be {rule}")
    if s.trailing_stop and "stop_fraction" not in given:
        yield Violation("settings.trailing_stop", "is set, and needs stop_fraction")
    own = not given.keys().isdisjoint({"long_threshold", "short_threshold"})
    if own and s.threshold != s.THRESHOLD_OWN:
        yield Violation("settings.threshold", "must be OWN when own thresholds are given")
    if s.threshold == s.THRESHOLD_OWN and not own:
        yield Violation("settings.threshold", "is OWN, and no own threshold is given")


def _settings(s: simulation_pb2.SimulationSettings) -> Settings:
    return Settings(
        **(_given(s) | {name: known[getattr(s, name)] for name, known in _ENUMS.items()})
    )


def _fold(fold: pb.FoldThresholds) -> FoldThresholds:
    given = _given(fold.thresholds)

    def pair(kind: str) -> tuple[float | None, float | None]:
        return given.get(f"long_{kind}"), given.get(f"short_{kind}")

    return FoldThresholds(
        fold=fold.fold,
        by_kind={Threshold.PERCENTILE: pair("percentile"), Threshold.OPTIMAL: pair("optimal")},
        learned_nothing=fold.learned_nothing,
        is_constant=fold.learned_nothing and pair("percentile") == (None, None),
    )


def _given(message: Message) -> dict[str, Any]:
    """The fields that are set, by name."""
    return {field.name: value for field, value in message.ListFields()}


def _performance(p: Performance) -> simulation_pb2.PerformanceMetrics:
    return simulation_pb2.PerformanceMetrics(
        trades=p.trades,
        total_return=p.total_return,
        cagr=p.cagr,
        profit_factor=p.profit_factor.value,
        profit_factor_is_infinite=p.profit_factor.is_infinite,
        profit_factor_per_bar=p.profit_factor_per_bar.value,
        profit_factor_per_bar_is_infinite=p.profit_factor_per_bar.is_infinite,
        sharpe=p.sharpe,
        sortino=p.sortino.value,
        sortino_is_infinite=p.sortino.is_infinite,
        max_drawdown=p.drawdowns.deepest,
        max_drawdown_bars=p.drawdowns.deepest_bars,
        average_drawdown=p.drawdowns.average,
        average_drawdown_bars=p.drawdowns.average_bars,
        win_rate=p.win_rate,
        payoff=p.payoff.value,
        payoff_is_infinite=p.payoff.is_infinite,
        expectancy=p.expectancy,
        exposure=p.exposure,
        turnover=p.turnover,
        fees=p.fees,
    )


def _bucket(bucket: Bucket) -> simulation_pb2.TradeBucket:
    return simulation_pb2.TradeBucket(**vars(bucket))
