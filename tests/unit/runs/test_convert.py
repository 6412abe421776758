from __future__ import annotations

import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage1.runs.v1 import plan_pb2, run_pb2, simulation_pb2
from stage1.runs.v1 import run_service_pb2 as pb
from stage1.runs.v1 import simulation_service_pb2 as simulations_pb

from services.runs.clients import messages
from services.runs.convert import runs as convert
from services.runs.convert import simulations as convert_simulations
from services.runs.convert.checks import Checks, fitting, page_token
from services.runs.domain.folds import FoldResult, Thresholds
from services.runs.domain.plan import Windows
from services.runs.domain.simulations import Settings
from services.runs.storage.protocol import Page
from services.shared.errors import InvalidRequest
from services.shared.learner import TANH_K_BOUNDS
from tests.contract.run_examples import BUCKET, RESULT

finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
thresholds = st.builds(
    Thresholds,
    long_percentile=maybe,
    short_percentile=maybe,
    long_percentile_share=finite,
    long_optimal=maybe,
    short_optimal=maybe,
    long_optimal_cases=st.integers(0, 10**9),
    long_optimal_profit_factor=maybe,
)
settings = st.builds(
    Settings,
    stop_fraction=maybe,
    exit_strength=maybe,
    target_fraction=maybe,
    max_holding_bars=st.none() | st.integers(1, 10**6),
    fee_bps=finite,
    honor_signal_reversal=st.booleans(),
)


@given(thresholds, st.booleans())
def test_a_fold_result_comes_back_from_the_wire_as_it_was(
    found: Thresholds, learned_nothing: bool
) -> None:
    result = FoldResult(**vars(RESULT) | {"thresholds": found, "learned_nothing": learned_nothing})
    raw = messages.fold_result(result).SerializeToString()
    assert messages.fold_result_from(run_pb2.FoldResult.FromString(raw)) == result


@given(settings)
def test_settings_left_unset_stay_unset(chosen: Settings) -> None:
    message = messages.settings(chosen)
    assert message.HasField("stop_fraction") == (chosen.stop_fraction is not None)
    assert message.max_holding_bars == (chosen.max_holding_bars or 0)
    assert message.honor_signal_reversal == chosen.honor_signal_reversal


def test_the_result_of_a_simulation_comes_back_from_the_store_as_it_was() -> None:
    message = simulation_pb2.SimulationResult(
        all=simulation_pb2.PerformanceMetrics(trades=2**40, sharpe=1.25),
        buckets=[simulation_pb2.TradeBucket(**vars(BUCKET))],
        bars=7,
        insolvent=True,
    )
    result = messages.simulation_result_from(message)
    assert result.buckets == (BUCKET,)
    again = messages.simulation_result(result)
    assert (again.all, again.buckets, again.bars) == (message.all, message.buckets, 7)
    assert not again.all.HasField("sortino")


def test_an_empty_spec_takes_every_default() -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="btc_4h_v1"))
    spec = convert.planned_spec(request)
    assert spec.windows == Windows()
    assert (spec.windows.train_size, spec.windows.test_size) == (10_000, 200)
    assert (spec.windows.train_test_gap, spec.windows.fold_step) == (9, 200)
    assert (spec.target, spec.features, spec.horizon_bars) == ("", (), None)


def test_zero_given_is_not_the_default() -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d", horizon_bars=0))
    request.spec.walk_forward.train_test_gap = 0
    request.spec.learner.min_boost_rounds = 0
    request.spec.signal_rules.own_long_threshold = 0.0
    spec = convert.planned_spec(request)
    assert (spec.windows.train_test_gap, spec.horizon_bars) == (0, 0)
    assert spec.learner.min_boost_rounds == 0
    assert spec.signal_rules.own_long_threshold == 0.0
    assert spec.signal_rules.own_short_threshold is None


def test_parameters_are_added_to_the_defaults() -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.parameters["max_depth"] = "6"
    request.spec.learner.parameters["gamma"] = "0.5"
    parameters = convert.planned_spec(request).learner.parameters
    assert (parameters["max_depth"], parameters["min_split_loss"]) == ("6", "0.5")
    assert parameters["learning_rate"] == "0.01"


def test_a_parameter_by_its_other_name_takes_the_place_of_the_default() -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.parameters["eta"] = "0.3"
    parameters = convert.planned_spec(request).learner.parameters
    assert parameters["learning_rate"] == "0.3"
    assert "eta" not in parameters


def test_a_parameter_given_by_both_its_names_is_refused() -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.parameters.update({"eta": "0.3", "learning_rate": "0.2"})
    with pytest.raises(InvalidRequest, match="learning_rate by another name"):
        convert.planned_spec(request)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("booster", "dart"),
        *((name, "1") for name in ("verbosity", "validate_parameters", "eval_metric")),
        *((name, "1") for name in ("disable_default_eval_metric", "seed", "n_jobs", "device")),
    ],
)
def test_a_parameter_that_every_trainer_refuses_is_refused_by_the_plan(
    name: str, value: str
) -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.parameters[name] = value
    with pytest.raises(InvalidRequest) as caught:
        convert.planned_spec(request)
    assert [v.field for v in caught.value.violations] == [f"spec.learner.parameters.{name}"]


@pytest.mark.parametrize("k", [0.0, -1.0, 9e-7, 100.5, float("inf")])
def test_a_tanh_k_that_every_trainer_refuses_is_refused_by_the_plan(k: float) -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.tanh_k = k
    with pytest.raises(InvalidRequest) as caught:
        convert.planned_spec(request)
    assert [v.field for v in caught.value.violations] == ["spec.learner.tanh_k"]
    for bound in TANH_K_BOUNDS:
        request.spec.learner.tanh_k = bound
        assert convert.planned_spec(request).learner.tanh_k == bound


@pytest.mark.parametrize("ratio", ["0", "1", "-0.5", "NaN", "Infinity", "four fifths"])
def test_a_split_that_is_no_fraction_is_refused(ratio: str) -> None:
    request = pb.PlanRunRequest(spec=plan_pb2.RunSpec(dataset="d"))
    request.spec.learner.val_split_ratio = ratio
    with pytest.raises(InvalidRequest) as caught:
        convert.planned_spec(request)
    assert [v.field for v in caught.value.violations] == ["spec.learner.val_split_ratio"]


def test_the_order_of_parameters_does_not_make_another_request() -> None:
    one, other = (
        pb.CreateRunRequest(idempotency_key="k", spec=plan_pb2.RunSpec(dataset="d"))
        for _ in range(2)
    )
    for request, names in ((one, ("alpha", "gamma")), (other, ("gamma", "alpha"))):
        for name in names:
            request.spec.learner.parameters[name] = "1"
    assert convert.creation(one)[2] == convert.creation(other)[2]
    other.name = "Another"
    assert convert.creation(one)[2] != convert.creation(other)[2]


def test_an_empty_simulation_takes_every_default() -> None:
    request = simulations_pb.CreateSimulationRequest(run_id=str(uuid4()))
    _, chosen, once = convert_simulations.creation(request)
    assert (chosen, once) == (Settings(), None)


@given(st.integers(-(10**12), 10**13), st.uuids())
def test_a_page_token_leads_back_to_its_place(at_ms: int, item: UUID) -> None:
    token = page_token(Page(size=1), [(at_ms, item)], 1)
    assert Checks().page(0, token, 0) == Page(size=50, after=(at_ms, item))


@given(st.text(max_size=40))
def test_any_other_token_is_refused_or_read(token: str) -> None:
    checks = Checks()
    checks.page(0, token, 0)
    refused: list[str] = []
    try:
        checks.done()
    except InvalidRequest as error:
        refused = [v.field for v in error.violations]
    assert refused in ([], ["page_token"])


@pytest.mark.parametrize("ms", ["9" * 17, "-" + "9" * 17, "9" * 5000, str(2**63)])
def test_a_token_of_no_time_there_is_is_refused(ms: str) -> None:
    token = base64.urlsafe_b64encode(f"{ms}:{UUID(int=0)}".encode()).decode()
    checks = Checks()
    checks.page(0, token, 0)
    with pytest.raises(InvalidRequest) as caught:
        checks.done()
    assert [v.field for v in caught.value.violations] == ["page_token"]


def test_text_that_no_database_takes_is_refused_wherever_it_stands() -> None:
    bad = "a\0b"
    asked = plan_pb2.RunSpec(dataset=bad, target_column=bad, feature_columns=["RSI", bad])
    asked.learner.parameters[bad] = "1"
    asked.learner.parameters["gamma"] = bad
    with pytest.raises(InvalidRequest) as caught:
        convert.creation(pb.CreateRunRequest(idempotency_key=bad, name=bad, spec=asked))
    assert [v.field for v in caught.value.violations] == [
        *("spec.dataset", "spec.target_column", "spec.feature_columns"),
        *["spec.learner.parameters"] * 2,
        *("name", "idempotency_key"),
    ]
    with pytest.raises(InvalidRequest) as caught:
        convert.listing(pb.ListRunsRequest(dataset_slug=bad, target_column=bad, text=bad))
    assert [v.field for v in caught.value.violations] == ["dataset_slug", "target_column", "text"]


def test_a_column_named_more_than_once_is_told_once() -> None:
    columns = ["fold", "fold", "x", "fold", "x"]
    with pytest.raises(InvalidRequest) as caught:
        convert.wanted_predictions(pb.ReadPredictionsRequest(columns=columns))
    told = [v.message for v in caught.value.violations]
    assert told[0] == "name 'fold' more than once"
    assert told[1].startswith("name 'x'; there are")
    assert len(told) == 3


def test_a_page_that_would_not_fit_is_cut_and_goes_on_after_the_cut() -> None:
    big = run_pb2.Log(text="x" * (1 << 20))
    taken = fitting([big] * 5)
    assert len(taken) == 2
    keys = [(n, UUID(int=n)) for n in range(5)]
    assert Checks().page(0, page_token(Page(size=5), keys, 2), 0).after == keys[1]
    assert len(fitting([run_pb2.Log(text="x" * (4 << 20))])) == 1
    assert page_token(Page(size=6), keys, 5) == ""
