"""Runs over the real services."""

from __future__ import annotations

import csv
import io
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.gateway.conftest import House
from tests.integration.gateway.house import SPEC, fields, refusal

RUN_KEYS = {
    *("run_id", "dataset_id", "dataset_slug", "status", "target_column", "feature_columns"),
    *("hyperparameters", "walk_config", "summary_metrics", "fold_count", "created_at"),
    *("started_at", "completed_at", "duration_ms", "folds"),
}
FOLD_KEYS = {
    *("fold_number", "train_start_idx", "train_end_idx", "test_start_idx", "test_end_idx"),
    *("train_start_ts_ms", "train_end_ts_ms", "test_start_ts_ms", "test_end_ts_ms"),
    *("samples_train", "samples_test", "best_iteration", "best_score", "thresholds", "metrics"),
}
COLUMNS = [
    *("timestamp_ms", "bar_index", "fold_number", "prediction", "target"),
    *("long_threshold", "short_threshold"),
]
LATER: dict[str, Any] = {**SPEC, "hyperparameters": {"num_boost_round": 100_000}}


async def test_a_plan_has_the_folds_and_stores_nothing(client: httpx.AsyncClient) -> None:
    before = (await client.get("/api/runs?limit=1000")).json()["count"]
    spec = {
        "dataset": "eurusd_1h",
        "target_column": "TGT_FWD6",
        "walk_config": {"train_size": 1500, "test_size": 100, "fold_step": 100},
    }
    plan = (await client.post("/api/runs/plan", json=spec)).json()
    assert (plan["fold_count"], len(plan["folds"])) == (45, 45)
    assert (plan["folds"][0]["test_start_idx"], plan["folds"][0]["fit_end_idx"]) == (1509, 1200)
    assert (plan["indicator_rows"], plan["horizon_bars"]) == (6099, 6)
    assert plan["walk_config"]["train_test_gap"] == 9
    assert plan["hyperparameters"]["learning_rate"] == 0.01
    assert (await client.get("/api/runs?limit=1000")).json()["count"] == before


async def test_what_cannot_be_planned_names_the_fields_of_the_caller(
    client: httpx.AsyncClient,
) -> None:
    spec = {
        "dataset": "eurusd_1h",
        "target_column": "TGT_FWD6",
        "walk_config": {"train_size": 110, "test_size": 0},
    }
    answer = await client.post("/api/runs/plan", json=spec)
    assert answer.status_code == 400
    named = fields(answer.json()["details"])
    assert named
    assert all(name.startswith("walk_config") for name in named)
    assert "spec." not in answer.text


async def test_a_run_of_an_unknown_dataset_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/runs", json={"dataset": "nothing"})).status_code == 404


async def test_a_run_has_the_fields_existing_clients_read(house: House) -> None:
    run = house.run
    assert set(run) >= RUN_KEYS
    assert (run["status"], run["dataset_slug"], run["name"]) == ("COMPLETED", "eurusd_1h", "first")
    assert run["dataset_id"] == house.dataset["dataset_id"]
    assert (run["fold_count"], run["folds_completed"], len(run["folds"])) == (3, 3, 3)
    assert run["hyperparameters"]["learning_rate"] == 0.1
    assert run["walk_config"]["train_size"] == 1500
    assert run["duration_ms"] > 0
    assert run["summary_metrics"]["folds"] == 3
    assert set(run["summary_metrics"]) >= {
        *("hit_rate_long", "hit_rate_short", "hit_rate_overall", "pf_long", "pf_short", "pf_dual")
    }


async def test_folds_are_inline_and_alone_the_same(house: House) -> None:
    folds = (await house.client.get(f"/api/runs/{house.run['run_id']}/folds")).json()
    assert folds == {"folds": house.run["folds"], "count": 3}
    first = folds["folds"][0]
    assert set(first) >= FOLD_KEYS
    assert (first["stored"], first["samples_train"], first["samples_test"]) == (True, 1500, 100)
    assert first["thresholds"]["long_percentile"] > first["thresholds"]["short_percentile"]
    assert first["metrics"]["signals"]["percentile"]["dual"]["n_signals"] >= 0
    assert len(first["model_sha256"]) == 64


async def test_links_of_a_run_lead_somewhere(house: House) -> None:
    for link in house.run["links"].values():
        assert (await house.client.get(link)).is_success


async def test_runs_are_listed_by_what_they_are(house: House) -> None:
    async def found(path: str, **params: Any) -> list[str]:
        answer = (await house.client.get(path, params=params)).json()
        assert answer["count"] == len(answer["runs"])
        return [run["run_id"] for run in answer["runs"]]

    run_id, dataset_id = house.run["run_id"], house.dataset["dataset_id"]
    assert run_id in await found("/api/runs")
    assert run_id in await found("/api/runs", dataset_id=dataset_id, status="COMPLETED")
    assert run_id in await found("/api/runs", dataset_id="eurusd_1h")
    assert await found("/api/runs", dataset_id=str(uuid4())) == []
    refusal(await house.client.get("/api/runs?dataset_id=nobody"), 404, "NOT_FOUND")
    assert run_id in await found("/api/runs", slug="eurusd_1h", target="TGT_PLANTED", text="FIRS")
    assert run_id in await found("/api/datasets/eurusd_1h/runs")
    assert run_id in await found("/api/walkforward/runs")
    assert await found("/api/runs", target="TGT_FWD6", slug="eurusd_1h") == []
    assert await found("/api/runs", offset=99_000) == []


async def test_the_older_name_gives_the_same_run(house: House) -> None:
    answer = await house.client.get(f"/api/walkforward/runs/{house.run['run_id']}")
    assert answer.json() == house.run


async def test_predictions_are_csv_unless_asked_otherwise(house: House) -> None:
    answer = await house.client.get(f"/api/runs/{house.run['run_id']}/predictions")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == COLUMNS
    assert [int(row["bar_index"]) for row in rows] == list(range(1509, 1809))
    assert {row["fold_number"] for row in rows} == {"0", "1", "2"}


async def test_predictions_as_json_are_the_same_numbers(house: House) -> None:
    path = f"/api/runs/{house.run['run_id']}/predictions"
    text = (await house.client.get(path)).text
    answer = (await house.client.get(path, headers={"accept": "application/json"})).json()
    assert (answer["columns"], answer["count"]) == (COLUMNS, 300)
    rows = list(csv.reader(io.StringIO(text)))[1:]
    assert [[float(cell) for cell in row] for row in rows] == answer["dataset"]


async def test_some_predictions_are_some_of_them(house: House) -> None:
    path = f"/api/runs/{house.run['run_id']}/predictions"
    params = {"format": "json", "folds": "2, 1", "columns": "fold_number,bar_index"}
    answer = (await house.client.get(path, params=params)).json()
    assert set(answer["columns"]) == {"fold_number", "bar_index"}
    assert answer["count"] == 200
    first = house.run["folds"][0]["test_start_ts_ms"]
    window = {"format": "json", "start_ts_ms": first, "end_ts_ms": first + 3_600_000}
    assert (await house.client.get(path, params=window)).json()["count"] == 1
    nothing = {"start_ts_ms": 0, "end_ts_ms": 1}
    assert (await house.client.get(path, params=nothing)).text == ",".join(COLUMNS) + "\n"


async def test_a_column_of_predictions_that_is_not_there_is_named(house: House) -> None:
    path = f"/api/runs/{house.run['run_id']}/predictions?columns=colour"
    answer = await house.client.get(path)
    assert answer.status_code == 400
    assert "colour" in answer.json()["error"]


@pytest.mark.parametrize("path", ["", "/folds", "/predictions", "/events"])
async def test_a_run_that_is_not_there_is_404_and_one_that_is_none_is_400(
    client: httpx.AsyncClient, path: str
) -> None:
    refusal(await client.get(f"/api/runs/{uuid4()}{path}"), 404, "RUN_NOT_FOUND")
    details = refusal(await client.get(f"/api/runs/seven{path}"), 400, "INVALID_REQUEST")
    assert fields(details) == {"run_id"}


async def test_a_run_is_cancelled_mid_fold_and_then_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/runs", json={"dataset": "eurusd_1h", **LATER})
    address = created.headers["location"]
    refusal(await client.delete(address), 409, "RUN_NOT_FINISHED")
    assert (await client.post(f"{address}/cancel")).json()["status"] == "CANCELLED"
    assert (await client.post(f"{address}/cancel")).json()["status"] == "CANCELLED"
    gone = await client.delete(address)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(address)).status_code == 404


async def test_a_finished_run_cannot_be_cancelled(house: House) -> None:
    answer = await house.client.post(f"/api/runs/{house.run['run_id']}/cancel")
    refusal(answer, 409, "RUN_FINISHED")


async def test_the_same_key_gives_the_same_run(client: httpx.AsyncClient) -> None:
    key, body = {"Idempotency-Key": uuid4().hex}, {"dataset": "eurusd_1h", **LATER}
    first = await client.post("/api/runs", json=body, headers=key)
    again = await client.post("/api/runs", json=body, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["run_id"] == again.json()["run_id"]
    other = await client.post("/api/runs", json={**body, "name": "other"}, headers=key)
    refusal(other, 409, "IDEMPOTENCY_KEY_REUSED")
    await client.post(f"{first.headers['location']}/cancel")
    long = await client.post("/api/runs", json=body, headers={"Idempotency-Key": "k" * 129})
    assert fields(refusal(long, 400, "INVALID_REQUEST")) == {"Idempotency-Key"}
