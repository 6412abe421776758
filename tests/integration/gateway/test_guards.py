"""What keeps strangers out. No service is needed for it."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Mapping
from tempfile import SpooledTemporaryFile

import httpx
import pytest

from gateway.http.__main__ import listening
from gateway.http.settings import GatewaySettings
from services.shared.errors import Unavailable
from tests.integration.gateway.house import fields, gateway, refusal

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
async def known_elsewhere() -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that others reach by names of their own."""
    async with gateway(allowed_hosts=["Stage1.lan:8080", "stage1.example"]) as client:
        yield client


@pytest.fixture(scope="module")
async def alone() -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with nobody behind it."""
    async with gateway(max_upload_bytes=1 << 20) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", ""]
)
async def test_another_name_for_this_machine_is_refused(
    alone: httpx.AsyncClient, host: str
) -> None:
    answer = await alone.get("/livez", headers={"host": host.format(port=alone.base_url.port)})
    refusal(answer, 403, "HOST_REFUSED")


@pytest.mark.parametrize("host", ["stage1.lan:8080", "STAGE1.LAN:8080", "stage1.example"])
async def test_allowed_names_are_served(known_elsewhere: httpx.AsyncClient, host: str) -> None:
    assert (await known_elsewhere.get("/livez", headers={"host": host})).status_code == 200
    for scheme in ("http", "https"):
        own = {"host": host, "origin": f"{scheme}://{host}", "sec-fetch-site": "same-origin"}
        answer = await known_elsewhere.post("/api/runs", json={}, headers=own)
        refusal(answer, 400, "INVALID_REQUEST")
    other = {"host": host, "origin": "https://evil.example"}
    answer = await known_elsewhere.post("/api/runs", json={}, headers=other)
    refusal(answer, 403, "ORIGIN_REFUSED")


@pytest.mark.parametrize("host", ["stage1.lan", "stage1.example:1", "a.stage1.example", "*"])
async def test_only_allowed_names_are_served(known_elsewhere: httpx.AsyncClient, host: str) -> None:
    answer = await known_elsewhere.get("/livez", headers={"host": host})
    refusal(answer, 403, "HOST_REFUSED")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
async def test_loopback_names_are_served(alone: httpx.AsyncClient, host: str) -> None:
    headers = {"host": f"{host}:{alone.base_url.port}"}
    assert (await alone.get("/livez", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"origin": "https://127.0.0.1:{port}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/runs"), ("DELETE", "/api/runs/x")])
async def test_a_page_of_another_site_changes_nothing(
    alone: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str]
) -> None:
    given = {name: text.format(port=alone.base_url.port) for name, text in headers.items()}
    answer = await alone.request(method, path, headers={**JSON, **given}, content="{}")
    refusal(answer, 403, "ORIGIN_REFUSED")


async def test_a_form_that_a_page_can_post_without_asking_is_not_taken(
    alone: httpx.AsyncClient,
) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await alone.post("/api/runs", content="{}", headers={"content-type": media_type})
        refusal(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_own_pages_may_ask(alone: httpx.AsyncClient) -> None:
    own = f"http://127.0.0.1:{alone.base_url.port}"
    headers = {"origin": own, "sec-fetch-site": "same-origin"}
    answer = await alone.post("/api/runs", json={}, headers=headers)
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"dataset"}


async def test_every_answer_carries_the_headers_that_browsers_heed(
    alone: httpx.AsyncClient,
) -> None:
    for path in ("/", "/livez", "/nowhere", "/docs"):
        headers = (await alone.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


async def test_a_request_id_is_kept_or_made(alone: httpx.AsyncClient) -> None:
    kept = await alone.get("/nowhere", headers={"x-request-id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    assert kept.json()["details"]["request_id"] == "abc-1"
    made = await alone.get("/livez", headers={"x-request-id": "two words"})
    assert made.headers["x-request-id"] != "two words"
    assert len(made.headers["x-request-id"]) == 32


async def test_unknown_paths_and_methods_have_the_envelope(alone: httpx.AsyncClient) -> None:
    refusal(await alone.get("/api/nothing"), 404, "NO_SUCH_PATH")
    refusal(await alone.put("/api/runs"), 405, "METHOD_NOT_ALLOWED")


async def test_a_json_body_over_its_limit_is_refused(alone: httpx.AsyncClient) -> None:
    announced = await alone.post("/api/runs", content=b" " * (2 << 20), headers=JSON)
    refusal(announced, 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n",
        "hello\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_in_the_envelope(
    alone: httpx.AsyncClient, request_text: str
) -> None:
    reader, writer = await asyncio.open_connection(alone.base_url.host, alone.base_url.port)
    writer.write(request_text.encode())
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *lines = head.decode().splitlines()
    headers = [line.split(": ", 1) for line in lines]
    answer = httpx.Response(int(status.split()[1]), headers=dict(headers), content=body)
    refusal(answer, 400, "INVALID_REQUEST")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def raw(client: httpx.AsyncClient, *headers: str) -> str:
    """The status line of a POST with exactly these headers."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    host = f"Host: 127.0.0.1:{client.base_url.port}"
    lines = ["POST /api/runs HTTP/1.1", *([] if "Host" in str(headers) else [host]), *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(10):
        line = (await reader.readline()).decode()
    writer.close()
    await writer.wait_closed()
    return line


@pytest.mark.parametrize("length", ["9" * 19, "9" * 20, "9" * 5000, "-1", "1e3"])
async def test_a_length_beyond_all_bounds_is_refused(alone: httpx.AsyncClient, length: str) -> None:
    line = await raw(alone, "Content-Type: application/json", f"Content-Length: {length}")
    assert line.split()[1] in {"400", "413"}


@pytest.mark.parametrize("headers", [("Host: evil.example", "Host: localhost"), ("Host;",)])
async def test_a_host_that_is_said_twice_or_not_at_all_is_refused(
    alone: httpx.AsyncClient, headers: tuple[str, ...]
) -> None:
    assert (await raw(alone, *headers)).split()[1] in {"400", "403"}


async def test_a_body_over_its_limit_is_refused_also_when_its_length_is_not_told(
    alone: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (64 << 10)

    answer = await alone.post("/api/runs", content=endless(), headers=JSON)
    refusal(answer, 413, "BODY_TOO_LARGE")


async def test_an_upload_over_its_limit_is_refused(alone: httpx.AsyncClient) -> None:
    files = {"ohlcv": ("bars.csv", b"x" * (1100 << 10))}
    refusal(await alone.post("/api/datasets", files=files), 413, "BODY_TOO_LARGE")


async def test_more_files_than_there_are_names_for_are_refused(alone: httpx.AsyncClient) -> None:
    files = [("ohlcv", (f"{i}.csv", b"x")) for i in range(4)]
    answer = await alone.post("/api/datasets", files=files)
    refusal(answer, 400, "BAD_REQUEST")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_fills_while_an_upload_is_read_is_not_the_callers_fault(
    alone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class Full(SpooledTemporaryFile[bytes]):
        def write(self, data: object) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", Full)
    answer = await alone.post("/api/datasets", files={"ohlcv": ("bars.csv", b"x")})
    refusal(answer, 507, "DISK_FULL")


async def test_a_part_that_is_given_twice_is_refused(alone: httpx.AsyncClient) -> None:
    files = [("ohlcv", (f"{i}.csv", b"x")) for i in range(2)]
    answer = await alone.post("/api/datasets", files=files, data={"slug": ["a", "b"]})
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"ohlcv", "slug"}
    assert "ohlcv is given more than once" in answer.json()["error"]


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'"text"', b"\xff\xfe", b"{}", b'{"dataset": 5}', b"null"]
)
async def test_a_body_that_is_no_run_is_400(alone: httpx.AsyncClient, content: bytes) -> None:
    refusal(await alone.post("/api/runs", content=content, headers=JSON), 400, "INVALID_REQUEST")


async def test_a_body_deeper_than_anyone_needs_is_400(alone: httpx.AsyncClient) -> None:
    content = b'{"dataset":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await alone.post("/api/runs", content=content, headers=JSON)
    assert answer.status_code == 400


async def test_a_run_of_version_0_is_refused(alone: httpx.AsyncClient) -> None:
    answer = await alone.post("/api/runs", json={"dataset": "a", "version": 0})
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"version"}


@pytest.mark.parametrize("value", [{"a": 1}, [1], None])
async def test_a_parameter_that_is_no_single_value_is_named_once(
    alone: httpx.AsyncClient, value: object
) -> None:
    body = {"dataset": "a", "hyperparameters": {"learning_rate": value}}
    answer = await alone.post("/api/runs", json=body)
    assert refusal(answer, 400, "INVALID_REQUEST")["fields"] == [
        {
            "field": "hyperparameters.learning_rate",
            "message": "must be a number, a text or true/false",
        }
    ]


async def test_what_is_misspelt_is_named(alone: httpx.AsyncClient) -> None:
    body = {"dataset": "a", "walk_config": {"trainsize": 5}, "targt": 1}
    answer = await alone.post("/api/runs", json=body)
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"walk_config.trainsize", "targt"}
    answer = await alone.get("/api/datasets?limt=5")
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"limt"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/datasets?limit=0", "limit"),
        ("/api/datasets?limit=1001", "limit"),
        ("/api/datasets?offset=-1", "offset"),
        ("/api/datasets/a/ohlcv?start_index=-1", "start_index"),
        ("/api/datasets/a/ohlcv?end_index=99999999999999999999", "end_index"),
        ("/api/datasets/a/ohlcv?start_ts_ms=1e400", "start_ts_ms"),
        ("/api/datasets/a/ohlcv?format=xml", "format"),
        ("/api/datasets/a/manifest?version=3000000000", "version"),
        ("/api/datasets/a/manifest?version=0", "version"),
        ("/api/datasets/a/ohlcv?version=0", "version"),
        ("/api/runs?status=DONE", "status"),
        ("/api/runs/x/predictions?folds=1,two", "folds"),
        ("/api/runs/x/predictions?folds=99999999999", "folds"),
        (f"/api/runs/x/predictions?folds={'9' * 5000}", "folds"),
    ],
)
async def test_a_number_out_of_its_bounds_names_its_field(
    alone: httpx.AsyncClient, path: str, field: str
) -> None:
    assert field in fields(refusal(await alone.get(path), 400, "INVALID_REQUEST"))


@pytest.mark.parametrize("text", ["-5", str(2**63), "9" * 5000])
async def test_a_bad_last_event_id_is_400(alone: httpx.AsyncClient, text: str) -> None:
    answer = await alone.get("/api/runs/x/events", headers={"last-event-id": text})
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"Last-Event-ID"}
    assert len(answer.json()["error"]) < 100


async def test_a_service_that_is_away_is_503_and_may_come_back(alone: httpx.AsyncClient) -> None:
    answer = await alone.get("/api/datasets")
    refusal(answer, 503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"] == "The dataset service cannot be reached."


async def test_health_says_which_service_is_away(alone: httpx.AsyncClient) -> None:
    assert (await alone.get("/livez")).json() == {"status": "ok"}
    ready = await alone.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})
    health = await alone.get("/healthz")
    assert health.status_code == 503
    states = {name: found["status"] for name, found in health.json()["services"].items()}
    assert states == {"dataset": "UNREACHABLE", "runs": "UNREACHABLE"}


async def test_the_first_page_says_so_too(alone: httpx.AsyncClient) -> None:
    page = await alone.get("/")
    assert page.status_code == 200
    assert "The dataset service cannot be reached." in page.text
    assert "UNREACHABLE" in page.text


def test_a_port_that_is_taken_is_one_clear_sentence() -> None:
    with listening(GatewaySettings(listen="127.0.0.1:0")) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"Cannot listen on 127.0.0.1:{port}"):
            listening(GatewaySettings(listen=f"127.0.0.1:{port}"))
