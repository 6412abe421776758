"""Runs as clients read and write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.http.schemas.common import Answer, Asked, Int32, Iso, Milliseconds, Page, Version

Status = Literal["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
Text = Annotated[str, Field(max_length=200)]


class WalkConfig(Asked):
    """Windows over indicator rows."""

    train_size: Int32 | None = Field(default=None, description="Default 10000.")
    test_size: Int32 | None = Field(default=None, description="Default 200.")
    train_test_gap: Int32 | None = Field(
        default=None, description="Default 9; at least the horizon."
    )
    fold_step: Int32 | None = Field(default=None, description="Default 200.")
    initial_offset: Int32 | None = Field(default=None, description="Default 0.")
    start_fold: Int32 | None = Field(default=None, description="Default 0.")
    end_fold: Int32 | None = Field(default=None, description="Exclusive; default: all.")
    strict: bool | None = Field(default=None, description="Warnings become errors; default false.")


def _single(value: Any) -> Any:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must be a number, a text or true/false")
    return value


# The check comes first: of a union pydantic would name every kind that it is not.
Parameter = Annotated[str | bool | int | float, BeforeValidator(_single)]


class Hyperparameters(BaseModel):
    """Any other name is a parameter of XGBoost, which checks it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Parameter] = Field(init=False)

    num_boost_round: Int32 | None = Field(default=None, description="Default 2000.")
    early_stopping_rounds: Int32 | None = Field(default=None, description="Default 50.")
    min_boost_rounds: Int32 | None = Field(default=None, description="Default 100.")
    val_split_ratio: float | None = Field(default=None, gt=0, lt=1, description="Default 0.8.")
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63, description="Default 43.")
    target_transform: Literal["none", "standardize", "tanh"] | None = None
    tanh_k: float | None = Field(default=None, description="Default 0.5.")


class SignalRules(Asked):
    """What, beside the thresholds found in validation, makes a signal of a prediction."""

    own_long_threshold: float | None = None
    own_short_threshold: float | None = None
    signals_when_learned_nothing: bool = False


class RunSpec(Asked):
    dataset: str = Field(max_length=128, description="UUID or slug.", examples=["eurusd_1h"])
    version: Version | None = Field(default=None, description="Newest without.")
    target_column: str = Field(default="", description="May be left out when there is one only.")
    feature_columns: list[str] = Field(default_factory=list, description="Empty: every feature.")
    walk_config: WalkConfig = Field(default_factory=WalkConfig)
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)
    horizon_bars: Int32 | None = Field(default=None, description="Rows the target looks ahead.")
    signal_rules: SignalRules = Field(default_factory=SignalRules)
    device: Literal["", "cpu", "cuda"] = Field(
        default="", description="Empty: what the trainer has."
    )


class NewRun(RunSpec):
    name: Text = ""


class PlannedFold(Answer):
    """Indicator rows and their times, half-open."""

    fold_number: int
    train_start_idx: int
    train_end_idx: int
    test_start_idx: int
    test_end_idx: int
    train_start_ts_ms: int
    train_end_ts_ms: int
    test_start_ts_ms: int
    test_end_ts_ms: int
    fit_end_idx: int = Field(description="The model is fitted to [train_start_idx, fit_end_idx).")
    validation_start_idx: int = Field(description="It is validated up to train_end_idx.")
    samples_train: int
    samples_test: int


class Thresholds(Answer):
    long_percentile: float | None
    short_percentile: float | None
    long_percentile_share: float
    short_percentile_share: float
    long_optimal: float | None
    short_optimal: float | None
    long_optimal_cases: int
    short_optimal_cases: int
    long_optimal_profit_factor: float | None
    short_optimal_profit_factor: float | None


class Fold(PlannedFold):
    """What a fold gave is null until it is stored."""

    stored: bool
    best_iteration: int | None = None
    best_score: float | None = None
    constant_score: float | None = None
    learned_nothing: bool | None = None
    thresholds: Thresholds | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    importances: dict[str, float] = Field(default_factory=dict)
    device: str | None = None
    seconds: float | None = None
    model_sha256: str | None = None
    attempt: int | None = None
    warnings: list[str] = Field(default_factory=list)


class Plan(Answer):
    dataset_id: str
    dataset_slug: str
    version: int
    content_hash: str
    target_column: str
    feature_columns: list[str]
    walk_config: dict[str, Any]
    hyperparameters: dict[str, Any]
    signal_rules: SignalRules
    horizon_bars: int
    fold_count: int
    folds: list[PlannedFold]
    warnings: list[str]
    indicator_rows: int
    predicted_rows: int
    estimated_seconds: float


class Run(Answer):
    run_id: str
    name: str
    dataset_id: str
    dataset_slug: str
    version: int
    content_hash: str
    status: Status
    error: str | None
    target_column: str
    feature_columns: list[str]
    hyperparameters: dict[str, Any]
    walk_config: dict[str, Any]
    signal_rules: SignalRules
    horizon_bars: int
    warnings: list[str]
    summary_metrics: dict[str, Any] = Field(
        description="Of the percentile thresholds, and all pooled figures beside them."
    )
    environment: dict[str, Any]
    fold_count: int
    folds_completed: int
    folds_learned_nothing: int
    attempt: int
    created_at: Iso
    started_at: Iso | None
    completed_at: Iso | None
    duration_ms: int | None


class RunDetail(Run):
    folds: list[Fold]
    links: dict[str, str]


class RunList(Answer):
    runs: list[Run]
    count: int
    next_page_token: str


class FoldList(Answer):
    folds: list[Fold]
    count: int


class RunQuery(Page):
    dataset_id: str = Field(default="", max_length=64, description="UUID or slug.")
    slug: str = Field(default="", max_length=64)
    status: Status | None = None
    target: str = Field(default="", max_length=200)
    text: str = Field(default="", max_length=200, description="Part of name or slug.")


class PredictionsQuery(Asked):
    folds: str = Field(default="", max_length=65536, description="Numbers, separated by commas.")
    start_ts_ms: Milliseconds | None = None
    end_ts_ms: Milliseconds | None = None
    columns: str = Field(default="", max_length=65536, description="Names, separated by commas.")
    format: Literal["csv", "json"] | None = None
