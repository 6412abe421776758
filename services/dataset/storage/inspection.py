"""The catalogue as it stands in PostgreSQL, for those who doubt it: nothing from what is kept."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from services.dataset.domain.catalogue import BlockHashes, ImportState
from services.dataset.domain.records import AttemptRecord, Inventory, TableRecord, VersionRecord
from services.dataset.storage.manifests import decoded
from services.dataset.storage.rows import named, tables_in, unknown
from services.dataset.storage.statements import Statements

MOMENT_MS: Final = 10 * 60 * 1000
_BESIDE: Final = ("slug", "manifest", "ohlcv_block_hashes", "indicator_block_hashes")


class InspectionRows(Statements):
    async def version_record(self, name: UUID | str, version: int | None) -> VersionRecord:
        """Raises NotFound, and DataLoss when the manifest is not one."""
        row = await self._one("version_record", named(name) | {"version": version})
        if row is None:
            raise unknown(name, version)
        said: dict[str, Any] = {key: value for key, value in row.items() if key not in _BESIDE}
        return VersionRecord(
            manifest=decoded(row["manifest"]),
            row=said | {"dataset_slug": row["slug"]},
            block_hashes=BlockHashes(row["ohlcv_block_hashes"], row["indicator_block_hashes"]),
        )

    async def inventory(self) -> Inventory:
        counts = await self._one("count_versions", {})
        assert counts is not None
        moment = {"moment_ms": self._now["now_ms"] - MOMENT_MS}
        return Inventory(
            datasets=counts["datasets"],
            versions=counts["versions"],
            tables=tuple(TableRecord(**row) for row in await self._all("newest_of_tables", {})),
            attempts=tuple(
                AttemptRecord(
                    slug=row["slug"],
                    state=ImportState(row["state"]),
                    tables=frozenset(filter(None, (row["ohlcv"], row["indicators"]))),
                    updated_at_ms=row["updated_at_ms"],
                )
                for row in await self._all("recent_attempts", moment)
            ),
            buried=frozenset(tables_in(await self._all("just_buried", moment))),
        )
