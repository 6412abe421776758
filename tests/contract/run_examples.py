"""Runs, folds, workers and simulations for whoever tests with them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

from services.runs.domain.columns import DatasetVersion
from services.runs.domain.feasibility import make_folds
from services.runs.domain.folds import FoldResult, Thresholds
from services.runs.domain.plan import (
    Caution,
    Facts,
    Windows,
    boundary_rows,
    with_times,
)
from services.runs.domain.runs import Learner, Plan, Run, SignalRules
from services.runs.domain.simulations import Bucket, Settings, Simulation, Threshold
from services.runs.domain.states import Lease, Progression
from services.runs.domain.workers import Kind, Worker
from services.runs.storage.protocol import Store

NOW = 1_700_000_000_123
HOUR = 3_600_000
RESULT = FoldResult(
    best_iteration=12,
    best_score=0.75,
    constant_score=0.8,
    learned_nothing=True,
    thresholds=Thresholds(long_percentile=0.2, short_percentile=0.0, long_percentile_share=0.05),
    metrics={"errors": {"rmse": 1.5, "r2": None}},
    importances={"RSI": 3.5},
    device="cpu",
    seconds=0.25,
    fit_rows=480,
    validation_rows=111,
    test_rows=50,
    fit_target_mean=-0.01,
    warnings=("Few distinct predictions.",),
    model_sha256="ab" * 32,
    attempt=1,
)
BUCKET = Bucket(
    side="long",
    trades=3,
    wins=2,
    losses=1,
    pnl=12.5,
    mean_return=0.01,
    median_return=0.02,
    best_return=0.03,
    worst_return=-0.02,
    mean_bars_held=4.5,
    mean_mae=0.01,
    mean_mfe=0.02,
    exit_reasons={"signal": 2, "stop": 1},
)


def a_plan(slug: str = "eurusd_1h") -> Plan:
    facts = Facts(rows=1000, lookback_rows=20, lookahead_rows=6, bar_interval_ms=HOUR)
    windows = Windows(train_size=600, test_size=50, fold_step=50, fit_share=Decimal("0.8"))
    folds = make_folds(windows, facts)
    times = {row: row * HOUR for row in boundary_rows(folds)}
    return Plan(
        dataset=DatasetVersion(
            dataset_id=uuid4(), slug=slug, version=2, content_hash="cd" * 32, facts=facts
        ),
        target="TGT",
        features=("RSI", "ADX"),
        horizon_bars=6,
        windows=windows,
        learner=Learner(parameters={"max_depth": "3"}),
        signal_rules=SignalRules(own_long_threshold=0.0),
        cautions=(Caution("HORIZON_ASSUMED", "Six bars are assumed."),),
        predicted_rows=300,
        estimated_seconds=1.5,
        folds=with_times(folds, times, HOUR),
    )


def a_run(*, created_at_ms: int = NOW, name: str = "", slug: str = "eurusd_1h") -> Run:
    plan = a_plan(slug)
    return Run(
        run_id=uuid4(),
        name=name,
        plan=plan,
        device="",
        fold_count=len(plan.folds),
        progression=Progression(created_at_ms=created_at_ms),
    )


def a_simulation(run: Run) -> Simulation:
    return Simulation(
        simulation_id=uuid4(),
        run_id=run.run_id,
        dataset_id=run.plan.dataset.dataset_id,
        dataset_slug=run.plan.dataset.slug,
        version=2,
        settings=Settings(threshold=Threshold.OWN, long_threshold=0.0, stop_fraction=0.03),
        progression=Progression(created_at_ms=NOW),
    )


def a_worker(kind: Kind = Kind.TRAINER, *, device: str = "cpu", slots: int = 1) -> Worker:
    return Worker(
        worker_id=uuid4(),
        kind=kind,
        address="127.0.0.1:5000",
        device=device,
        memory_bytes=1 << 30,
        slots=slots,
        versions={"xgboost": "3.2.0"},
        last_seen_ms=NOW,
    )


def without_folds(run: Run) -> Run:
    return replace(run, plan=replace(run.plan, folds=()))


def lease(until_ms: int = NOW + 30_000, worker: UUID | None = None) -> Lease:
    return Lease(worker_id=worker or uuid4(), until_ms=until_ms)


async def added(store: Store, run: Run | None = None) -> Run:
    run = run or a_run()
    async with store.transaction() as tx:
        await tx.runs.add(run)
    return run


async def added_simulation(store: Store) -> Simulation:
    simulation = a_simulation(await added(store))
    async with store.transaction() as tx:
        await tx.simulations.add(simulation)
    return simulation
