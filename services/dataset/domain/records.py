"""What the catalogue has on record of its versions and imports, to be held against the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.dataset.domain.catalogue import IN_FLIGHT, BlockHashes, ImportState
from services.dataset.domain.columns import Table
from services.dataset.domain.findings import Finding
from services.dataset.domain.manifest import Manifest, measurement, watermark
from services.dataset.domain.verification import Expected


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """A manifest as it is stored now, what its row says beside it, and the hashes of blocks."""

    manifest: Manifest
    row: Mapping[str, Any]
    block_hashes: BlockHashes

    def contradictions(self) -> Iterator[Finding]:
        """Of row and manifest, which were written as one."""
        for name, value in self.row.items():
            if value != (said := getattr(self.manifest, name)):
                message = f"The catalogue has {name} as {value}, and the manifest as {said}."
                subject = self.manifest.dataset_slug
                yield Finding(reason="MANIFEST_DIFFERS", message=message, subject=subject)

    @property
    def tables(self) -> list[Table]:
        has_indicators = self.manifest.indicator_measurement is not None
        return [Table.OHLCV, *([Table.INDICATORS] if has_indicators else [])]

    def expected(self, table: Table) -> Expected:
        manifest, is_bars = self.manifest, table is Table.OHLCV
        first_ms = (
            manifest.first_ohlcv_timestamp_ms if is_bars else manifest.first_indicator_timestamp_ms
        )
        assert first_ms is not None
        hashes = self.block_hashes.ohlcv if is_bars else self.block_hashes.indicators
        return Expected(
            table=measurement(manifest, table),
            rows=manifest.ohlcv_rows if is_bars else manifest.indicator_rows,
            first_ms=first_ms,
            last_ms=watermark(manifest, table) - 1,
            columns=manifest.columns_of(table),
            block_hashes=tuple(hashes[i : i + 32] for i in range(0, len(hashes), 32)),
        )


@dataclass(frozen=True, kw_only=True)
class TableRecord:
    """A series table as the newest version that reads it has it.

    It `may_go_on` with rows that nobody reads, of an append that is being merged or was overtaken.
    """

    slug: str
    version: int
    table: str
    rows: int
    first_ms: int
    last_ms: int
    may_go_on: bool


@dataclass(frozen=True, kw_only=True)
class AttemptRecord:
    """An import that is not over, or was shortly; `tables` are made for it alone."""

    slug: str
    state: ImportState
    tables: frozenset[str]
    updated_at_ms: int

    @property
    def is_under_way(self) -> bool:
        return self.state in IN_FLIGHT or self.state is ImportState.PUBLISHED


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that may have tables. `attempts` may still hold theirs, or be dropping them."""

    datasets: int
    versions: int
    tables: tuple[TableRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    buried: frozenset[str]
    """Tables of datasets that were deleted a moment ago."""
