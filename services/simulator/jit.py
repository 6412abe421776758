"""The one way functions are compiled here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def compiled(function: Compiled) -> Compiled:
    """At the first call, for its types; kept on disk; without the interpreter lock."""
    return cast(Compiled, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
