"""Events in PostgreSQL, numbered per run or simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from services.runs.domain.events import Event, FoldCompleted, FoldStarted, Kept, Log, StateChanged
from services.runs.domain.states import State
from services.runs.storage import rows
from services.runs.storage.runs import PostgresRuns
from services.runs.storage.tables import Table
from services.shared.errors import NotFound

_KINDS: Final = {kind.__name__: kind for kind in (FoldStarted, FoldCompleted, Log)}


class PostgresEvents(Table):
    async def append(self, subject_id: UUID, at_ms: int, kind: Kept) -> Event:
        numbered = await self._row("number_event", {"subject_id": subject_id})
        if numbered is None:
            raise NotFound(f"There is no run or simulation {subject_id}.")
        event = Event(sequence=numbered["last_event"], at_ms=at_ms, kind=kind)
        body = {name: value for name, value in asdict(kind).items() if name != "result"}
        row = {
            "subject_id": subject_id,
            "sequence": event.sequence,
            "at": rows.at(at_ms),
            "kind": type(kind).__name__,
            "body": Jsonb(body),
        }
        await self._execute("insert_event", row)
        return event

    async def after(self, subject_id: UUID, sequence: int, limit: int) -> list[Event]:
        values = {"subject_id": subject_id, "sequence": sequence, "limit": limit}
        events = [
            Event(
                sequence=row["sequence"],
                at_ms=rows.ms(row["at"]),
                kind=_kind(row["kind"], row["body"]),
            )
            for row in await self._rows("events_after", values)
        ]
        return await self._with_results(subject_id, events)

    async def _with_results(self, run_id: UUID, events: Sequence[Event]) -> list[Event]:
        numbers = [e.kind.fold for e in events if isinstance(e.kind, FoldCompleted)]
        if not numbers:
            return list(events)
        first, last = min(numbers), max(numbers)
        stored = await PostgresRuns(self._connection).folds(
            run_id, start=first, limit=last - first + 1
        )
        results = {fold.planned.number: fold.result for fold in stored}
        return [
            replace(e, kind=replace(e.kind, result=results.get(e.kind.fold)))
            if isinstance(e.kind, FoldCompleted)
            else e
            for e in events
        ]


def _kind(name: str, body: dict[str, Any]) -> Kept:
    if name == StateChanged.__name__:
        return StateChanged(State(body["state"]), body["error"])
    return _KINDS[name](**body)
