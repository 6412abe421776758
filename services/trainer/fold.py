"""One fold from rows to result. Nothing here looks at the test window before the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from services.shared.evaluation import FittedRows, FoldEvaluation, FoldRows, evaluate
from services.trainer import engine, scores, thresholds
from services.trainer.domain import (
    MIN_ROWS,
    Device,
    Floats,
    Fold,
    Progress,
    Recipe,
    Refused,
    TrainedFold,
    Window,
)
from services.trainer.engine import Examples, Matrix, Model
from services.trainer.transform import Transform

CELLS_PER_THREAD: Final = 100_000


class Rows(Protocol):
    def rows(self, start: int, end: int) -> tuple[Matrix, Floats]:
        """Features by row, and targets, NaN where not known."""


def train_fold(
    fold: Fold,
    rows: Rows,
    recipe: Recipe,
    *,
    device: Device,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> TrainedFold:
    """Raises Refused for what no retry can train; `on_progress` may raise to end it."""
    fit = _known(rows, fold.fit, "fitted", fold)
    validation = _known(rows, fold.validation, "validation", fold)
    if np.ptp(fit.target) == 0:
        raise Refused(f"Fold {fold.number}: the target is constant in the fitted part.")
    learner = recipe.learner
    transform = Transform.fitted(learner.transform, k=learner.tanh_k, target=fit.target)

    def on_round(done: int, train_score: float, validation_score: float) -> None:
        on_progress(
            Progress(
                fold=fold.number,
                round=done,
                rounds=learner.num_boost_round,
                train_score=train_score,
                validation_score=validation_score,
            )
        )

    model = engine.train(
        _learnable(fit, transform),
        _learnable(validation, transform),
        names=recipe.features,
        learner=learner,
        given=engine.parameters(learner, device=device, threads=_useful(threads, fit)),
        on_round=on_round,
    )
    return _judge(fold, rows, recipe, model, transform, fit, validation, device)


def _useful(threads: int, fit: Examples) -> int:
    """Small trees are built faster by fewer threads, by far where others want the CPUs too."""
    return max(1, min(threads, fit.features.size // CELLS_PER_THREAD))


def _judge(
    fold: Fold,
    rows: Rows,
    recipe: Recipe,
    model: Model,
    transform: Transform,
    fit: Examples,
    validation: Examples,
    device: Device,
) -> TrainedFold:
    learned = model.predict(validation.features)
    best = scores.rmse(transform.apply(validation.target), learned)
    constant = scores.constant_score(
        transform.apply(fit.target), transform.apply(validation.target)
    )
    predicted = transform.inverse(learned)
    is_constant = bool(np.ptp(predicted) == 0)  # it may beat the fitted part's mean, by luck
    nothing = is_constant or scores.learned_nothing(best, constant)
    found = thresholds.from_validation(predicted, validation.target)
    features, target = rows.rows(fold.test.start, fold.test.end)
    test = FoldRows(
        bar_index=np.arange(fold.test.start, fold.test.end),
        prediction=transform.inverse(model.predict(features)),
        target=target,
        thresholds=thresholds.pairs(found, recipe.own),
        fitted_mean=float(fit.target.mean()),
        gives_signals=not nothing or (recipe.signals_when_learned_nothing and not is_constant),
    )
    fitted = FittedRows(transform.inverse(model.predict(fit.features)), fit.target)
    return TrainedFold(
        fold=fold.number,
        best_iteration=model.best_iteration,
        best_score=best,
        constant_score=constant,
        learned_nothing=nothing,
        thresholds=found,
        evaluation=_evaluated(test, fitted, is_constant=is_constant),
        importances=model.importances,
        device=device,
        fit_rows=fit.target.size,
        validation_rows=validation.target.size,
        fit_target_mean=test.fitted_mean,
        warnings=tuple(thresholds.warnings(found, recipe.own)),
        prediction=test.prediction,
        target=np.array(target),
        model=model.as_bytes(),
    )


def _evaluated(test: FoldRows, fitted: FittedRows, *, is_constant: bool) -> FoldEvaluation:
    """A model that says the same of every validation row has no correlation to speak of."""
    evaluation = evaluate(test, fitted)
    if not is_constant:
        return evaluation
    errors = replace(evaluation.errors, pearson=None, spearman=None)
    return replace(evaluation, errors=errors)


def _known(rows: Rows, window: Window, part: str, fold: Fold) -> Examples:
    """The rows to learn from: those with a target."""
    features, target = rows.rows(window.start, window.end)
    known = ~np.isnan(target)
    if known.sum() < MIN_ROWS:
        raise Refused(
            f"Fold {fold.number} has {known.sum()} {part} rows with a target: "
            f"at least {MIN_ROWS} are needed."
        )
    if known.all():
        return Examples(features=features, target=target)
    return Examples(features=features[known], target=target[known])


def _learnable(examples: Examples, transform: Transform) -> Examples:
    target = transform.apply(examples.target)
    if np.abs(target).max() > np.finfo(np.float32).max:
        raise Refused("The target holds numbers beyond float32, which XGBoost learns.")
    return replace(examples, target=target)
