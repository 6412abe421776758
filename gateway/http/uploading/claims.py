"""A manifest that comes along with files: what it says of them, to be checked."""

from __future__ import annotations

from typing import Final

from fastapi import UploadFile
from pydantic import TypeAdapter
from stage1.dataset.v1 import dataset_pb2

from gateway.http.schemas.uploads import ClaimedManifest
from gateway.http.shapes.words import number
from gateway.http.uploading.parts import parsed
from services.shared.errors import InvalidRequest, Violation

_MANIFEST_BYTES: Final = 8 << 20  # with 50,000 gaps and 4,000 columns
_MANIFEST: Final = TypeAdapter(ClaimedManifest)


async def claimed(manifest: UploadFile | str | None) -> ClaimedManifest:
    if not manifest:
        return ClaimedManifest()
    text = manifest if isinstance(manifest, str) else await manifest.read(_MANIFEST_BYTES + 1)
    if len(text) > _MANIFEST_BYTES:
        raise InvalidRequest([Violation("manifest", f"has more than {_MANIFEST_BYTES} bytes")])
    return parsed(_MANIFEST, "manifest", text)


def expected(claims: ClaimedManifest, *, slug: str) -> dataset_pb2.Manifest:
    """A slug that is asked for by name wins: an export may be imported under another."""
    figures = claims.model_dump(
        exclude={"columns", "gaps", "gap_policy", "timestamp_convention"}, exclude_none=True
    )
    if slug:
        figures.pop("dataset_slug", None)
    return dataset_pb2.Manifest(
        **figures,
        columns=[
            dataset_pb2.Column(
                name=c.name,
                table=number(dataset_pb2.Table, c.table, "TABLE_"),
                type=number(dataset_pb2.Column.Type, c.type, "TYPE_"),
                role=number(dataset_pb2.Column.Role, c.role, "ROLE_"),
            )
            for c in claims.columns
        ],
        gaps=[dataset_pb2.Gap(**gap.model_dump()) for gap in claims.gaps],
        gap_policy=policy(claims.gap_policy),
        timestamp_convention=convention(claims.timestamp_convention),
    )


def policy(word: str | None) -> dataset_pb2.GapPolicy.ValueType:
    found: dataset_pb2.GapPolicy.ValueType = number(dataset_pb2.GapPolicy, word, "GAP_POLICY_")
    return found


def convention(word: str | None) -> dataset_pb2.TimestampConvention.ValueType:
    found: dataset_pb2.TimestampConvention.ValueType = number(
        dataset_pb2.TimestampConvention, word, "TIMESTAMP_CONVENTION_"
    )
    return found
