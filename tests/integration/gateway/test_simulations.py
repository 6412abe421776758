"""Simulations over the real services."""

from __future__ import annotations

import csv
import io
from uuid import uuid4

import httpx
import pytest

from tests.integration.gateway.conftest import House
from tests.integration.gateway.house import fields, refusal

TRADE_KEYS = {
    *("trade_id", "simulation_id", "fold", "side", "size", "entry_time", "exit_time"),
    *("entry_price", "exit_price", "entry_signal", "exit_signal", "pnl", "return_pct"),
    *("cumulative_return_pct", "exit_reason", "bars_held"),
}


async def test_a_simulation_says_what_came_out_beside_buy_and_hold(house: House) -> None:
    simulation = house.simulation
    assert (simulation["status"], simulation["run_id"]) == ("COMPLETED", house.run["run_id"])
    assert simulation["dataset_id"] == house.dataset["dataset_id"]
    assert simulation["settings"]["stop_pct"] == 0.5
    assert (simulation["settings"]["notional"], simulation["settings"]["mode"]) == (1000, "dual")
    assert simulation["bars"] == 300
    for kind in ("performance", "long_only", "short_only", "buy_hold"):
        assert {"total_return_pct", "profit_factor", "sharpe_ratio", "win_rate"} <= set(
            simulation[kind]
        )
    sides = [simulation[side]["total_trades"] for side in ("long_only", "short_only")]
    assert simulation["performance"]["total_trades"] == sum(sides)


async def test_trades_have_the_fields_existing_clients_read(house: House) -> None:
    path = f"/api/simulations/{house.simulation['simulation_id']}/trades"
    answer = (await house.client.get(path)).json()
    trades = answer["trades"]
    assert answer["count"] == len(trades) == house.simulation["performance"]["total_trades"] > 0
    assert set(trades[0]) >= TRADE_KEYS
    total = house.simulation["performance"]["total_return_pct"]
    assert trades[-1]["cumulative_return_pct"] == pytest.approx(total)
    assert sum(trade["pnl"] for trade in trades) == pytest.approx(total * 10)
    assert all(trade["entry_time"].endswith("Z") for trade in trades)


async def test_trades_as_csv_are_the_same(house: House) -> None:
    path = f"/api/simulations/{house.simulation['simulation_id']}/trades"
    trades = (await house.client.get(path)).json()["trades"]
    answer = await house.client.get(f"{path}?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["exit_reason"] for row in rows] == [trade["exit_reason"] for trade in trades]
    assert [float(row["pnl"]) for row in rows] == [trade["pnl"] for trade in trades]


async def test_the_older_name_gives_the_same_trades(house: House) -> None:
    simulation_id = house.simulation["simulation_id"]
    older = await house.client.get(f"/api/tradesim/runs/{simulation_id}/trades")
    newer = await house.client.get(f"/api/simulations/{simulation_id}/trades")
    assert older.json() == newer.json()


async def test_equity_has_every_bar_and_ends_where_the_trades_do(house: House) -> None:
    path = f"/api/simulations/{house.simulation['simulation_id']}/equity"
    answer = (await house.client.get(path)).json()
    assert answer["count"] == len(answer["equity"]) == 300
    total = house.simulation["performance"]["total_return_pct"]
    assert answer["equity"][-1]["equity"] == pytest.approx(1000 + 10 * total)
    text = (await house.client.get(path, headers={"accept": "text/csv"})).text
    assert text.splitlines()[0] == ",".join(answer["equity"][0])
    assert len(text.splitlines()) == 301


async def test_simulations_are_listed_by_run_and_dataset(house: House) -> None:
    async def found(**params: str) -> list[str]:
        answer = (await house.client.get("/api/simulations", params=params)).json()
        assert answer["count"] == len(answer["simulations"])
        return [one["simulation_id"] for one in answer["simulations"]]

    mine = house.simulation["simulation_id"]
    assert mine in await found(run_id=house.run["run_id"], status="COMPLETED")
    assert mine in await found(dataset_id=house.dataset["dataset_id"])
    assert mine in await found(dataset_id="eurusd_1h")
    assert await found(run_id=str(uuid4())) == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"stop_pct": 100}, "settings.stop_pct"),
        ({"stop_pct": -1}, "settings.stop_pct"),
        ({"trailing_stop": True}, "settings.trailing_stop"),
        ({"threshold": "own"}, "settings.threshold"),
        ({"fee_bps": 1001}, "settings.fee_bps"),
        ({"notional": 1e400}, "settings.notional"),
        ({"max_holding_bars": 2**40}, "settings.max_holding_bars"),
        ({"mode": "both"}, "settings.mode"),
        ({"stop": 3}, "settings.stop"),
    ],
)
async def test_wrong_settings_are_named(
    house: House, settings: dict[str, object], field: str
) -> None:
    body = {"run_id": house.run["run_id"], "settings": settings}
    text = httpx.Request("POST", "/", json=body) if 1e400 not in settings.values() else None
    content = text.content if text else b'{"run_id": "x", "settings": {"notional": 1e400}}'
    answer = await house.client.post(
        "/api/simulations", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert field in fields(answer.json()["details"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stop_pct": 200}, "settings.stop_pct is 200, and must be less than 100."),
        ({"stop_pct": 0}, "settings.stop_pct is 0, and must be greater than 0."),
        ({"target_pct": -1.5}, "settings.target_pct is -1.5, and must be greater than 0."),
        ({"trailing_stop": True}, "settings.trailing_stop needs a stop_pct to trail by."),
    ],
)
async def test_a_refused_setting_is_told_in_the_callers_unit(
    house: House, settings: dict[str, object], sentence: str
) -> None:
    body = {"run_id": house.run["run_id"], "settings": settings}
    answer = await house.client.post("/api/simulations", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, sentence)


async def test_a_simulation_of_no_run_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/simulations", json={"run_id": str(uuid4())})
    refusal(answer, 404, "RUN_NOT_FOUND")


@pytest.mark.parametrize("path", ["", "/trades", "/equity", "/events"])
async def test_a_simulation_that_is_not_there_is_404(client: httpx.AsyncClient, path: str) -> None:
    refusal(await client.get(f"/api/simulations/{uuid4()}{path}"), 404, "SIMULATION_NOT_FOUND")
    refusal(await client.get(f"/api/simulations/seven{path}"), 400, "INVALID_REQUEST")


async def test_a_simulation_is_deleted(house: House) -> None:
    created = await house.client.post(
        "/api/simulations",
        json={"run_id": house.run["run_id"]},
        headers={"Idempotency-Key": uuid4().hex},
    )
    address = created.headers["location"]
    async with house.client.stream("GET", f"{address}/events") as events:
        await events.aread()
    refusal(await house.client.post(f"{address}/cancel"), 409, "SIMULATION_FINISHED")
    assert (await house.client.delete(address)).status_code == 204
    assert (await house.client.get(address)).status_code == 404
