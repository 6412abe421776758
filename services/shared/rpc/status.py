"""Domain errors to gRPC status and back: two functions that undo each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError
from grpc_status import rpc_status

from services.shared import errors

DOMAIN: Final = "stage1"
TRAILER: Final = rpc_status.GRPC_DETAILS_METADATA_KEY

_CODES: Final[dict[type[errors.Stage1Error], StatusCode]] = {
    errors.InvalidRequest: StatusCode.INVALID_ARGUMENT,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.AlreadyExists: StatusCode.ALREADY_EXISTS,
    errors.Conflict: StatusCode.FAILED_PRECONDITION,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Exhausted: StatusCode.RESOURCE_EXHAUSTED,
    errors.Stalled: StatusCode.ABORTED,
    errors.DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: StatusCode.CANCELLED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    errors.DataLoss: StatusCode.DATA_LOSS,
}
_KINDS: Final = {c: kind for kind, c in _CODES.items() if kind is not errors.InvalidRequest}
_RETRY_SECONDS: Final = 1


def code_of(error: errors.Stage1Error) -> StatusCode:
    return next((c for kind, c in _CODES.items() if isinstance(error, kind)), StatusCode.INTERNAL)


def to_status(error: errors.Stage1Error) -> Status:
    status = Status(code=code_of(error).value[0], message=str(error))
    status.details.add().Pack(details.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if isinstance(error, errors.InvalidRequest):
        violations = [
            details.BadRequest.FieldViolation(field=v.field, description=v.message)
            for v in error.violations
        ]
        status.details.add().Pack(details.BadRequest(field_violations=violations))
    if isinstance(error, errors.Unavailable | errors.Exhausted):
        retry = details.RetryInfo()
        retry.retry_delay.FromSeconds(_RETRY_SECONDS)
        status.details.add().Pack(retry)
    return status


def from_call(call: AioRpcError) -> errors.Stage1Error:
    """The error the server raised: same kind, same reason, same sentence."""
    kind: type[errors.Stage1Error] = _KINDS.get(call.code(), errors.Stage1Error)
    status = rpc_status.from_call(call)
    if status is None:  # not from one of our servers, or it died
        return kind(call.details() or "")
    info, bad = details.ErrorInfo(), details.BadRequest()
    for packed in status.details:
        packed.Unpack(info)
        packed.Unpack(bad)
    if bad.field_violations:
        return errors.InvalidRequest(
            [errors.Violation(v.field, v.description) for v in bad.field_violations],
            reason=info.reason,
        )
    return kind(status.message, reason=info.reason)


@contextmanager
def refusals() -> Iterator[None]:
    """Calls in the block raise what the server raised, not AioRpcError."""
    try:
        yield
    except AioRpcError as call:
        raise from_call(call) from call
