"""What is asked of a run, and its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stage1.runs.v1 import plan_pb2

from services.runs.clients import messages
from services.runs.convert.checks import MAX_NAME, Checks
from services.runs.domain.plan import Windows
from services.runs.domain.runs import (
    Learner,
    Plan,
    RunSpec,
    SignalRules,
    TargetTransform,
)
from services.shared.learner import BOUNDS, TANH_K_BOUNDS, refusals, with_defaults

_WALK: Final = "spec.walk_forward"
_LEARNER: Final = "spec.learner"
_MOST_ROWS: Final = 2**31 - 1
_MOST_PARAMETER: Final = 1000  # interaction_constraints can be long
_DEVICES: Final = ("", "cpu", "cuda")
_TRANSFORMS: Final = {
    plan_pb2.Learner.TARGET_TRANSFORM_UNSPECIFIED: TargetTransform.NONE,
    plan_pb2.Learner.TARGET_TRANSFORM_NONE: TargetTransform.NONE,
    plan_pb2.Learner.TARGET_TRANSFORM_STANDARDIZE: TargetTransform.STANDARDIZE,
    plan_pb2.Learner.TARGET_TRANSFORM_TANH: TargetTransform.TANH,
}


def spec_from(message: plan_pb2.RunSpec, checks: Checks) -> RunSpec:
    if not message.dataset:
        checks.refuse("spec.dataset", "is missing")
    if message.device not in _DEVICES:
        checks.refuse("spec.device", f"is {message.device!r}, and may be cpu, cuda or empty")
    horizon = None
    if message.HasField("horizon_bars"):
        horizon = checks.between("spec.horizon_bars", message.horizon_bars, 0, 100_000)
    return RunSpec(
        dataset=checks.text("spec.dataset", message.dataset, 64),
        version=checks.between("spec.version", message.version, 0, _MOST_ROWS),
        target=checks.text("spec.target_column", message.target_column, MAX_NAME),
        features=tuple(
            checks.text("spec.feature_columns", name, MAX_NAME) for name in message.feature_columns
        ),
        windows=_windows(message, checks),
        learner=_learner(message.learner, checks),
        signal_rules=_rules(message.signal_rules, checks),
        horizon_bars=horizon,
        device=message.device,
    )


def _windows(message: plan_pb2.RunSpec, checks: Checks) -> Windows:
    walk, given = message.walk_forward, {}
    lowest = {"train_size": 1, "test_size": 1, "fold_step": 1}
    for name in (
        *("train_size", "test_size", "train_test_gap", "fold_step"),
        *("initial_offset", "start_fold", "end_fold"),
    ):
        if walk.HasField(name):
            low = lowest.get(name, 0)
            given[name] = checks.between(f"{_WALK}.{name}", getattr(walk, name), low, _MOST_ROWS)
    if walk.HasField("end_fold") and walk.end_fold <= walk.start_fold:
        checks.refuse(
            f"{_WALK}.end_fold",
            f"is {walk.end_fold}, and must lie above start_fold, which is {walk.start_fold}",
        )
    share = checks.decimal(f"{_LEARNER}.val_split_ratio", message.learner.val_split_ratio, "0.8")
    return Windows(**given, strict=walk.strict, fit_share=share)


def _learner(message: plan_pb2.Learner, checks: Checks) -> Learner:
    given: dict[str, Any] = {
        name: checks.between(f"{_LEARNER}.{name}", value, *BOUNDS[name])
        for name, value in messages.unset_as_none(message, list(BOUNDS)).items()
        if value is not None
    }
    if message.HasField("tanh_k"):
        given["tanh_k"] = checks.number(f"{_LEARNER}.tanh_k", message.tanh_k, *TANH_K_BOUNDS)
    if message.target_transform not in _TRANSFORMS:
        checks.refuse(
            f"{_LEARNER}.target_transform", f"is {message.target_transform}, no transform"
        )
    return Learner(
        **given,
        target_transform=_TRANSFORMS.get(message.target_transform, TargetTransform.NONE),
        parameters=_parameters(message.parameters, checks),
    )


def _parameters(given: Mapping[str, str], checks: Checks) -> dict[str, str]:
    """With the defaults filled in; XGBoost itself judges the rest."""
    for text in (text for item in given.items() for text in item):
        checks.text(f"{_LEARNER}.parameters", text, _MOST_PARAMETER)
    for name, why in refusals(given):
        checks.refuse(f"{_LEARNER}.parameters.{name}", why)
    return with_defaults(given)


def _rules(message: plan_pb2.SignalRules, checks: Checks) -> SignalRules:
    for name in ("own_long_threshold", "own_short_threshold"):
        checks.number(f"spec.signal_rules.{name}", getattr(message, name))
    names = [f.name for f in message.DESCRIPTOR.fields]
    return SignalRules(**messages.unset_as_none(message, names))


def plan(plan: Plan) -> plan_pb2.Plan:
    windows = plan.windows
    return plan_pb2.Plan(
        dataset_id=str(plan.dataset.dataset_id),
        dataset_slug=plan.dataset.slug,
        version=plan.dataset.version,
        content_hash=plan.dataset.content_hash,
        target_column=plan.target,
        feature_columns=plan.features,
        walk_forward=plan_pb2.WalkForward(
            train_size=windows.train_size,
            test_size=windows.test_size,
            train_test_gap=windows.train_test_gap,
            fold_step=windows.fold_step,
            initial_offset=windows.initial_offset,
            start_fold=windows.start_fold,
            end_fold=windows.end_fold,
            strict=windows.strict,
        ),
        learner=messages.learner(plan.learner, windows),
        horizon_bars=plan.horizon_bars,
        folds=[messages.planned_fold(fold) for fold in plan.folds],
        warnings=[caution.message for caution in plan.cautions],
        indicator_rows=plan.dataset.facts.rows,
        predicted_rows=plan.predicted_rows,
        estimated_seconds=plan.estimated_seconds,
        signal_rules=plan_pb2.SignalRules(**vars(plan.signal_rules)),
    )
