"""Datasets on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.cli import output
from gateway.cli.output import Column, day, instant, text
from gateway.cli.tables import Record, rest

_MOST_GAPS: Final = 10
_MOST_NAMES: Final = 30
_FIRST_NAMES: Final = 20
_FIRST_NULLS: Final = 5
_GAP_COLUMNS: Final[list[Column]] = [
    ("gap after", "after_ms", instant),
    ("before", "before_ms", instant),
    ("missing slots", "missing", text),
]


def listed(found: Record) -> None:
    columns: list[Column] = [
        ("slug", "dataset_slug", text),
        ("id", "dataset_id", text),
        "version",
        "symbol",
        ("bar", "granularity", text),
        ("bars", "ohlcv_row_count", text),
        ("indicator rows", "indicator_row_count", text),
        ("from", "ohlcv_first_ts", day),
        ("to", "ohlcv_last_ts", day),
    ]
    output.table(found["datasets"], columns, at_least=3)
    rest(found)


def dataset(found: Record) -> None:
    """Without its manifest."""
    output.facts(
        {
            "dataset": f"{found['dataset_slug']} version {found['version']}",
            "id": found["dataset_id"],
            **_said(found),
            "metadata": _metadata(found),
        }
    )


def shown(found: Record) -> None:
    """A version under what its dataset is called now."""
    present = found["dataset"]
    said, published = _said(present), _said(found)
    older = {name: text for name, text in published.items() if text != said[name]}
    _version(
        found,
        {
            **said,
            **{f"{name} of version {found['version']}": text for name, text in older.items()},
            "metadata": _metadata(present),
            "versions": ", ".join(map(str, present["versions"])),
            "used by": f"{present['runs']} runs, {present['simulations']} simulations",
        },
    )


def _said(found: Record) -> dict[str, str]:
    return {"symbol": f"{found['symbol']} {found['granularity']}", "source": found["source"]}


def _metadata(found: Record) -> str:
    return "\n".join(f"{name}: {value}" for name, value in found["metadata"].items())


def versions(found: Record) -> None:
    columns: list[Column] = [
        "version",
        ("bars", "ohlcv_row_count", text),
        ("indicator rows", "indicator_row_count", text),
        ("from", "ohlcv_first_ts", instant),
        ("to", "ohlcv_last_ts", instant),
        ("missing slots", "missing_slots", text),
        ("published", "exported_at", lambda iso: text(iso)[:16].replace("T", " ")),
        ("content hash", "content_hash", text),
    ]
    output.table(found["versions"], columns)
    rest(found)


def gaps(found: Record) -> None:
    output.facts(
        {
            "calendar": found["calendar"],
            "gaps": f"{found['missing_slots']} missing slots in {found['count']} gaps; "
            f"policy {found['gap_policy']}",
        }
    )
    if found["gaps"]:
        output.table(found["gaps"], _GAP_COLUMNS)


def report(found: Record, tell: Callable[[str], None] = output.note) -> None:
    """What an import decided and what a careful person would look at."""
    for sentence in found["notes"]:
        tell(f"note: {sentence}")
    for sentence in found["warnings"]:
        tell(f"warning: {sentence}")
    for end in ("head", "tail"):
        if trimmed := found[f"trimmed_{end}_rows"]:
            tell(f"note: {trimmed} indicator rows without any value at the {end} left out.")
    if nulls := [f"{c['name']} {c['null_count']}" for c in found["columns"] if c["null_count"]]:
        more = len(nulls) - _FIRST_NULLS
        tail = f" rows and {more} more columns" if more > 0 else " rows"
        tell(f"nulls: {', '.join(nulls[:_FIRST_NULLS])}{tail}")


def manifest(found: Record) -> None:
    _version(found, _said(found))


def _version(found: Record, said: Record) -> None:
    output.facts(
        {
            "dataset": f"{found['dataset_slug']} version {found['version']}",
            "id": found["dataset_id"],
            **said,
            "bars": _extent(found, "ohlcv"),
            "indicators": _extent(found, "indicator"),
            "bar interval": interval(found["bar_interval_ms"]),
            "lookback, lookahead": _trimmed(found),
            "calendar": f"{found['calendar']}; times are bar {found['timestamp_convention']}s",
            "gaps": _gaps(found),
            "content hash": found["content_hash"],
            **{f"{role}s": _columns(found, role) for role in ("target", "feature", "extra")},
        }
    )
    if gaps := found["gaps"]:
        _gap_table(gaps)


def _trimmed(found: Record) -> str:
    if not found["indicator_rows"]:
        return ""
    return f"{found['lookback_rows']}, {found['lookahead_rows']} bars"


def _extent(found: Record, table: str) -> str:
    if not found[f"{table}_rows"]:
        return "none"
    first, last = (instant(found[f"{end}_{table}_timestamp_ms"]) for end in ("first", "last"))
    return f"{found[f'{table}_rows']:,} rows, {first} to {last} UTC"


def interval(ms: int) -> str:
    minutes, rest_ms = divmod(ms, 60_000)
    return f"{ms} ms" if rest_ms else f"{minutes:,} min"


def _gaps(found: Record) -> str:
    missing = sum(gap["missing"] for gap in found["gaps"])
    return f"{missing} missing slots in {len(found['gaps'])} gaps; policy {found['gap_policy']}"


def _columns(found: Record, role: str) -> str:
    names = [
        c["name"] + (f" ({c['horizon_bars']} bars ahead)" if c["horizon_bars"] else "")
        for c in found["columns"]
        if c["role"] == role
    ]
    if not names:
        return "none"
    # A few more than are shown are not worth leaving out.
    shown = names if len(names) <= _MOST_NAMES else names[:_FIRST_NAMES]
    rest = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return f"{len(names)}: {', '.join(shown)}{rest}"


def _gap_table(gaps: Sequence[Record]) -> None:
    output.table(gaps[:_MOST_GAPS], _GAP_COLUMNS)
    if len(gaps) > _MOST_GAPS:
        output.note(f"{len(gaps) - _MOST_GAPS} more gaps: `stage1 dataset gaps` shows them.")
