from __future__ import annotations

import orjson
import pytest

from gateway.http import errors as gateway_errors
from gateway.http.errors import answer
from services.shared import errors
from services.shared.errors import InvalidRequest, Stage1Error, Violation

STATUSES = {
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.Conflict: 409,
    errors.Unauthenticated: 401,
    errors.Exhausted: 429,
    errors.Stalled: 504,
    errors.DeadlineExceeded: 504,
    errors.Cancelled: 503,
    errors.Unavailable: 503,
    errors.DataLoss: 500,
    gateway_errors.Forbidden: 403,
    errors.TooLarge: 413,
    gateway_errors.UnsupportedMedia: 415,
}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_each_kind_of_refusal_has_its_status(kind: type[Stage1Error], status: int) -> None:
    refused = answer(kind("No.", reason="WHY"))
    body = orjson.loads(refused.body)
    assert refused.status_code == status
    assert (body["error"], body["details"]["reason"]) == ("No.", "WHY")


def test_every_kind_that_a_service_can_raise_is_known() -> None:
    assert set(Stage1Error.__subclasses__()) <= {*STATUSES, InvalidRequest}


def test_whoever_may_come_again_is_told_when() -> None:
    assert answer(errors.Unavailable("x")).headers["retry-after"] == "1"
    assert answer(errors.Exhausted("x")).headers["retry-after"] == "1"
    assert "retry-after" not in answer(errors.NotFound("x")).headers


def test_a_bad_request_is_400_and_names_its_fields() -> None:
    refused = answer(InvalidRequest([Violation("a", "is bad"), Violation("b", "is worse")]))
    body = orjson.loads(refused.body)
    assert refused.status_code == 400
    assert body["details"]["fields"] == [
        {"field": "a", "message": "is bad"},
        {"field": "b", "message": "is worse"},
    ]


def test_an_error_nobody_named_is_500() -> None:
    assert answer(Stage1Error("x")).status_code == 500


def test_a_full_disk_is_nobodys_fault_but_the_servers() -> None:
    assert answer(errors.Exhausted("x", reason="DISK_FULL")).status_code == 507


def test_what_the_store_said_is_among_the_details() -> None:
    refused = answer(errors.Unavailable("Away.", cause="Connection refused"))
    assert orjson.loads(refused.body)["details"]["cause"] == "Connection refused"
    assert "cause" not in orjson.loads(answer(errors.NotFound("x")).body)["details"]
