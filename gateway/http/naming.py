"""Columns that a query names."""

from __future__ import annotations

from collections.abc import Sequence

from stage1.dataset.v1.dataset_pb2 import Manifest


def names(asked: Sequence[str], held: Manifest) -> list[str]:
    """Each text is the name of a column, whatever commas it has, or else names between commas."""
    known = {column.name for column in held.columns}
    parted = ([text] if text in known else text.split(",") for text in asked)
    return [name for names in parted for name in names if name]
