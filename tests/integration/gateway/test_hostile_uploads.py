"""Uploads that no honest client sends: each is refused as what it is, and nothing breaks."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable

import httpx
import pytest

from tests.integration.gateway.house import fields, gateway, refusal
from tests.integration.gateway.scripted import example
from tests.integration.gateway.test_publishing import before
from tests.integration.gateway.told_datasets import ToldDatasets

PATHS = ["/api/datasets", "/api/datasets/a/append", "/api/datasets/a/export"]
UPLOADS = [*PATHS, "/api/datasets/a/verify", "/api/datasets/sniff"]
BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def body(*parts: bytes) -> bytes:
    joined = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts)
    return joined + f"--{BOUNDARY}--\r\n".encode()


def file_named(name: bytes, field: bytes = b"ohlcv") -> bytes:
    disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (field, name)
    return body(disposition + b"\r\n\r\nrows")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"../../etc/passwd", "passwd"),
        (b"/abs/olute.csv", "olute.csv"),
        (b"C:\\\\Users\\\\me\\\\bars.csv", "bars.csv"),
        (b"no path", "no path"),
    ],
)
async def test_of_a_path_the_last_step_is_kept(name: bytes, kept: str) -> None:
    told = example(ToldDatasets)
    async with before(told) as client:
        answer = await client.post("/api/datasets/a/append", content=file_named(name), headers=FORM)
    assert answer.status_code == 200, answer.text
    assert told.header.parts[0].file_name == kept


@pytest.mark.parametrize("name", [b"a\x00b.csv", b"a" * 4096 + b".csv", "\u202egpj.csv".encode()])
async def test_a_name_that_cannot_be_shown_is_400(client: httpx.AsyncClient, name: bytes) -> None:
    content = file_named(name)
    answer = await client.post("/api/datasets/eurusd_1h/export", content=content, headers=FORM)
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"ohlcv_file_name"}


@pytest.mark.parametrize("path", UPLOADS)
async def test_too_many_fields_are_400(client: httpx.AsyncClient, path: str) -> None:
    content = body(
        *(b'Content-Disposition: form-data; name="f%d"\r\n\r\nx' % number for number in range(65))
    )
    answer = await client.post(path, content=content, headers=FORM)
    assert answer.status_code == 400, answer.text
    assert answer.json()["details"]["request_id"]


@pytest.mark.parametrize("path", UPLOADS)
async def test_too_many_files_are_400(client: httpx.AsyncClient, path: str) -> None:
    part = b'Content-Disposition: form-data; name="f%d"; filename="f"\r\n\r\nx'
    content = body(*(part % number for number in range(4)))
    assert (await client.post(path, content=content, headers=FORM)).status_code == 400


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_missing_boundary_is_400(client: httpx.AsyncClient, path: str) -> None:
    headers = {"content-type": "multipart/form-data"}
    answer = await client.post(path, content=file_named(b"a.csv"), headers=headers)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("path", UPLOADS)
@pytest.mark.parametrize(
    "media_type", ["text/csv", "application/x-www-form-urlencoded", "nonsense"]
)
async def test_another_media_type_is_415(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    answer = await client.post(path, content=b"a=b", headers={"content-type": media_type})
    refusal(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_field_given_twice_is_400(client: httpx.AsyncClient, path: str) -> None:
    part = b'Content-Disposition: form-data; name="ohlcv_zone"\r\n\r\nUTC'
    answer = await client.post(path, content=body(part, part), headers=FORM)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_body_over_the_limit_is_413(path: str) -> None:
    async with gateway(max_upload_bytes=1 << 10) as client:
        files = {"ohlcv": ("bars.csv", bytes(2 << 10))}
        refusal(await client.post(path, files=files), 413, "BODY_TOO_LARGE")


async def test_json_over_its_limit_is_413(client: httpx.AsyncClient) -> None:
    metadata = {"metadata": {"a": "x" * (2 << 20)}}
    refusal(await client.post("/api/datasets", json=metadata), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("text", ["{", "[]", '"text"', '{"slug": 7}', '{"targets": [{"name": 1}]}'])
async def test_json_that_is_none_of_ours_is_400(client: httpx.AsyncClient, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/api/datasets", content=text, headers=headers)
    refusal(answer, 400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "manifest",
    [
        '{"symbol": "' + "x" * 1000 + '"}',
        '{"columns": [' + ",".join(['{"name": "a"}'] * 4001) + "]}",
        "[" * 10_000,
        '{"ohlcv_rows": 1e400}',
        '{"ohlcv_rows": 9223372036854775808}',
        " " * (9 << 20),
    ],
    ids=["long text", "many columns", "deep", "infinite", "beyond int64", "large"],
)
async def test_a_manifest_beyond_all_bounds_is_400(
    client: httpx.AsyncClient, manifest: str
) -> None:
    files = {"ohlcv": ("b.csv", b"x"), "manifest": ("manifest.json", manifest.encode())}
    answer = await client.post("/api/datasets", files=files)
    details = refusal(answer, 400, "INVALID_REQUEST")
    assert all(name.startswith("manifest") for name in fields(details))


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bars.csv", data)
    return sink.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
async def test_a_bomb_is_413_and_leaves_nothing(
    client: httpx.AsyncClient, pack: Callable[[bytes], bytes]
) -> None:
    bomb = {"ohlcv": ("bars.csv", pack(bytes(200 << 20)))}
    data = {"slug": "bomb", "symbol": "X"}
    answer = await client.post("/api/datasets", data=data, files=bomb)
    assert answer.status_code == 413, answer.text
    assert (await client.get("/api/datasets/bomb")).status_code == 404
