"""Which column is what: time, market, prices; names that are taken or cannot be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.dataset.domain.columns import MAX_COLUMNS, MAX_NAME_BYTES
from services.dataset.formats import zone_names
from services.dataset.formats.options import Kind, Options
from services.dataset.formats.refusal import ambiguous, named, refused

PRICES: Final = ("open", "high", "low", "close")
BARS: Final = (*PRICES, "volume")
_OURS: Final = frozenset({"index", "timestamp_ms", "ohlcv_index"})

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "tickvol", "tick_volume"),
}
_TIMES: Final = frozenset(
    ("timestamp_ms", "timestamp", "ts_ms", "ts", "datetime", "date_time", "date", "time")
) | frozenset(
    ("gmt_time", "local_time", "open_time", "unix", "unix_time", "unix_timestamp", "epoch")
)
_MARKETS: Final = frozenset({"market", "symbol", "ticker", "instrument"})
UNNAMED: Final = ""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The file's columns by what they are; `values` holds (our name, the file's), in order."""

    timestamp: str
    time: str | None
    market: str | None
    values: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def times(self) -> tuple[str, ...]:
        return (self.timestamp,) if self.time is None else (self.timestamp, self.time)

    @property
    def texts(self) -> frozenset[str]:
        """Those that are no values: read as text, or as integers where they are such."""
        return frozenset((*self.times, *([] if self.market is None else [self.market])))

    @property
    def renames(self) -> dict[str, str]:
        """Our names by those of the file, where they differ."""
        return {ours: theirs for ours, theirs in self.values if ours != theirs}


def columns_of(
    names: Sequence[str],
    kind: Kind,
    options: Options,
    *,
    moments: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> Columns:
    """Raises FileRefused, FileAmbiguous. `moments` are columns that hold dates by their type."""
    if len(names) > MAX_COLUMNS:
        raise refused(f"has {len(names)} columns, and at most {MAX_COLUMNS} are taken")
    _refuse_bad_names(names)
    timestamp, time = _time_columns(names, options, moments)
    rest = [name for name in names if name not in (timestamp, time, *left_out)]
    market = next((name for name in rest if plain(name) in _MARKETS), None)
    rest = [name for name in rest if name != market]
    renamed = {theirs: ours for ours, theirs in options.columns.items()}
    for option, asked in (("columns", renamed), ("text_columns", options.text_columns)):
        absent = [name for name in asked if name not in rest]
        if absent:
            raise refused(f"names {named(absent)}, not among {named(rest)}", field=option)
    ours = _bars(rest, renamed) if kind is Kind.OHLCV else {n: renamed.get(n, n) for n in rest}
    values = tuple((ours[name], name) for name in rest)
    _refuse_taken_names([name for name, _ in values], kind)
    together = f" with {time!r}" if time is not None else ""
    notes = [f"The time is in column {timestamp!r}{together}."]
    if left_out:
        notes.append(f"Columns left out: {named(left_out)}.")
    return Columns(timestamp=timestamp, time=time, market=market, values=values, notes=tuple(notes))


def plain(name: str) -> str:
    """A name as it is compared with those we know."""
    return re.sub(r"\W+", "_", name.strip().strip("<>")).lower()


def _refuse_bad_names(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(n.lower() for n in names).items() if count > 1]
    if twice:
        raise refused(
            f"has columns of the same name (upper and lower case are one): {named(twice)}"
        )
    wrong = [n for n in names if len(n.encode()) > MAX_NAME_BYTES or not n.isprintable()]
    if wrong:
        raise refused(
            f"has column names longer than {MAX_NAME_BYTES} bytes or not printable: {named(wrong)}"
        )


def _time_columns(
    names: Sequence[str], options: Options, moments: Sequence[str]
) -> tuple[str, str | None]:
    given = options.timestamp_column
    known = {_time_name(name): name for name in names}
    if given is not None:
        if given not in names:
            raise refused(
                f"is {given!r}, but the columns are {named(names)}", field="timestamp_column"
            )
        return given, known.get("time") if _time_name(given) == "date" else None
    if "timestamp_ms" in known:
        return known["timestamp_ms"], None
    found = [name for name in names if _time_name(name) in _TIMES] or list(moments)
    if not found and {"t", "o", "h", "l", "c"} <= known.keys():
        return known["t"], None
    if len(found) == 2 and {_time_name(name) for name in found} == {"date", "time"}:
        return known["date"], known["time"]
    if len(found) > 1:
        raise ambiguous(
            f"is missing: the time could be in {named(found)}", option="timestamp_column"
        )
    if not found and UNNAMED in names:
        return UNNAMED, None
    if not found:
        raise ambiguous(
            f"is missing: no column has a name like date, time or timestamp among {named(names)}",
            option="timestamp_column",
        )
    return found[0], None


def _time_name(name: str) -> str:
    return plain(name) if plain(name) in _TIMES else plain(zone_names.split(name)[0])


def _bars(rest: Sequence[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Our name for every column: prices by their names, the others by their own."""
    ours = {name: renamed.get(name, name) for name in rest}
    known = {plain(name): name for name in reversed(rest) if name not in renamed}
    for price, aliases in _ALIASES.items():
        theirs = next((known[alias] for alias in aliases if alias in known), None)
        if price not in renamed.values() and theirs is not None:
            ours[theirs] = price
    absent = [price for price in PRICES if price not in ours.values()]
    if absent:
        raise refused(
            f"is missing: the file has no column for {named(absent)} among {named(rest)}",
            field="columns",
        )
    return ours


def _refuse_taken_names(ours: Sequence[str], kind: Kind) -> None:
    taken = _OURS | (frozenset(BARS) if kind is Kind.INDICATORS else frozenset())
    wrong = [
        name
        for name in ours
        if name.lower() in taken
        or (kind is Kind.OHLCV and name.lower() in BARS and name not in BARS)
    ]
    if wrong:
        advice = ", ".join(f"{name!r} (use {'x_' + name.lower()!r})" for name in wrong)
        raise refused(f"has columns with names that the system uses itself: {advice}")
    _refuse_bad_names(ours)
