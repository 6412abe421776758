"""What became of a batch, on a terminal."""

from __future__ import annotations

from gateway.cli import output
from gateway.cli.output import Column, text
from gateway.cli.tables import Record, errors


def outcomes(found: Record) -> None:
    columns: list[Column] = [
        ("slug", "slug", text),
        ("status", "status", text),
        "version",
        "bars",
        ("indicator rows", "indicator_rows", text),
        ("missing slots", "missing_slots", text),
        "warnings",
    ]
    output.table(found["datasets"], columns, at_least=len(columns))
    errors(found["datasets"], "slug")
    output.line(
        f"{found['published']} published, {found['skipped']} there already, "
        f"{found['failed']} failed."
    )
