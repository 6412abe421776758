"""Intents as they stand in PostgreSQL: whoever reads one can publish it without the upload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

import orjson

from services.dataset.domain.catalogue import Intent, Publication, Said
from services.dataset.domain.columns import Table
from services.dataset.domain.manifest import from_json, to_json
from services.dataset.storage.rows import report_of


def intent_to_json(publication: Publication) -> dict[str, Any]:
    """Not the key, which is taken; an append says nothing of the dataset."""
    return {
        "manifest": to_json(publication.manifest),
        "report": asdict(publication.report),
        "ohlcv_block_hashes": publication.ohlcv_block_hashes.hex(),
        "indicator_block_hashes": publication.indicator_block_hashes.hex(),
    }


def intent_of(row: Mapping[str, Any]) -> Intent:
    import_id: UUID = row["import_id"]
    plain = orjson.loads(row["intent"])
    publication = Publication(
        import_id=import_id,
        manifest=from_json(plain["manifest"]),
        said=Said(),
        is_new=False,
        report=report_of(plain["report"]),
        ohlcv_block_hashes=bytes.fromhex(plain["ohlcv_block_hashes"]),
        indicator_block_hashes=bytes.fromhex(plain["indicator_block_hashes"]),
        repeatable=None,
    )
    counts = publication.report.counts
    staged = {
        Table.OHLCV: row["ohlcv_measurement"] if counts.ohlcv_rows else None,
        Table.INDICATORS: row["indicator_measurement"] if counts.indicator_rows else None,
    }
    return Intent(publication, {table: name for table, name in staged.items() if name})
