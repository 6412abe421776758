"""What was published, and what would be, on a terminal."""

from __future__ import annotations

from gateway.cli import output
from gateway.cli.output import Column, instant, text
from gateway.cli.tables import Record, errors, rest
from gateway.cli.tables.datasets import interval, report


def appended(found: Record) -> None:
    where = f"Dataset {found['dataset_slug']}"
    if not (found["appended_ohlcv_rows"] or found["appended_indicator_rows"]):
        output.line(f"{where} has all of it already; version {found['version']} stays the newest.")
        return
    output.facts(
        {
            "dataset": f"{found['dataset_slug']} version {found['version']}",
            "id": found["dataset_id"],
            "new bars": f"{found['appended_ohlcv_rows']:,}",
            "new indicator rows": f"{found['appended_indicator_rows']:,}",
            "repeated bars": f"{found['repeated_ohlcv_rows']:,}",
            "repeated indicator rows": f"{found['repeated_indicator_rows']:,}",
        }
    )


def sniffed(found: Record) -> None:
    first, last = (instant(found[f"{end}_timestamp_ms"]) for end in ("first", "last"))
    renamed = ", ".join(f"{ours}={theirs}" for ours, theirs in found["rename"].items())
    output.facts(
        {
            "table": found["table"],
            "format": found["format"],
            "rows": f"{found['rows']:,}, {first} to {last} UTC",
            "bar interval": found["bar_interval_ms"] and interval(found["bar_interval_ms"]),
            "calendar": found["calendar"],
            "time column": found["timestamp_column"],
            **{
                name.replace("_", " "): found[name]
                for name in ("zone", "unit", "date_order", "time_layout", "market", "member")
            },
            "separator": found["separator"] and repr(found["separator"]),
            "decimal": found["decimal"],
            "renamed": renamed,
            "kept as text": ", ".join(found["text_columns"]),
        }
    )
    columns: list[Column] = ["name", "role", "type", ("nulls", "null_count", text)]
    output.table(found["report"]["columns"], columns)
    report(found["report"], output.line)


def imports(found: Record) -> None:
    columns: list[Column] = [
        ("id", "import_id", text),
        ("slug", "dataset_slug", text),
        ("status", "status", _status),
        "version",
        "kind",
        ("begun (UTC)", "created_at", _moment),
    ]
    output.table(found["imports"], columns, at_least=len(columns))
    errors(found["imports"], "import_id")
    rest(found)


def import_(found: Record) -> None:
    output.facts({**found, "status": _status(found["status"])})


def _status(state: str) -> str:
    """To people it is all one whether something of the attempt waits to be tidied."""
    return "PUBLISHED" if state == "CLEANED" else state


def _moment(iso: str) -> str:
    return iso[:16].replace("T", " ")
