"""Numbers on the command line."""

from __future__ import annotations

import math
from typing import Any, Final

import click


class _Finite(click.ParamType[float]):
    """What JSON can carry: neither nan nor inf."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


FINITE: Final = _Finite()
