from __future__ import annotations

import pytest
from pydantic import ValidationError
from stage1.runs.v1 import plan_pb2, run_pb2, simulation_pb2

from gateway.http.schemas.runs import NewRun
from gateway.http.schemas.simulations import SimulationSettings
from gateway.http.shapes import runs, simulations


def test_a_spec_carries_what_is_given_and_leaves_the_rest_to_its_default() -> None:
    asked = NewRun.model_validate(
        {
            "dataset": "eurusd_1h",
            "walk_config": {"train_size": 1500, "start_fold": 0},
            "hyperparameters": {"seed": 7, "val_split_ratio": 0.7, "eta": 0.05, "booster": "dart"},
        }
    )
    spec = runs.spec(asked)
    assert spec.walk_forward == plan_pb2.WalkForward(train_size=1500, start_fold=0)
    assert spec.learner.val_split_ratio == "0.7"
    assert dict(spec.learner.parameters) == {"eta": "0.05", "booster": "dart"}
    assert not spec.learner.HasField("num_boost_round")
    assert not spec.HasField("horizon_bars")


@pytest.mark.parametrize("fraction", [1e-15, 1 - 1e-15])
def test_a_stop_that_rounds_to_a_bound_is_still_shown(fraction: float) -> None:
    settings = simulation_pb2.SimulationSettings(stop_fraction=fraction)
    queued = simulation_pb2.Simulation(
        state=simulation_pb2.Simulation.STATE_QUEUED, settings=settings
    )
    shown = simulations.simulation(queued).settings
    assert shown.stop_pct in {0, 100}


def test_a_parameter_of_more_than_64_bits_is_handed_on() -> None:
    asked = NewRun.model_validate(
        {"dataset": "a", "hyperparameters": {"eta": 10**30, "dart": True}}
    )
    parameters = runs.spec(asked).learner.parameters
    assert dict(parameters) == {"eta": "1" + "0" * 30, "dart": "true"}


def test_a_parameter_that_is_no_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="eta"):
        NewRun.model_validate({"dataset": "a", "hyperparameters": {"eta": {"x": 1}}})


def test_a_fold_that_is_not_stored_has_its_windows_and_nulls() -> None:
    window = plan_pb2.Window(start_index=0, end_index=1500, start_ts_ms=5, end_ts_ms=6)
    test = plan_pb2.Window(start_index=1509, end_index=1609)
    fold = runs.fold(run_pb2.Fold(planned=plan_pb2.PlannedFold(fold=3, train=window, test=test)))
    assert (fold.fold_number, fold.train_start_idx, fold.test_end_idx) == (3, 0, 1609)
    assert (fold.samples_train, fold.samples_test) == (1500, 100)
    assert (fold.stored, fold.best_score, fold.thresholds) == (False, None, None)


def test_a_threshold_of_zero_is_a_threshold_and_a_missing_one_is_null() -> None:
    result = run_pb2.FoldResult(thresholds=run_pb2.Thresholds(long_percentile=0.0))
    fold = runs.fold(run_pb2.Fold(result=result))
    assert fold.thresholds is not None
    assert fold.thresholds.long_percentile == 0.0
    assert fold.thresholds.short_percentile is None
    assert fold.thresholds.long_optimal_cases == 0


def test_a_summary_has_the_flat_figures_of_the_percentile_thresholds() -> None:
    run = run_pb2.Run(state=run_pb2.Run.STATE_COMPLETED, created_at_ms=0)
    side = {"hit_rate": 0.5, "profit_factor": 1.5}
    run.summary_metrics.update(
        {"n_folds": 45, "signals": {"percentile": {"long": side, "dual": {"hit_rate": None}}}}
    )
    summary = runs.run(run).summary_metrics
    assert (summary["folds"], summary["hit_rate_long"], summary["pf_long"]) == (45, 0.5, 1.5)
    assert (summary["hit_rate_overall"], summary["pf_short"]) == (None, None)
    assert summary["signals"]["percentile"]["long"] == side


def test_a_duration_is_known_when_both_ends_are() -> None:
    run = run_pb2.Run(state=run_pb2.Run.STATE_RUNNING, created_at_ms=0, started_at_ms=1000)
    assert runs.run(run).duration_ms is None
    run.completed_at_ms = 3500
    assert runs.run(run).duration_ms == 2500


def test_settings_in_percent_become_fractions_and_come_back() -> None:
    asked = SimulationSettings(mode="long", stop_pct=3.0, target_pct=7.0, fee_bps=0.0)
    proto = simulations.settings(asked)
    assert proto.stop_fraction == pytest.approx(0.03)
    assert proto.HasField("fee_bps")
    assert not proto.HasField("notional")
    queued = simulation_pb2.Simulation(settings=proto, state=simulation_pb2.Simulation.STATE_QUEUED)
    assert simulations.simulation(queued).settings == asked
