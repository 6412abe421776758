"""How the target is changed before it is learned: fitted on the fitted part, and undone after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.trainer.domain import Floats, TransformKind

LARGEST_TANH: Final = 0.9999  # where the inverse is cut off: a model may predict beyond ±1


@dataclass(frozen=True, kw_only=True)
class Transform:
    kind: TransformKind
    mean: float
    std: float  # population
    k: float

    @classmethod
    def fitted(cls, kind: TransformKind, *, k: float, target: Floats) -> Transform:
        """A constant target must have been refused before: its std is 0."""
        return cls(kind=kind, mean=float(target.mean()), std=float(target.std()), k=k)

    def apply(self, target: Floats) -> Floats:
        if self.kind is TransformKind.NONE:
            return target
        z = (target - self.mean) / self.std
        return z if self.kind is TransformKind.STANDARDIZE else np.tanh(self.k * z)

    def inverse(self, learned: Floats) -> Floats:
        if self.kind is TransformKind.NONE:
            return learned
        z = learned
        if self.kind is TransformKind.TANH:
            z = np.arctanh(np.clip(learned, -LARGEST_TANH, LARGEST_TANH)) / self.k
        return z * self.std + self.mean
