from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runs.domain.folds import refuse_misfit
from services.runs.domain.runs import Learner, Run, RunFinished
from services.runs.domain.simulations import Settings, simulate
from services.runs.domain.states import Lease, State
from services.runs.domain.trials import run_outcome, simulation_outcome
from services.runs.domain.workers import refuse_stranger
from services.shared.errors import Conflict, DataLoss
from tests.contract.run_examples import NOW, RESULT, a_run


def running() -> Run:
    run = a_run()
    lease = Lease(worker_id=UUID(int=1), until_ms=NOW + 1)
    return replace(run, progression=run.progression.claim(lease, NOW))


def in_state(state: State) -> Run:
    run = a_run()
    return replace(run, progression=replace(run.progression, state=state))


@given(st.sampled_from([State.COMPLETED, State.FAILED]))
def test_a_run_that_has_ended_cannot_be_cancelled(state: State) -> None:
    with pytest.raises(RunFinished):
        in_state(state).cancel(NOW)


def test_a_stored_fold_counts_and_one_that_learned_nothing_twice() -> None:
    run = running().add_fold(1, RESULT)
    assert (run.folds_completed, run.folds_learned_nothing) == (1, 1)
    assert run.add_fold(1, replace(RESULT, learned_nothing=False)).folds_learned_nothing == 1


def test_a_run_is_complete_with_its_last_fold_only() -> None:
    run = running()
    for _ in range(run.fold_count):
        with pytest.raises(Conflict, match="it is not complete"):
            run.complete(1, {}, NOW)
        run = run.add_fold(1, RESULT)
    assert run.complete(1, {}, NOW).state is State.COMPLETED


def test_a_run_that_is_under_way_is_neither_deleted_nor_simulated() -> None:
    with pytest.raises(Conflict, match="wait until it ends, or cancel it"):
        running().refuse_unfinished()
    with pytest.raises(Conflict):
        simulate(running(), uuid4(), Settings(), NOW)


@given(st.sampled_from([State.COMPLETED, State.FAILED, State.CANCELLED]))
def test_a_run_that_ended_with_folds_can_be_simulated(state: State) -> None:
    simulation = simulate(replace(in_state(state), folds_completed=1), uuid4(), Settings(), NOW)
    assert simulation.state is State.QUEUED
    assert simulation.table("trades").endswith(f"_sim_{simulation.simulation_id.hex}_trades_a0")


def test_predictions_of_exactly_the_test_window_fit() -> None:
    [fold, *_] = a_run().plan.folds
    rows, times = fold.test.rows, fold.test.times_ms
    bars = np.arange(rows.start, rows.end)
    at = np.linspace(times.start, times.end - 1, bars.size).astype(np.int64)
    refuse_misfit(fold, bars, at)
    for wrong_bars, wrong_at in (
        (bars[:-1], at[:-1]),
        (bars + 1, at),
        (bars[::-1], at),
        (bars, at + 1),
        (bars[:0], at[:0]),
    ):
        with pytest.raises(DataLoss):
            refuse_misfit(fold, wrong_bars, wrong_at)


def test_defaults_of_the_learner_are_those_of_the_domain() -> None:
    learner = Learner()
    assert (learner.num_boost_round, learner.early_stopping_rounds) == (2000, 50)
    assert (learner.min_boost_rounds, learner.seed, learner.tanh_k) == (100, 43, 0.5)
    assert learner.parameters == {
        "learning_rate": "0.01",
        "max_depth": "4",
        "min_child_weight": "10",
        "subsample": "0.8",
        "colsample_bytree": "0.7",
        "reg_lambda": "2",
        "tree_method": "hist",
        "max_bin": "256",
        "objective": "reg:squarederror",
    }


def test_the_sharpe_of_a_run_is_that_of_its_pooled_dual_percentile_signals() -> None:
    dual = {"mean": 0.2, "std": 0.8, "n_signals": 40.0}
    outcome = run_outcome(
        uuid4(), State.COMPLETED, {"signals": {"percentile": {"dual": dual}}}, NOW
    )
    assert (outcome.sharpe_per_period, outcome.observations) == (0.25, 40)
    nothing = run_outcome(uuid4(), State.FAILED, {"signals": {}}, NOW)
    assert (nothing.sharpe_per_period, nothing.observations) == (None, 0)


def test_the_sharpe_of_a_simulation_is_taken_back_to_one_bar() -> None:
    metrics = {"all": {"sharpe": 2.0}, "bars_per_year": 10_000.0, "bars": "500"}
    outcome = simulation_outcome(uuid4(), State.COMPLETED, metrics, NOW)
    assert outcome.sharpe_per_period == pytest.approx(0.02)
    assert outcome.observations == 500
    assert simulation_outcome(uuid4(), State.FAILED, None, NOW).sharpe_per_period is None


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "trainer:7403"])
def test_listed_hosts_may_be_dialled(address: str) -> None:
    refuse_stranger(address, ["127.0.0.0/8", "::1", "trainer"])


@pytest.mark.parametrize("address", ["10.0.0.1:1", "trainer.evil:1", "[::2]:1", "localhost:1"])
def test_other_hosts_may_not(address: str) -> None:
    with pytest.raises(Conflict):
        refuse_stranger(address, ["127.0.0.0/8", "::1", "trainer"])
