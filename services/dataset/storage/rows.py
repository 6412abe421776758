"""Rows of the catalogue to what they stand for, and names to what statements ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.dataset.domain.catalogue import Counts, Dataset, Report
from services.dataset.domain.manifest import Manifest
from services.shared.errors import NotFound


def named(name: UUID | str) -> dict[str, Any]:
    by_id = isinstance(name, UUID)
    return {"dataset_id": name if by_id else None, "slug": None if by_id else name}


def unknown(name: UUID | str, version: int | None = None) -> NotFound:
    which = f"version {version} of a dataset" if version else "dataset"
    return NotFound(f"There is no {which} {name}.")


def tables_in(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each once: versions made by appends share theirs."""
    return list(dict.fromkeys(t for row in rows for t in row.values() if t is not None))


def dataset_of(row: Mapping[str, Any], manifest: Manifest) -> Dataset:
    known = {name: value for name, value in row.items() if name != "version"}
    return Dataset(**known, manifest=manifest)


def report_of(plain: Mapping[str, Any]) -> Report:
    return Report(
        **{
            **plain,
            "notes": tuple(plain["notes"]),
            "warnings": tuple(plain["warnings"]),
            "counts": Counts(**plain.get("counts", {})),
        }
    )
