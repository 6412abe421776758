"""A create call that may be repeated with its idempotency key, for 24 hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from services.runs.storage.protocol import Transaction
from services.shared.errors import Conflict, NotFound


class MadeAndDeleted(Conflict):
    reason = "IDEMPOTENCY_KEY_SPENT"


@dataclass(frozen=True, kw_only=True)
class Once:
    """The key, and the SHA-256 of the request it came with."""

    method: str
    key: str
    body_sha256: bytes

    async def recall(self, tx: Transaction, now_ms: int) -> UUID | None:
        """What the key made. Raises AlreadyExists when the request was another."""
        return await tx.ledger.recall(self.method, self.key, self.body_sha256, now_ms)

    async def remember(self, tx: Transaction, made: UUID, now_ms: int) -> bool:
        """False when another call with the key came first; waits for one under way."""
        return await tx.ledger.remember(
            self.method, self.key, body_sha256=self.body_sha256, made=made, now_ms=now_ms
        )

    @contextmanager
    def finding_what_it_made(self) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            raise MadeAndDeleted(
                f"What the idempotency key {self.key!r} created within 24 h was deleted since;"
                " use another key to create it again."
            ) from error
