"""Answers by idempotency key.

Of an append the key is taken with the intent, for good: what cannot be undone any more must not
be refused afterwards. Until the publication it has the answer's report, but no version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from services.dataset.domain.catalogue import (
    KeyReused,
    KeySpent,
    Publication,
    Published,
    Repeatable,
    Report,
)
from services.dataset.domain.manifest import Manifest
from services.dataset.storage.rows import dataset_of, report_of
from services.dataset.storage.statements import Statements


class AnswerRows(Statements):
    async def answer(self, repeatable: Repeatable) -> Published | None:
        row = await self._answer_row(repeatable.key)
        if row is None:
            return None
        if row["body_sha256"] != repeatable.body_sha256:
            raise _reused(repeatable.key)
        if row["version"] is None:
            return None
        found = await self._one("find_published", row)
        assert found is not None
        manifest = await self._manifest(row["dataset_id"], row["version"])
        return Published(dataset=dataset_of(found, manifest), report=report_of(row["report"]))

    async def knows_key(self, key: str) -> bool:
        return await self._answer_row(key) is not None

    async def _answer_row(self, key: str) -> Mapping[str, Any] | None:
        row = await self._one("find_answer", {"key": key})
        if row and row["version"] is not None and row["deleted_at_ms"] is not None:
            raise KeySpent(
                f"The idempotency key {key!r} belongs to dataset {row['slug']} "
                f"({row['dataset_id']}), which was deleted since: use another key."
            )
        return row

    async def keep_answer(self, repeatable: Repeatable, manifest: Manifest, report: Report) -> None:
        values = {"dataset_id": manifest.dataset_id, "version": manifest.version}
        await self._take_key(repeatable, report, values | {"promised_by": None})

    async def forget_answers(self) -> None:
        await self._do("forget_answers", {})

    async def _promise_answer(self, publication: Publication) -> None:
        """With the intent; the answer is given with the publication."""
        if publication.repeatable is None:
            return
        dataset_id, promised_by = publication.manifest.dataset_id, publication.import_id
        values = {"dataset_id": dataset_id, "version": None, "promised_by": promised_by}
        await self._take_key(publication.repeatable, publication.report, values)

    async def _give_answer(self, publication: Publication) -> None:
        manifest, import_id = publication.manifest, publication.import_id
        promise = {"promised_by": import_id, "version": manifest.version}
        if not await self._do("keep_promise", promise) and publication.repeatable:
            await self.keep_answer(publication.repeatable, manifest, publication.report)

    async def _take_key(
        self, repeatable: Repeatable, report: Report, values: Mapping[str, object]
    ) -> None:
        row = {**asdict(repeatable), **values, "report": Jsonb(asdict(report))}
        if not await self._do("insert_answer", row):
            raise _reused(repeatable.key)


def _reused(key: str) -> KeyReused:
    return KeyReused(f"The idempotency key {key!r} was used with another body before.")
