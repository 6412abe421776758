"""What was verified, proto to answer."""

from __future__ import annotations

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from gateway.http.schemas import checks as schemas


def report(proto: import_pb2.VerifyReport) -> schemas.VerifyReport:
    return schemas.VerifyReport(
        is_sound=proto.is_sound,
        findings=[_finding(f) for f in proto.findings],
        rows=proto.rows,
        content_hash=proto.content_hash,
        compared_rows=proto.compared_rows,
    )


def store(proto: pb.CheckStoreResponse) -> schemas.StoreCheck:
    return schemas.StoreCheck(
        is_sound=not proto.findings,
        findings=[_finding(f) for f in proto.findings],
        datasets=proto.datasets,
        versions=proto.versions,
        tables=proto.tables,
    )


def _finding(proto: import_pb2.Finding) -> schemas.Finding:
    return schemas.Finding(reason=proto.reason, message=proto.message, subject=proto.subject)
