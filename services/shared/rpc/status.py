"""Domain errors to gRPC status and back: two functions that undo each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc import RpcError, StatusCode
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
    errors.TooLarge: StatusCode.OUT_OF_RANGE,
    errors.Stalled: StatusCode.ABORTED,
    errors.DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: StatusCode.CANCELLED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    errors.DataLoss: StatusCode.DATA_LOSS,
}
_KINDS: Final = {c: kind for kind, c in _CODES.items() if kind is not errors.InvalidRequest}
_RETRY_SECONDS: Final = 1
_CAUSE: Final = "cause"
# A refusal travels in trailers, in part twice and encoded. gRPC drops trailers over its limit,
# and the caller would learn nothing: so a refusal is cut to fit, whatever it quotes.
TRAILER_BYTES: Final = 128 << 10
TRAILER_OPTIONS: Final = (
    ("grpc.max_metadata_size", TRAILER_BYTES),
    ("grpc.absolute_max_metadata_size", TRAILER_BYTES),
)
_SENTENCE_CHARACTERS: Final = 2000
_FIELD_CHARACTERS: Final = 100
_VIOLATION_CHARACTERS: Final = 400
_VIOLATIONS: Final = 20


def code_of(error: errors.Stage1Error) -> StatusCode:
    return next((c for kind, c in _CODES.items() if isinstance(error, kind)), StatusCode.INTERNAL)


def to_status(error: errors.Stage1Error) -> Status:
    status = Status(
        code=code_of(error).value[0], message=_clipped(str(error), _SENTENCE_CHARACTERS)
    )
    info = details.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.cause:
        info.metadata[_CAUSE] = _clipped(error.cause, _SENTENCE_CHARACTERS)
    status.details.add().Pack(info)
    if isinstance(error, errors.InvalidRequest):
        violations = [
            details.BadRequest.FieldViolation(
                field=_clipped(v.field, _FIELD_CHARACTERS),
                description=_clipped(v.message, _VIOLATION_CHARACTERS),
            )
            for v in _first(error.violations)
        ]
        status.details.add().Pack(details.BadRequest(field_violations=violations))
    if isinstance(error, errors.Unavailable | errors.Exhausted):
        retry = details.RetryInfo()
        retry.retry_delay.FromSeconds(_RETRY_SECONDS)
        status.details.add().Pack(retry)
    return status


def _clipped(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _first(violations: Sequence[errors.Violation]) -> Sequence[errors.Violation]:
    if len(violations) <= _VIOLATIONS:
        return violations
    more = f"and {len(violations) - _VIOLATIONS} more like these"
    return [*violations[:_VIOLATIONS], errors.Violation(violations[_VIOLATIONS].field, more)]


def from_call(call: RpcError) -> errors.Stage1Error:
    """The error the server raised: same kind, same reason, same sentence."""
    kind: type[errors.Stage1Error] = _KINDS.get(call.code(), errors.Stage1Error)
    try:
        status = rpc_status.from_call(call)
    except ValueError:  # its code was replaced on the way
        status = None
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
    return kind(status.message, reason=info.reason, cause=info.metadata.get(_CAUSE, ""))


@contextmanager
def refusals() -> Iterator[None]:
    """Calls in the block raise what the server raised, not AioRpcError."""
    try:
        yield
    except AioRpcError as call:
        raise from_call(call) from call
