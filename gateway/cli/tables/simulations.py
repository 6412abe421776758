"""Simulations on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from gateway.cli import output
from gateway.cli.output import Column, instant, number, text
from gateway.cli.tables import Record, rest, warnings


def listed(found: Record) -> None:
    columns: list[Column] = [
        ("simulation", "simulation_id", text),
        "status",
        ("return %", "return_pct", number),
        ("buy & hold %", "buy_hold_pct", number),
        "trades",
        "mode",
        "threshold",
        ("dataset", "dataset_slug", text),
        ("run", "run_id", text),
    ]
    output.table([{**s, **_of_simulation(s)} for s in found["simulations"]], columns)
    rest(found)


def _of_simulation(found: Record) -> dict[str, Any]:
    all_, hold = found["performance"] or {}, found["buy_hold"] or {}
    return {
        "mode": found["settings"]["mode"],
        "threshold": found["settings"]["threshold"],
        "return_pct": all_.get("total_return_pct"),
        "buy_hold_pct": hold.get("total_return_pct"),
        "trades": all_.get("total_trades"),
    }


_PERFORMANCE: Final[Sequence[tuple[str, str]]] = (
    ("total return %", "total_return_pct"),
    ("CAGR %", "cagr_pct"),
    ("profit factor per trade", "profit_factor"),
    ("profit factor per bar", "profit_factor_per_bar"),
    ("Sharpe", "sharpe_ratio"),
    ("Sortino", "sortino_ratio"),
    ("max drawdown %", "max_drawdown_pct"),
    ("max drawdown, bars", "max_drawdown_bars"),
    ("average drawdown %", "average_drawdown_pct"),
    ("win rate", "win_rate"),
    ("payoff", "payoff"),
    ("expectancy", "expectancy"),
    ("exposure", "exposure"),
    ("turnover", "turnover"),
    ("fees", "fees"),
    ("trades", "total_trades"),
)


def shown(found: Record) -> None:
    settings = {name: value for name, value in found["settings"].items() if value is not None}
    output.facts(
        {
            "simulation": found["simulation_id"],
            "run": found["run_id"],
            "dataset": f"{found['dataset_slug']} version {found['version']}",
            "status": found["status"],
            "error": found["error"],
            "settings": ", ".join(f"{name} {text(value)}" for name, value in settings.items()),
            "costs": costs(found["settings"]),
            "window": _window(found),
        }
    )
    if found["performance"] is None:
        return
    performance(found)
    warnings(found)


def _window(found: Record) -> str | None:
    if found["bars"] is None:
        return None
    first, last = (instant(found[f"{end}_ts_ms"]) for end in ("first", "last"))
    return f"{found['bars']:,} bars, {first} to {last} UTC"


def costs(settings: Record) -> str:
    fee, slippage = (settings[n] or 0 for n in ("fee_bps", "slippage_bps"))
    if not fee and not slippage:
        return "none: no fees, no slippage, no spread"
    return f"{fee:g} bps fees and {slippage:g} bps slippage per side"


def performance(found: Record) -> None:
    sides = {
        "all": found["performance"],
        "long only": found["long_only"],
        "short only": found["short_only"],
        "buy & hold": found["buy_hold"],
    }
    figures = [
        {"figure": title, **{side: _figure(p, field) for side, p in sides.items()}}
        for title, field in _PERFORMANCE
    ]
    output.table(figures, [("figure", "figure", text), *((side, side, text) for side in sides)])


def _figure(found: Record, field: str) -> float | None:
    if found.get(f"{field}_is_infinite"):
        return math.inf
    value: float | None = found[field]
    return value
