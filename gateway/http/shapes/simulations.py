"""Simulations, request to proto and proto to answer; fractions become percent here."""

from __future__ import annotations

from typing import Any, Final

from stage1.runs.v1 import simulation_pb2 as pb

from gateway.http.schemas import simulations as schemas
from gateway.http.shapes.runs import times
from gateway.http.shapes.words import exit_reason, number, percent, word

_ENUMS: Final[dict[str, tuple[Any, str]]] = {
    "mode": (pb.SimulationSettings.Mode, "MODE_"),
    "threshold": (pb.SimulationSettings.Threshold, "THRESHOLD_"),
    "intrabar": (pb.SimulationSettings.Intrabar, "INTRABAR_"),
}
_IN_PERCENT: Final = {"stop_pct": "stop_fraction", "target_pct": "target_fraction"}


def settings(asked: schemas.SimulationSettings) -> pb.SimulationSettings:
    fields = asked.model_dump(exclude_none=True)
    for name, (enum, prefix) in _ENUMS.items():
        if name in fields:
            fields[name] = number(enum, fields[name], prefix)
    for in_percent, fraction in _IN_PERCENT.items():
        if in_percent in fields:
            fields[fraction] = fields.pop(in_percent) / 100
    return pb.SimulationSettings(**fields)


def _settings(proto: pb.SimulationSettings) -> schemas.SimulationSettings:
    fields = {field.name: value for field, value in proto.ListFields()}
    for name, (enum, prefix) in _ENUMS.items():
        if name in fields:
            fields[name] = word(enum, fields[name], prefix)
    for in_percent, fraction in _IN_PERCENT.items():
        if fraction in fields:
            fields[in_percent] = percent(fields.pop(fraction))
    return schemas.SimulationSettings(**fields)


def simulation(proto: pb.Simulation) -> schemas.Simulation:
    here = f"/api/simulations/{proto.simulation_id}"
    parts = ("trades", "equity", "events")
    return schemas.Simulation(
        simulation_id=proto.simulation_id,
        run_id=proto.run_id,
        dataset_id=proto.dataset_id,
        dataset_slug=proto.dataset_slug,
        version=proto.version,
        status=status(proto),
        error=proto.error or None,
        settings=_settings(proto.settings),
        **(_result(proto.result) if proto.HasField("result") else {}),
        attempt=proto.attempt,
        **times(proto),
        links={
            "self": here,
            **{part: f"{here}/{part}" for part in parts},
            "run": f"/api/runs/{proto.run_id}",
        },
    )


def status(proto: pb.Simulation) -> Any:
    return pb.Simulation.State.Name(proto.state).removeprefix("STATE_")


def _result(result: pb.SimulationResult) -> dict[str, Any]:
    return {
        "performance": _performance(result.all),
        "long_only": _performance(result.long_only),
        "short_only": _performance(result.short_only),
        "buy_hold": _performance(result.buy_hold),
        "buckets": [_bucket(b) for b in result.buckets],
        "bars": result.bars,
        "first_ts_ms": result.first_ts_ms,
        "last_ts_ms": result.last_ts_ms,
        "n_conflicting": result.n_conflicting,
        "n_unfilled": result.n_unfilled,
        "n_died_at_gap": result.n_died_at_gap,
        "insolvent": result.insolvent,
        "bars_per_year": result.bars_per_year,
        "warnings": list(result.warnings),
    }


def _performance(proto: pb.PerformanceMetrics) -> schemas.Performance:
    def known(name: str) -> float | None:
        return getattr(proto, name) if proto.HasField(name) else None  # type: ignore[arg-type]

    cagr = known("cagr")
    return schemas.Performance(
        total_return_pct=percent(proto.total_return),
        cagr_pct=None if cagr is None else percent(cagr),
        profit_factor=known("profit_factor"),
        profit_factor_is_infinite=proto.profit_factor_is_infinite,
        profit_factor_per_bar=known("profit_factor_per_bar"),
        profit_factor_per_bar_is_infinite=proto.profit_factor_per_bar_is_infinite,
        sharpe_ratio=known("sharpe"),
        sortino_ratio=known("sortino"),
        sortino_ratio_is_infinite=proto.sortino_is_infinite,
        max_drawdown_pct=percent(proto.max_drawdown),
        max_drawdown_bars=proto.max_drawdown_bars,
        average_drawdown_pct=percent(proto.average_drawdown),
        average_drawdown_bars=proto.average_drawdown_bars,
        win_rate=known("win_rate"),
        payoff=known("payoff"),
        payoff_is_infinite=proto.payoff_is_infinite,
        expectancy=known("expectancy"),
        exposure=proto.exposure,
        turnover=proto.turnover,
        fees=proto.fees,
        total_trades=proto.trades,
    )


def _bucket(proto: pb.TradeBucket) -> schemas.Bucket:
    return schemas.Bucket(
        side=proto.side,
        trades=proto.trades,
        wins=proto.wins,
        losses=proto.losses,
        pnl=proto.pnl,
        mean_return_pct=percent(proto.mean_return),
        median_return_pct=percent(proto.median_return),
        best_return_pct=percent(proto.best_return),
        worst_return_pct=percent(proto.worst_return),
        mean_bars_held=proto.mean_bars_held,
        mean_mae_pct=percent(proto.mean_mae),
        mean_mfe_pct=percent(proto.mean_mfe),
        exit_reasons={exit_reason(reason): n for reason, n in sorted(proto.exit_reasons.items())},
    )
