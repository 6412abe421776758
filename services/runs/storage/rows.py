"""What rows of every table have: times, JSON, progressions; and rows of workers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from services.runs.domain.states import Lease, Progression, State
from services.runs.domain.workers import Kind, Worker

Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def at(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + ms * _MS


def ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS


def ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else ms(at)


def json(value: Mapping[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))


def progression_row(progression: Progression) -> Row:
    lease = progression.lease
    return {
        "state": progression.state,
        "error": progression.error,
        "attempt": progression.attempt,
        "fruitless": progression.fruitless,
        "worker_id": lease and lease.worker_id,
        "lease_until": lease and at(lease.until_ms),
        "created_at": at(progression.created_at_ms),
        "started_at": at(progression.started_at_ms),
        "completed_at": at(progression.completed_at_ms),
    }


def progression(row: Row) -> Progression:
    leased = row["lease_until"] is not None
    return Progression(
        state=State(row["state"]),
        error=row["error"],
        attempt=row["attempt"],
        fruitless=row["fruitless"],
        lease=Lease(worker_id=row["worker_id"], until_ms=ms(row["lease_until"]))
        if leased
        else None,
        created_at_ms=ms(row["created_at"]),
        started_at_ms=ms_or_none(row["started_at"]),
        completed_at_ms=ms_or_none(row["completed_at"]),
    )


def worker_row(worker: Worker) -> Row:
    return vars(worker) | {
        "versions": Jsonb(dict(worker.versions)),
        "last_seen": at(worker.last_seen_ms),
    }


def worker(row: Row) -> Worker:
    return Worker(
        worker_id=row["worker_id"],
        kind=Kind(row["kind"]),
        address=row["address"],
        device=row["device"],
        memory_bytes=row["memory_bytes"],
        slots=row["slots"],
        versions=row["versions"],
        last_seen_ms=ms(row["last_seen"]),
        busy=row["busy"],
    )
