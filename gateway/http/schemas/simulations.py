"""Simulations as clients read and write them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.http.schemas.common import Answer, Asked, Int32, Iso, Page, Percent
from gateway.http.schemas.runs import Status


class SimulationSettings(Asked):
    """How predictions become trades; what is left out takes its default."""

    mode: Literal["long", "short", "dual"] | None = Field(default=None, description="Default dual.")
    threshold: Literal["percentile", "optimal", "zero", "own"] | None = Field(
        default=None, description="Default percentile; own: the two below."
    )
    long_threshold: float | None = None
    short_threshold: float | None = None
    honor_signal_reversal: bool | None = Field(default=None, description="Default true.")
    exit_strength: float | None = Field(
        default=None, description="Part of the entry prediction's size, 0 to 1; off without."
    )
    stop_pct: float | None = Field(
        default=None, description="Percent of the entry price; off without."
    )
    trailing_stop: bool | None = Field(default=None, description="Default false.")
    target_pct: float | None = Field(
        default=None, description="Percent of the entry price; off without."
    )
    max_holding_bars: Int32 | None = Field(default=None, description="No limit without.")
    cooldown_bars: Int32 | None = Field(default=None, description="After a stop; default 0.")
    intrabar: Literal["stop_first", "target_first"] | None = None
    flat_between_folds: bool | None = Field(default=None, description="Default false.")
    fee_bps: float | None = Field(default=None, description="Per side; default 0.")
    slippage_bps: float | None = Field(default=None, description="Per side; default 0.")
    notional: float | None = Field(default=None, description="Money per position; default 1000.")
    signals_when_learned_nothing: bool | None = Field(default=None, description="Default false.")


class NewSettings(SimulationSettings):
    """The service knows fractions; who asks in percent is refused in percent."""

    stop_pct: float | None = Field(
        default=None, gt=0, lt=100, description="Percent of the entry price; off without."
    )
    target_pct: float | None = Field(
        default=None, gt=0, description="Percent of the entry price; off without."
    )


class NewSimulation(Asked):
    run_id: str = Field(max_length=64)
    settings: NewSettings = Field(default_factory=NewSettings)


class Performance(Answer):
    total_return_pct: Percent
    cagr_pct: Percent | None
    profit_factor: float | None = Field(description="Per trade.")
    profit_factor_is_infinite: bool
    profit_factor_per_bar: float | None
    profit_factor_per_bar_is_infinite: bool
    sharpe_ratio: float | None
    sortino_ratio: float | None
    sortino_ratio_is_infinite: bool
    max_drawdown_pct: Percent
    max_drawdown_bars: int
    average_drawdown_pct: Percent
    average_drawdown_bars: float
    win_rate: float | None = Field(description="0 to 1.")
    payoff: float | None
    payoff_is_infinite: bool
    expectancy: float | None
    exposure: float = Field(description="0 to 1.")
    turnover: float
    fees: float
    total_trades: int


class Bucket(Answer):
    side: str
    trades: int
    wins: int
    losses: int
    pnl: float
    mean_return_pct: Percent
    median_return_pct: Percent
    best_return_pct: Percent
    worst_return_pct: Percent
    mean_bars_held: float
    mean_mae_pct: Percent
    mean_mfe_pct: Percent
    exit_reasons: dict[str, int]


class Simulation(Answer):
    """What came out is null until it is COMPLETED."""

    simulation_id: str
    run_id: str
    dataset_id: str
    dataset_slug: str
    version: int
    status: Status
    error: str | None
    settings: SimulationSettings
    performance: Performance | None = None
    long_only: Performance | None = None
    short_only: Performance | None = None
    buy_hold: Performance | None = None
    buckets: list[Bucket] = Field(default_factory=list)
    bars: int | None = None
    first_ts_ms: int | None = None
    last_ts_ms: int | None = None
    n_conflicting: int | None = None
    n_unfilled: int | None = None
    n_died_at_gap: int | None = None
    insolvent: bool | None = None
    bars_per_year: float | None = None
    warnings: list[str] = Field(default_factory=list)
    attempt: int
    created_at: Iso
    started_at: Iso | None
    completed_at: Iso | None
    duration_ms: int | None
    links: dict[str, str]


class SimulationList(Answer):
    simulations: list[Simulation]
    count: int
    next_page_token: str


class SimulationQuery(Page):
    run_id: str = Field(default="", max_length=64)
    dataset_id: str = Field(default="", max_length=64, description="UUID or slug.")
    status: Status | None = None


class TableQuery(Asked):
    format: Literal["json", "csv"] | None = None
