"""Events in PostgreSQL.

Their number is taken last in a transaction and under the lock of one row, which
is held until the COMMIT: so numbers become visible in their order, without holes,
and whoever has read up to one has missed none before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.dataset.domain.events import KEPT_MS, Event, EventKind, Log, too_old
from services.dataset.storage.statements import Statements
from services.shared.errors import InvalidRequest, NotFound, Violation


class EventRows(Statements):
    has_events = False
    """Whether this transaction noted any."""

    async def note(self, kind: EventKind, dataset_id: UUID) -> None:
        """Nothing else may be locked after it."""
        oldest = {"oldest_event_ms": self._now["now_ms"] - KEPT_MS}
        numbered = await self._one("number_event", {})
        assert numbered is not None
        values = {**numbered, "kind": kind.value, "dataset_id": dataset_id}
        await self._do("insert_event", values)
        await self._do("forget_events", oldest)
        self.has_events = True

    async def last_event(self) -> int:
        row = await self._one("event_counter", {})
        assert row is not None
        last: int = row["last_sequence"]
        return last

    async def events_after(self, sequence: int, name: UUID | str | None, limit: int) -> Log:
        by_id = isinstance(name, UUID)
        values = {
            "sequence": sequence,
            "slug": None if by_id else name,
            "dataset_id": name if by_id else None,
            "limit": limit,
        }
        rows = await self._all("events_after", values)  # one row at least: that of the counter
        last, forgotten = rows[0]["last_sequence"], rows[0]["forgotten_sequence"]
        if 0 < sequence < forgotten:
            raise too_old(sequence, forgotten)
        if sequence > last:
            message = f"is {sequence}, and {last} is the last there is"
            raise InvalidRequest([Violation("cursor", message)])
        events = [_event(row) for row in rows if row["sequence"] is not None]
        return Log(events, events[-1].sequence if len(events) == limit else last)

    async def refuse_unknown(self, name: UUID | str) -> None:
        by_id = isinstance(name, UUID)
        values = {"slug": None if by_id else name, "dataset_id": name if by_id else None}
        if await self._one("was_ever", values) is None:
            raise NotFound(f"There is no dataset {name}, and never was.")


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        dataset_id=row["dataset_id"],
        slug=row["slug"],
        version=row["version"],
        at_ms=row["at_ms"],
    )
