"""What must outlast or precede a run: idempotency keys, the record of trials, loose pins."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from services.runs.domain.trials import Outcome, Trial
from services.runs.storage import rows
from services.runs.storage.tables import Table
from services.shared.errors import AlreadyExists

KEYS_LAST_MS: Final = 24 * 3_600_000


class PostgresLedger(Table):
    async def recall(self, method: str, key: str, body_sha256: bytes, now_ms: int) -> UUID | None:
        valid_after = rows.at(now_ms - KEYS_LAST_MS)
        values = {"method": method, "key": key, "valid_after": valid_after}
        row = await self._row("select_key", values)
        if row is None:
            return None
        if row["body_sha256"] != body_sha256:
            raise AlreadyExists(
                f"The idempotency key {key!r} was used for another request within 24 h.",
                reason="IDEMPOTENCY_KEY_REUSED",
            )
        made: UUID = row["resource_id"]
        return made

    async def remember(
        self, method: str, key: str, *, body_sha256: bytes, made: UUID, now_ms: int
    ) -> bool:
        values = {
            "method": method,
            "key": key,
            "body_sha256": body_sha256,
            "resource_id": made,
            "now": rows.at(now_ms),
            "valid_after": rows.at(now_ms - KEYS_LAST_MS),
        }
        return await self._row("claim_key", values) is not None

    async def forget_keys(self, now_ms: int) -> None:
        await self._execute("forget_keys", {"valid_after": rows.at(now_ms - KEYS_LAST_MS)})

    async def record(self, trial: Trial) -> None:
        await self._execute(
            "insert_trial",
            {
                "trial_id": trial.trial_id,
                "kind": trial.kind,
                "dataset_slug": trial.dataset_slug,
                "target_column": trial.target,
                "started_at": rows.at(trial.started_at_ms),
            },
        )

    async def conclude(self, outcome: Outcome) -> None:
        values = vars(outcome) | {"ended_at": rows.at(outcome.ended_at_ms)}
        await self._execute("insert_outcome", values)

    async def loosen_pin(self, holder: UUID, now_ms: int) -> None:
        await self._execute("loosen_pin", {"holder": holder, "since": rows.at(now_ms)})

    async def tie_pin(self, holder: UUID) -> bool:
        return await self._execute("tie_pin", {"holder": holder}) == 1

    async def loose_pins(self, before_ms: int) -> list[UUID]:
        found = await self._rows("loose_pins", {"before": rows.at(before_ms)})
        return [row["holder"] for row in found]
