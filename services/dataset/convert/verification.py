"""Verifications and checks of the store: what is asked for, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.checking import CheckReport
from services.dataset.app.verifying import Progress, VerifyOrder, VerifyReport
from services.dataset.convert.checks import Checks
from services.dataset.convert.parts import part_of
from services.dataset.domain.findings import Finding
from services.shared.errors import InvalidRequest, Violation

MAX_FINDINGS: Final = 1_000
_MESSAGE_CHARACTERS: Final = 2_000


def verify_order(request: pb.VerifyDatasetRequest, max_bytes: int) -> VerifyOrder:
    """Of the first message of the stream."""
    if request.WhichOneof("step") != "header":
        raise InvalidRequest([Violation("header", "is missing: it is the first message")])
    header, checks = request.header, Checks()
    parts = tuple(
        part_of(checks, f"header.parts[{i}]", part, max_bytes)
        for i, part in enumerate(header.parts)
    )
    tables = [part.table for part in parts]
    if len(set(tables)) < len(tables):
        checks.refuse("header.parts", f"are {', '.join(tables)}: at most one of each is compared")
    checks.between("header.version", header.version, 0, 2**31 - 1)
    checks.between("header.sample_rows", header.sample_rows, 0, 2**53)
    if not parts:
        for name in ("sample_rows", "partial"):
            if getattr(header, name):
                checks.refuse(f"header.{name}", "is about files, and there are none")
    order = VerifyOrder(
        name=checks.name("header.dataset", header.dataset),
        version=header.version or None,
        parts=parts,
        sample_rows=header.sample_rows,
        is_partial=header.partial,
    )
    checks.done()
    return order


def step(found: Progress | VerifyReport) -> pb.VerifyDatasetResponse:
    if isinstance(found, Progress):
        progress = import_pb2.Progress(rows=found.rows, total_rows=found.total_rows)
        return pb.VerifyDatasetResponse(progress=progress)
    return pb.VerifyDatasetResponse(
        report=import_pb2.VerifyReport(
            is_sound=not found.findings,
            findings=_findings(found.findings),
            rows=found.rows,
            content_hash=found.content_hash,
            compared_rows=found.compared_rows,
        )
    )


def checked(found: CheckReport) -> pb.CheckStoreResponse:
    return pb.CheckStoreResponse(
        findings=_findings(found.findings),
        datasets=found.datasets,
        versions=found.versions,
        tables=found.tables,
    )


def _findings(found: Iterable[Finding]) -> list[import_pb2.Finding]:
    """As many as one message holds; what is not shown is counted."""
    all_found = list(found)
    shown = [
        import_pb2.Finding(
            reason=finding.reason,
            message=_shortened(finding.message),
            subject=finding.subject,
        )
        for finding in all_found[:MAX_FINDINGS]
    ]
    if len(all_found) > MAX_FINDINGS:
        message = f"There are {len(all_found) - MAX_FINDINGS} more findings."
        shown.append(import_pb2.Finding(reason="MORE", message=message))
    return shown


def _shortened(message: str) -> str:
    if len(message) <= _MESSAGE_CHARACTERS:
        return message
    return f"{message[:_MESSAGE_CHARACTERS]}…"
