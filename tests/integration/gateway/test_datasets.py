"""Datasets over the real service."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.gateway.conftest import House
from tests.integration.gateway.house import BARS, FIELDS, INDICATORS, fields, imported, refusal

FILES = {
    "ohlcv": ("bars.csv", BARS.read_bytes()),
    "indicators": ("ind.txt", INDICATORS.read_bytes()),
}
DATASET_KEYS = {
    *("dataset_id", "dataset_slug", "symbol", "granularity", "source", "ohlcv_measurement"),
    *("indicator_measurement", "ohlcv_row_count", "indicator_row_count", "ohlcv_first_ts"),
    *("ohlcv_last_ts", "indicator_first_ts", "indicator_last_ts", "metadata", "created_at"),
}


async def test_an_import_answers_what_was_published(house: House) -> None:
    said = house.dataset
    assert set(said) >= {
        *("dataset_id", "version", "ohlcv_measurement", "indicator_measurement", "report")
    }
    assert (said["version"], said["ohlcv_measurement"]) == (1, "eurusd_1h_v1_ohlcv_a1")
    roles = {c["name"]: c["role"] for c in said["report"]["columns"]}
    assert (roles["TGT_FWD6"], roles["RSI_14"], roles["close"]) == ("target", "feature", "price")
    assert said["report"]["missing_slots"] == 15


async def test_a_dataset_has_the_fields_existing_clients_read(client: httpx.AsyncClient) -> None:
    detail = (await client.get("/api/datasets/eurusd_1h")).json()
    assert set(detail) >= DATASET_KEYS
    assert (detail["ohlcv_row_count"], detail["indicator_row_count"]) == (6225, 6099)
    assert detail["ohlcv_first_ts"] == 1_483_308_000_000
    assert (detail["versions"], detail["metadata"]) == ([1], {})
    assert detail["created_at"].endswith("Z")
    listed = [
        (await client.get(path, params={"dataset_id": detail["dataset_id"]})).json()["count"]
        for path in ("/api/runs", "/api/simulations")
    ]
    assert [detail["runs"], detail["simulations"]] == listed
    for link in detail["links"].values():
        assert (await client.get(link, params={"limit": 1} if "runs" in link else {})).is_success


async def test_a_dataset_is_found_by_uuid_and_by_slug(house: House) -> None:
    by_id = await house.client.get(f"/api/datasets/{house.dataset['dataset_id']}")
    assert by_id.json() == (await house.client.get("/api/datasets/eurusd_1h")).json()


@pytest.mark.parametrize("path", ["/api/runs", "/api/simulations"])
async def test_runs_of_a_dataset_are_found_by_the_same_names(
    client: httpx.AsyncClient, path: str
) -> None:
    """A slug may be 32 hexadecimal digits, which are no UUID without hyphens."""
    nobody = uuid4()
    answer = await client.get(path, params={"dataset_id": str(nobody)})
    assert answer.json()["count"] == 0
    for slug in ("nobody", "a" + nobody.hex[1:]):
        refusal(await client.get(path, params={"dataset_id": slug}), 404, "NOT_FOUND")
    answer = await client.get(path, params={"dataset_id": f"{{{nobody}}}"})
    assert "neither a slug nor a UUID" in answer.json()["error"]


async def test_the_manifest_says_what_the_rows_are(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    assert (manifest["lookback_rows"], manifest["lookahead_rows"]) == (120, 6)
    assert (manifest["calendar"], manifest["gap_policy"]) == ("24x5_fx", "mark")
    assert sum(gap["missing"] for gap in manifest["gaps"]) == 15
    assert len(manifest["content_hash"]) == 64
    target = next(c for c in manifest["columns"] if c["name"] == "TGT_FWD6")
    assert (target["role"], target["horizon_bars"], target["table"]) == ("target", 6, "indicators")


async def test_what_the_caller_has_is_304(client: httpx.AsyncClient) -> None:
    first = await client.get("/api/datasets/eurusd_1h/manifest?version=1")
    again = await client.get(
        "/api/datasets/eurusd_1h/manifest?version=1",
        headers={"if-none-match": first.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("name", ["nothing_here", str(uuid4())])
async def test_a_dataset_that_is_not_there_is_404(client: httpx.AsyncClient, name: str) -> None:
    for path in ("", "/manifest", "/ohlcv", "/indicators", "/index_map", "/runs"):
        assert (await client.get(f"/api/datasets/{name}{path}")).status_code == 404
    assert (await client.delete(f"/api/datasets/{name}")).status_code == 404


async def test_a_name_that_is_none_is_400(client: httpx.AsyncClient) -> None:
    details = refusal(await client.get("/api/datasets/No Slug"), 400, "INVALID_REQUEST")
    assert fields(details) == {"dataset"}
    assert (await client.get("/api/datasets/" + "a" * 100)).status_code == 400


async def test_a_version_that_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/datasets/eurusd_1h/manifest?version=99")).status_code == 404


async def test_a_slug_that_exists_is_409(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/datasets", data={"slug": "eurusd_1h", **FIELDS}, files=FILES)
    refusal(answer, 409, "SLUG_TAKEN")


async def test_a_dataset_id_publishes_a_new_version(client: httpx.AsyncClient) -> None:
    first = await imported(client, "versions")
    second = await imported(client, "versions", dataset_id=first["dataset_id"], source="again")
    assert (second["dataset_id"], second["version"]) == (first["dataset_id"], 2)
    third = await imported(client, "versions", dataset_id="versions")
    assert (third["dataset_id"], third["version"]) == (first["dataset_id"], 3)
    assert (await client.get("/api/datasets/versions")).json()["versions"] == [1, 2, 3]


async def test_a_dataset_id_that_nobody_has_is_404(client: httpx.AsyncClient) -> None:
    data = {"slug": "nobody", "dataset_id": "nobody", **FIELDS}
    answer = await client.post("/api/datasets", data=data, files=FILES)
    refusal(answer, 404, "NOT_FOUND")


async def test_the_same_key_gives_the_same_answer(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    data = {"slug": "once", **FIELDS}
    first = await client.post("/api/datasets", data=data, files=FILES, headers=key)
    again = await client.post("/api/datasets", data=data, files=FILES, headers=key)
    assert (first.status_code, again.json()) == (201, first.json())
    other = {**data, "source": "elsewhere"}
    answer = await client.post("/api/datasets", data=other, files=FILES, headers=key)
    refusal(answer, 409, "IDEMPOTENCY_KEY_REUSED")


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("some.txt", data)
    return sink.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
async def test_packed_files_are_the_same_rows(
    client: httpx.AsyncClient, pack: Callable[[bytes], bytes]
) -> None:
    packed = {n: (f"{name}.packed", pack(data)) for n, (name, data) in FILES.items()}
    slug = f"packed_{pack.__name__}"
    answer = await client.post("/api/datasets", data={"slug": slug, **FIELDS}, files=packed)
    assert answer.status_code == 201, answer.text
    plain = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    manifest = (await client.get(f"/api/datasets/{slug}/manifest")).json()
    assert manifest["content_hash"] == plain["content_hash"]


async def test_fields_may_follow_the_files(client: httpx.AsyncClient) -> None:
    boundary = "b0undary"
    parts = [
        b'Content-Disposition: form-data; name="ohlcv"; filename="bars.csv"\r\n\r\n'
        + BARS.read_bytes(),
        b'Content-Disposition: form-data; name="slug"\r\n\r\nfields_last',
        b'Content-Disposition: form-data; name="symbol"\r\n\r\nEURUSD',
    ]
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    answer = await client.post(
        "/api/datasets",
        content=body + f"--{boundary}--\r\n".encode(),
        headers={"content-type": f"multipart/form-data; boundary={boundary}"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["indicator_measurement"] is None
    assert answer.headers["location"] == f"/api/datasets/{answer.json()['dataset_id']}"


async def test_a_manifest_stands_for_the_fields_it_has(client: httpx.AsyncClient) -> None:
    manifest = (await client.get("/api/datasets/eurusd_1h/manifest")).json()
    manifest["dataset_slug"] = "from_manifest"
    files = {**FILES, "manifest": ("manifest.json", json.dumps(manifest).encode())}
    answer = await client.post("/api/datasets", files=files)
    assert answer.status_code == 201, answer.text
    made = (await client.get("/api/datasets/from_manifest/manifest")).json()
    ours = {"dataset_id", "ohlcv_measurement", "indicator_measurement", "exported_at"}
    kept = set(manifest) - ours - {"exported_at_ms"}
    assert {name: made[name] for name in kept} == {name: manifest[name] for name in kept}


async def test_a_manifest_that_the_rows_contradict_is_refused(client: httpx.AsyncClient) -> None:
    claimed = json.dumps({"dataset_slug": "claimed", "symbol": "EURUSD", "ohlcv_rows": 7})
    answer = await client.post("/api/datasets", data={"manifest": claimed}, files=FILES)
    assert answer.status_code == 400
    assert "7" in answer.json()["error"]
    assert "manifest.ohlcv_rows" in fields(answer.json()["details"])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"slug": "No"}, "slug"),
        ({"slug": "a", "calendar": "lunar"}, "calendar"),
        ({"slug": "a", "metadata": "{"}, "metadata"),
        ({"slug": "a", "metadata": '{"a": {"b": 1}}'}, "metadata.a"),
        ({"slug": "a", "targets": '[{"nam": "x"}]'}, "targets.0.name"),
        ({"slug": "a", "targets": '[{"name": "x", "horizon_bars": 0}]'}, "targets.0.horizon_bars"),
        ({"slug": "a", "manifest": "[]"}, "manifest"),
        ({"slug": "a", "ohlcv_format": "pdf"}, "ohlcv_format"),
        ({"slug": "a", "ohlcv_separator": ";;"}, "ohlcv_separator"),
        ({"slug": "a", "indicators_zone": "Mars/Base"}, "indicators_zone"),
        ({"slug": "a", "colour": "red"}, "colour"),
        ({"slug": "a", "dataset_id": "Seven!"}, "dataset_id"),
    ],
)
async def test_a_wrong_field_is_named_as_the_caller_knows_it(
    client: httpx.AsyncClient, data: dict[str, str], field: str
) -> None:
    answer = await client.post("/api/datasets", data={"symbol": "X", **data}, files=FILES)
    assert answer.status_code == 400, answer.text
    assert field in fields(answer.json()["details"])


async def test_bars_are_needed(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/datasets", data={"slug": "a"}, files={"indicators": FILES["indicators"]}
    )
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"ohlcv"}


async def test_a_bad_file_is_refused_with_its_line_and_leaves_nothing(
    client: httpx.AsyncClient,
) -> None:
    broken = BARS.read_bytes().replace(b"1.05227,1.05426", b"1.05227,0.90000", 1)
    answer = await client.post(
        "/api/datasets", data={"slug": "broken", **FIELDS}, files={"ohlcv": ("b.csv", broken)}
    )
    assert answer.status_code == 400
    assert "1 line: 3" in answer.json()["error"]
    assert (await client.get("/api/datasets/broken")).status_code == 404


async def test_a_gzip_file_that_stops_early_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient,
) -> None:
    torn = gzip.compress(BARS.read_bytes())[:-20]
    answer = await client.post(
        "/api/datasets", data={"slug": "torn", **FIELDS}, files={"ohlcv": ("b.csv.gz", torn)}
    )
    assert fields(refusal(answer, 400, "FILE_REFUSED")) == {"ohlcv"}
    assert (await client.get("/api/datasets/torn")).status_code == 404


@pytest.mark.parametrize(
    "content", [b"", b"--b\r\n", b"no parts at all", b"--b\r\nContent-Disposition: x\r\n\r\n--b--"]
)
async def test_a_form_that_is_none_is_400(client: httpx.AsyncClient, content: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await client.post("/api/datasets", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


async def test_json_to_an_append_is_415(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/datasets/eurusd_1h/append", json={})
    refusal(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_json_without_files_names_the_tables_that_are_there(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/api/datasets", json={"slug": "a"})
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"ohlcv_measurement"}


async def test_a_packed_form_is_415(client: httpx.AsyncClient) -> None:
    headers = {
        "content-type": "multipart/form-data; boundary=b",
        "content-encoding": "gzip",
    }
    answer = await client.post("/api/datasets", content=gzip.compress(b"x"), headers=headers)
    refusal(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def listed(client: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = (await client.get("/api/datasets", params={"text": "page_", **params})).json()
    assert answer["count"] == len(answer["datasets"])
    return [d["dataset_slug"] for d in answer["datasets"]]


async def test_lists_are_paged_by_token_and_by_offset(client: httpx.AsyncClient) -> None:
    for number in range(3):
        files = {"ohlcv": FILES["ohlcv"]}
        data = {"slug": f"page_{number}", "symbol": "X"}
        assert (await client.post("/api/datasets", data=data, files=files)).status_code == 201
    assert await listed(client) == ["page_2", "page_1", "page_0"]
    assert await listed(client, limit=1, offset=1) == ["page_1"]
    first = (await client.get("/api/datasets", params={"text": "page_", "limit": 2})).json()
    token = first["next_page_token"]
    assert await listed(client, limit=2, page_token=token) == ["page_0"]
    assert await listed(client, symbol="Y") == []
    answer = await client.get("/api/datasets?page_token=nonsense")
    assert fields(refusal(answer, 400, "INVALID_REQUEST")) == {"page_token"}


async def test_a_dataset_in_use_is_deleted_only_by_force(house: House) -> None:
    refusal(await house.client.delete("/api/datasets/eurusd_1h"), 409, "DATASET_PINNED")
    await imported(house.client, "short_lived")
    gone = await house.client.delete("/api/datasets/short_lived?force=true")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await house.client.get("/api/datasets/short_lived")).status_code == 404
