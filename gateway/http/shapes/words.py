"""The one table of words: ours behind the gateway, theirs before it.

Clients that already exist read these names; nothing behind the gateway knows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from google.protobuf.struct_pb2 import Struct

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

EXIT_REASONS: Final[Mapping[str, str]] = {
    "stop": "stop_loss",
    "target": "take_profit",
    "time": "time_exit",
    "reversal": "signal_reversal",
}
PREDICTION_COLUMNS: Final[Mapping[str, str]] = {"fold": "fold_number"}
TRADE_COLUMNS: Final[Mapping[str, str]] = {
    "quantity": "size",
    "entry_prediction": "entry_signal",
    "exit_prediction": "exit_signal",
}
# Where a service names a field of its request, the caller knows it as this.
_FIELDS: Final = (
    (re.compile(r"^spec\.walk_forward\b"), "walk_config"),
    (re.compile(r"^spec\.learner(\.parameters)?\b"), "hyperparameters"),
    (re.compile(r"^header\.expected\b"), "manifest"),
    (re.compile(r"^(ohlcv|indicators)\."), r"\1_"),
    (re.compile(r"^(settings\.(?:stop|target))_fraction$"), r"\1_pct"),
    (re.compile(r"^(header|spec)\."), ""),
    (re.compile(r"^state$"), "status"),
    (re.compile(r"^page_size$"), "limit"),
    (re.compile(r"^skip$"), "offset"),
)


_PART: Final = re.compile(r"^header\.parts\[([01])\]\.?")
_LONE: Final = re.compile(r"^(header\.part|ohlcv|indicators)(\.|$)")
FILES: Final = ("ohlcv", "indicators")
LONE_FILE: Final = ("file",)


def field(path: str, files: Sequence[str] = FILES) -> str:
    """`spec.learner.seed` is `hyperparameters.seed` to the caller. `files`: those of an upload."""
    if files == LONE_FILE and (lone := _LONE.match(path)):
        return path[lone.end() :] or files[0]
    if (part := _PART.match(path)) and int(part[1]) < len(files):
        return f"{files[int(part[1])]}_{path[part.end() :]}".removesuffix("_")
    for ours, theirs in _FIELDS:
        if ours.search(path):
            return ours.sub(theirs, path, count=1).removesuffix("_")
    return path


def sentence(message: str) -> str:
    """Of a refusal: `a stop_fraction` is `a stop_pct` to the caller."""
    return re.sub(r"\b(stop|target)_fraction\b", r"\1_pct", message)


class ProtoEnum(Protocol):
    def Name(self, number: Any) -> str: ...
    def Value(self, name: str) -> Any: ...


def word(enum: ProtoEnum, number: int, prefix: str) -> str:
    """`ROLE_TARGET` is target."""
    return enum.Name(number).removeprefix(prefix).lower()


def number(enum: ProtoEnum, word: str | None, prefix: str) -> Any:
    """`target` is ROLE_TARGET; none is ROLE_UNSPECIFIED."""
    return enum.Value(f"{prefix}{(word or 'unspecified').upper()}")


def iso(ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def percent(fraction: float) -> float:
    """Without the binary dust of the factor: .07 is 7, not 7.000000000000001."""
    return round(fraction * 100, 10)


def exit_reason(ours: str) -> str:
    return EXIT_REASONS.get(ours, ours)


def plain(struct: Struct) -> dict[str, Any]:
    """A Struct as JSON objects. It has no order and no whole numbers: counts are told by name."""
    return {name: _value(name, struct[name]) for name in sorted(struct)}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Struct):
        return plain(value)
    if isinstance(value, float) and value.is_integer() and name.startswith("n_"):
        return int(value)
    if hasattr(value, "values"):  # a ListValue
        return [_value(name, item) for item in value]
    return value
