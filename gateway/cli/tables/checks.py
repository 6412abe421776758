"""What was verified, on a terminal."""

from __future__ import annotations

from gateway.cli import output
from gateway.cli.output import Column, text
from gateway.cli.tables import Record


def report(found: Record) -> None:
    output.facts(
        {
            "sound": "yes" if found["is_sound"] else "no",
            "rows read back": f"{found['rows']:,}",
            "rows compared with files": found["compared_rows"] and f"{found['compared_rows']:,}",
            "content hash": found["content_hash"],
        }
    )
    _findings(found)


def store(found: Record) -> None:
    output.facts(
        {
            "sound": "yes" if found["is_sound"] else "no",
            "datasets": found["datasets"],
            "versions": found["versions"],
            "series tables": found["tables"],
        }
    )
    _findings(found)


def _findings(found: Record) -> None:
    columns: list[Column] = [
        "reason",
        ("of", "subject", text),
        ("finding", "message", text),
    ]
    if found["findings"]:
        output.table(found["findings"], columns, at_least=3)
