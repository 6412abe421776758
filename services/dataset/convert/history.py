"""Versions and imports: what is asked for, and the answers."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.pages import Page
from services.dataset.convert.checks import Checks
from services.dataset.convert.manifest import manifest_to_proto
from services.dataset.convert.requests import MAX_PAGE_SIZE, PAGE_BYTES, PAGE_SIZE
from services.dataset.convert.tokens import after_token, page_token
from services.dataset.domain.catalogue import ImportKind, ImportState
from services.dataset.domain.imports import (
    ImportCursor,
    ImportListing,
    ImportRecord,
    VersionListing,
)
from services.dataset.domain.manifest import Manifest

_STATES: Final[dict[import_pb2.Import.State.ValueType, ImportState | None]] = {
    import_pb2.Import.STATE_UNSPECIFIED: None,
    **{import_pb2.Import.State.Value(f"STATE_{state}"): state for state in ImportState},
}
_STATE_NUMBERS: Final = {state: number for number, state in _STATES.items()}
_KIND_NUMBERS: Final = {kind: import_pb2.Import.Kind.Value(f"KIND_{kind}") for kind in ImportKind}


def versions(request: pb.ListDatasetVersionsRequest) -> tuple[UUID | str, VersionListing]:
    checks = Checks()
    name = checks.name("dataset", request.dataset)
    after = after_token(checks, request.page_token)
    if after and not 0 < after[0] < 2**31:
        checks.refuse("page_token", "is none that was given out")
    listing = VersionListing(
        before=after and after[0],
        page_size=_page_size(checks, request.page_size),
        page_bytes=PAGE_BYTES,
    )
    checks.done()
    return name, listing


def versions_page(found: Page[Manifest]) -> pb.ListDatasetVersionsResponse:
    last = found.items[-1] if found.more else None
    return pb.ListDatasetVersionsResponse(
        manifests=[manifest_to_proto(manifest) for manifest in found.items],
        next_page_token=page_token(last.version, last.dataset_id) if last else "",
    )


def imports(request: pb.ListImportsRequest) -> ImportListing:
    checks = Checks()
    after = after_token(checks, request.page_token)
    listing = ImportListing(
        slug=checks.slug("slug", request.slug) if request.slug else None,
        state=checks.one_of("state", request.state, _STATES, None),
        after=after and ImportCursor(*after),
        page_size=_page_size(checks, request.page_size),
        page_bytes=PAGE_BYTES,
    )
    checks.done()
    return listing


def imports_page(found: Page[ImportRecord]) -> pb.ListImportsResponse:
    last = found.items[-1] if found.more else None
    return pb.ListImportsResponse(
        imports=[import_to_proto(record) for record in found.items],
        next_page_token=page_token(last.created_at_ms, last.import_id) if last else "",
    )


def import_id(request: pb.GetImportRequest) -> UUID:
    checks = Checks()
    found = checks.uuid("import_id", request.import_id)
    if not request.import_id:
        checks.refuse("import_id", "is missing")
    checks.done()
    assert found is not None
    return found


def import_to_proto(record: ImportRecord) -> import_pb2.Import:
    return import_pb2.Import(
        import_id=str(record.import_id),
        kind=_KIND_NUMBERS[record.kind],
        slug=record.slug,
        state=_STATE_NUMBERS[record.state],
        error=record.error,
        version=record.version,
        created_at_ms=record.created_at_ms,
        updated_at_ms=record.updated_at_ms,
    )


def _page_size(checks: Checks, asked: int) -> int:
    return checks.between("page_size", asked, 0, MAX_PAGE_SIZE) or PAGE_SIZE
