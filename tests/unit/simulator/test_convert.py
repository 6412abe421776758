"""Requests that break a rule are refused with every field named; the rest arrives whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from stage1.runs.v1 import run_pb2
from stage1.runs.v1.simulation_pb2 import SimulationSettings
from stage1.simulator.v1 import simulator_service_pb2 as pb

from services.shared.errors import InvalidRequest
from services.simulator import convert
from services.simulator.domain import Intrabar, Mode, Settings, Threshold
from services.simulator.report import report
from tests.unit.simulator.test_report import simulated
from tests.unit.simulator.test_rules import BUY, IDLE, SELL, bar


def request(**changes: Any) -> pb.SimulateRequest:
    ids: dict[str, Any] = {n: str(uuid4()) for n in ("simulation_id", "run_id", "dataset_id")}
    return pb.SimulateRequest(**({"version": 1, **ids} | changes))


def refused(asked: pb.SimulateRequest) -> set[str]:
    with pytest.raises(InvalidRequest) as caught:
        convert.job(asked)
    return {violation.field for violation in caught.value.violations}


def test_what_is_not_said_takes_its_default() -> None:
    assert convert.job(request()).settings == Settings()


def test_every_setting_arrives() -> None:
    given = SimulationSettings(
        mode=SimulationSettings.MODE_SHORT,
        threshold=SimulationSettings.THRESHOLD_OWN,
        long_threshold=0.0,
        short_threshold=-1.5,
        honor_signal_reversal=False,
        exit_strength=0.0,
        stop_fraction=0.03,
        trailing_stop=True,
        target_fraction=0.05,
        max_holding_bars=6,
        cooldown_bars=2,
        intrabar=SimulationSettings.INTRABAR_TARGET_FIRST,
        flat_between_folds=True,
        fee_bps=5,
        slippage_bps=1,
        notional=500,
        signals_when_learned_nothing=True,
    )
    assert convert.job(request(settings=given)).settings == Settings(
        mode=Mode.SHORT,
        threshold=Threshold.OWN,
        long_threshold=0.0,
        short_threshold=-1.5,
        honor_signal_reversal=False,
        exit_strength=0.0,
        stop_fraction=0.03,
        trailing_stop=True,
        target_fraction=0.05,
        max_holding_bars=6,
        cooldown_bars=2,
        intrabar=Intrabar.TARGET_FIRST,
        flat_between_folds=True,
        fee_bps=5.0,
        slippage_bps=1.0,
        notional=500.0,
        signals_when_learned_nothing=True,
    )


def test_a_threshold_of_zero_is_not_unset() -> None:
    given = pb.FoldThresholds(fold=3, thresholds=run_pb2.Thresholds(long_percentile=0.0))
    fold = convert.job(request(folds=[given])).folds[0]
    assert fold.fold == 3
    assert fold.by_kind[Threshold.PERCENTILE] == (0.0, None)
    assert fold.by_kind[Threshold.OPTIMAL] == (None, None)


@pytest.mark.parametrize(
    ("lazy", "found", "constant"),
    [
        (True, run_pb2.Thresholds(), True),
        (True, run_pb2.Thresholds(long_percentile=0.5, short_percentile=-0.5), False),
        (False, run_pb2.Thresholds(), False),
    ],
)
def test_a_fold_that_learned_nothing_without_percentiles_is_constant(
    lazy: bool, found: run_pb2.Thresholds, constant: bool
) -> None:
    given = pb.FoldThresholds(thresholds=found, learned_nothing=lazy)
    assert convert.job(request(folds=[given])).folds[0].is_constant is constant


def test_every_violation_comes_in_one_answer() -> None:
    broken = SimulationSettings(
        exit_strength=1.5,
        stop_fraction=1.0,
        target_fraction=0.0,
        max_holding_bars=0,
        cooldown_bars=-1,
        fee_bps=-1,
        slippage_bps=1001,
        notional=float("nan"),
    )
    names = [field.name for field, _ in broken.ListFields()]
    fields = refused(request(run_id="seven", version=0, settings=broken))
    assert fields == {"run_id", "version", *(f"settings.{name}" for name in names)}


def test_an_unknown_mode_is_refused() -> None:
    assert refused(request(settings=SimulationSettings(mode=9))) == {"settings.mode"}  # type: ignore[arg-type]


def test_own_thresholds_and_their_kind_belong_together() -> None:
    own = SimulationSettings(threshold=SimulationSettings.THRESHOLD_OWN)
    assert refused(request(settings=own)) == {"settings.threshold"}
    unasked = SimulationSettings(long_threshold=1.0)
    assert refused(request(settings=unasked)) == {"settings.threshold"}


def test_a_trailing_stop_needs_its_distance() -> None:
    trailing = SimulationSettings(trailing_stop=True)
    assert refused(request(settings=trailing)) == {"settings.trailing_stop"}


def test_folds_come_once_with_thresholds_that_are_numbers() -> None:
    nan = run_pb2.Thresholds(short_optimal=float("nan"))
    folds = [
        pb.FoldThresholds(fold=1),
        pb.FoldThresholds(fold=1),
        pb.FoldThresholds(thresholds=nan),
    ]
    assert refused(request(folds=folds)) == {"folds[1].fold", "folds[2].thresholds.short_optimal"}


def test_the_result_carries_every_figure_and_leaves_out_what_is_not_defined() -> None:
    r = report(simulated([BUY, SELL, bar(110), IDLE], Settings()), 6000.0)
    result = convert.result(r)
    assert result.all.trades == 2
    assert result.all.sharpe == pytest.approx(r.all.sharpe)
    assert result.long_only.profit_factor_is_infinite
    assert not result.long_only.HasField("profit_factor")
    assert result.buckets[0].exit_reasons == {"reversal": 1}
    assert list(result.warnings) == list(r.warnings)
    assert convert.result(replace(r, n_unfilled=1)).n_unfilled == 1
