"""One fold from rows to result. Nothing here looks at the test window before the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    Thresholds,
    TrainedFold,
    Window,
)
from services.trainer.engine import Examples, Matrix, Model
from services.trainer.transform import Transform

CELLS_PER_THREAD: Final = 100_000


class Rows(Protocol):
    def rows(self, start: int, end: int) -> tuple[Matrix, Floats]:
        """Features by row, and targets, NaN where not known."""


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """A model, and the rows that made it."""

    model: Model
    transform: Transform
    fit: Examples
    validation: Examples

    def predict(self, features: Matrix) -> Floats:
        """On the scale of the target."""
        return self.transform.inverse(self.model.predict(features))


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """What the validation tail says of a model."""

    best_score: float
    constant_score: float
    is_constant: bool
    thresholds: Thresholds

    @property
    def learned_nothing(self) -> bool:
        """A constant may beat the fitted part's mean, by luck."""
        return self.is_constant or scores.learned_nothing(self.best_score, self.constant_score)


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
    learned = _learned(fold, rows, recipe, device, threads, on_progress)
    verdict = _verdict(learned)
    test = _tested(fold, rows, recipe, learned, verdict)
    return TrainedFold(
        fold=fold.number,
        best_iteration=learned.model.best_iteration,
        best_score=verdict.best_score,
        constant_score=verdict.constant_score,
        learned_nothing=verdict.learned_nothing,
        thresholds=verdict.thresholds,
        evaluation=_evaluated(test, learned, is_constant=verdict.is_constant),
        importances=learned.model.importances,
        device=device,
        fit_rows=learned.fit.target.size,
        validation_rows=learned.validation.target.size,
        fit_target_mean=test.fitted_mean,
        warnings=tuple(thresholds.warnings(verdict.thresholds, recipe.own)),
        prediction=test.prediction,
        target=np.array(test.target),
        model=learned.model.as_bytes(),
    )


def _learned(
    fold: Fold,
    rows: Rows,
    recipe: Recipe,
    device: Device,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> _Learned:
    fit = _known(rows, fold.fit, "fitted", fold)
    validation = _known(rows, fold.validation, "validation", fold)
    if np.ptp(fit.target) == 0:
        raise Refused(f"Fold {fold.number}: the target is constant in the fitted part.")
    learner = recipe.learner
    transform = Transform.fitted(learner.transform, k=learner.tanh_k, target=fit.target)
    model = engine.train(
        _learnable(fit, transform),
        _learnable(validation, transform),
        names=recipe.features,
        learner=learner,
        given=engine.parameters(learner, device=device, threads=_useful(threads, fit)),
        on_round=_told(on_progress, fold.number, learner.num_boost_round),
    )
    return _Learned(model=model, transform=transform, fit=fit, validation=validation)


def _told(on_progress: Callable[[Progress], None], fold: int, rounds: int) -> engine.OnRound:
    def on_round(done: int, train_score: float, validation_score: float) -> None:
        on_progress(
            Progress(
                fold=fold,
                round=done,
                rounds=rounds,
                train_score=train_score,
                validation_score=validation_score,
            )
        )

    return on_round


def _useful(threads: int, fit: Examples) -> int:
    """Small trees are built faster by fewer threads, by far where others want the CPUs too."""
    return max(1, min(threads, fit.features.size // CELLS_PER_THREAD))


def _verdict(learned: _Learned) -> _Verdict:
    transform, validation = learned.transform, learned.validation
    said, truth = learned.model.predict(validation.features), transform.apply(validation.target)
    predicted = transform.inverse(said)
    return _Verdict(
        best_score=scores.rmse(truth, said),
        constant_score=scores.constant_score(transform.apply(learned.fit.target), truth),
        is_constant=bool(np.ptp(predicted) == 0),
        thresholds=thresholds.from_validation(predicted, validation.target),
    )


def _tested(
    fold: Fold, rows: Rows, recipe: Recipe, learned: _Learned, verdict: _Verdict
) -> FoldRows:
    features, target = rows.rows(fold.test.start, fold.test.end)
    is_heard = not verdict.learned_nothing or recipe.signals_when_learned_nothing
    return FoldRows(
        bar_index=np.arange(fold.test.start, fold.test.end),
        prediction=learned.predict(features),
        target=target,
        thresholds=thresholds.pairs(verdict.thresholds, recipe.own),
        fitted_mean=float(learned.fit.target.mean()),
        gives_signals=is_heard and not verdict.is_constant,
    )


def _evaluated(test: FoldRows, learned: _Learned, *, is_constant: bool) -> FoldEvaluation:
    """A model that says the same of every validation row has no correlation to speak of."""
    fit = learned.fit
    evaluation = evaluate(test, FittedRows(learned.predict(fit.features), fit.target))
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
