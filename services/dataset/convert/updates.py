"""What is to be said of a dataset from now on."""

from __future__ import annotations

from uuid import UUID

from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.convert.checks import Checks
from services.dataset.domain.updates import METADATA_ENTRIES, Update
from services.shared.errors import InvalidRequest, Violation


def update(request: pb.UpdateDatasetRequest) -> tuple[UUID | str, Update]:
    """An update that says nothing is refused: its caller has lost something on the way."""
    checks = Checks()
    name = checks.name("dataset", request.dataset)
    checks.at_most("removed_metadata", len(request.removed_metadata), METADATA_ENTRIES)
    found = Update(
        symbol=checks.text("symbol", request.symbol, 64, needed=True)
        if request.HasField("symbol")
        else None,
        granularity=_granularity(checks, request.granularity)
        if request.HasField("granularity")
        else None,
        source=checks.text("source", request.source, 200) if request.HasField("source") else None,
        metadata=checks.metadata("metadata", request.metadata),
        removed_metadata=frozenset(key.strip() for key in request.removed_metadata),
    )
    for key in sorted(found.removed_metadata & found.metadata.keys()):
        checks.refuse("removed_metadata", f"has {key!r}, which is to be set too")
    checks.done()
    if found.says_nothing:
        raise InvalidRequest([Violation("update", "names nothing that is to change")])
    return name, found


def _granularity(checks: Checks, value: str) -> str:
    if not value.strip():
        checks.refuse("granularity", "is missing")
    return checks.granularity("granularity", value)
