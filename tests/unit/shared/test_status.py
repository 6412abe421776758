from __future__ import annotations

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from hypothesis import given
from hypothesis import strategies as st

from services.shared import errors
from services.shared.rpc import status

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.Stage1Error)
    and kind not in (errors.Stage1Error, errors.InvalidRequest)
]
sentences = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


def crossed(error: errors.Stage1Error) -> errors.Stage1Error:
    packed = status.to_status(error)
    trailing = Metadata((status.TRAILER, packed.SerializeToString()))
    call = AioRpcError(status.code_of(error), Metadata(), trailing, details=packed.message)
    return status.from_call(call)


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    codes = [status.code_of(kind("")) for kind in KINDS]
    assert len(set(codes)) == len(KINDS)
    assert StatusCode.INTERNAL not in codes


@given(st.sampled_from(KINDS), sentences, st.from_regex(r"[A-Z][A-Z_]{2,30}", fullmatch=True))
def test_an_error_arrives_as_the_kind_it_left_as(
    kind: type[errors.Stage1Error], sentence: str, reason: str
) -> None:
    arrived = crossed(kind(sentence, reason=reason))
    assert (type(arrived), str(arrived), arrived.reason) == (kind, sentence, reason)


def test_what_a_server_of_others_said_arrives_with_the_error() -> None:
    assert crossed(errors.Unavailable("away", cause="errno=111")).cause == "errno=111"
    assert crossed(errors.Unavailable("away")).cause == ""


@given(st.lists(st.builds(errors.Violation, sentences, sentences), min_size=1, max_size=20))
def test_every_violation_arrives(violations: list[errors.Violation]) -> None:
    arrived = crossed(errors.InvalidRequest(violations, reason="BAD_FILE"))
    assert isinstance(arrived, errors.InvalidRequest)
    assert arrived.violations == tuple(violations)
    assert arrived.reason == "BAD_FILE"


def test_a_call_that_never_reached_a_server_of_ours_keeps_its_kind() -> None:
    call = AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), details="no route")
    with pytest.raises(errors.Unavailable, match="no route"), status.refusals():
        raise call
