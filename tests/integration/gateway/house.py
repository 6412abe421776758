"""The gateway on a port of its own, and the services behind it in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import SecretStr

from gateway.http.__main__ import listening, server
from gateway.http.settings import GatewaySettings
from services.dataset.__main__ import running as dataset_running
from services.dataset.settings import DatasetSettings
from services.runs.__main__ import running as runs_running
from services.runs.settings import RunsSettings
from services.simulator.__main__ import running as simulator_running
from services.simulator.settings import SimulatorSettings
from services.trainer.__main__ import running as trainer_running
from services.trainer.settings import TrainerSettings

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
BARS: Final = EXAMPLES / "eurusd_1h_2017_ask.csv"
INDICATORS: Final = EXAMPLES / "eurusd_1h_2017_indicators.txt"
FIELDS: Final = {
    "symbol": "EURUSD",
    "granularity": "1h",
    "calendar": "24x5_fx",
    "targets": json.dumps(
        [{"name": name, "horizon_bars": 6} for name in ("TGT_FWD6", "TGT_PLANTED")]
    ),
}
SPEC: Final[dict[str, Any]] = {
    "target_column": "TGT_PLANTED",
    "walk_config": {"train_size": 1500, "test_size": 100, "fold_step": 100, "end_fold": 3},
    "hyperparameters": {"num_boost_round": 60, "min_boost_rounds": 10, "learning_rate": 0.1},
}
NOWHERE: Final = "127.0.0.1:1"


@dataclass(frozen=True, kw_only=True)
class Services:
    dataset_address: str
    runs_address: str


@asynccontextmanager
async def services(dsn: str, folder: Path) -> AsyncIterator[Services]:
    """Dataset and runs."""
    stores: dict[str, Any] = {"postgres_dsn": SecretStr(dsn), "data_dir": folder}
    common: dict[str, Any] = {"listen": "127.0.0.1:0", "drain_seconds": 1}
    async with dataset_running(DatasetSettings(**stores, **common)) as dataset:
        dataset_address = f"127.0.0.1:{dataset.port}"
        settings = RunsSettings(dataset_address=dataset_address, **stores, **common)
        async with runs_running(settings) as runs:
            yield Services(dataset_address=dataset_address, runs_address=f"127.0.0.1:{runs.port}")


@asynccontextmanager
async def workers(known: Services) -> AsyncIterator[None]:
    """A trainer and a simulator."""
    common: dict[str, Any] = {"listen": "127.0.0.1:0", "drain_seconds": 1, **vars(known)}
    async with (
        trainer_running(TrainerSettings(device="cpu", **common)),
        simulator_running(SimulatorSettings(**common)),
    ):
        yield


@asynccontextmanager
async def gateway(
    *, dataset_address: str = NOWHERE, runs_address: str = NOWHERE, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that serves until the block ends."""
    chosen = GatewaySettings(
        listen="127.0.0.1:0",
        dataset_address=dataset_address,
        runs_address=runs_address,
        drain_seconds=1,
        **settings,
    )
    listener = listening(chosen)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    running = server(chosen)
    serving = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        await serving


async def imported(client: httpx.AsyncClient, slug: str, **fields: str) -> dict[str, Any]:
    """What POST /api/datasets says of the example files."""
    files = {"ohlcv": BARS.open("rb"), "indicators": INDICATORS.open("rb")}
    try:
        answer = await client.post(
            "/api/datasets", data={"slug": slug, **FIELDS, **fields}, files=files
        )
    finally:
        for file in files.values():
            file.close()
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What became of a run or simulation, once its events have ended."""
    created = await client.post(path, json=body)
    assert created.status_code == 202, created.text
    address = created.headers["location"]
    async with client.stream("GET", f"{address}/events") as events:
        async for _ in events.aiter_raw():
            pass
    found: dict[str, Any] = (await client.get(address)).json()
    assert found["status"] == "COMPLETED", found
    return found


def refusal(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The details of a refusal, whose envelope is checked here."""
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert set(body) == {"error", "details"}
    assert body["error"].endswith(".")
    details: dict[str, Any] = body["details"]
    assert set(details) == {"reason", "fields", "request_id"}
    assert details["request_id"] == answer.headers["x-request-id"]
    assert details["reason"] == reason
    return details


def fields(details: dict[str, Any]) -> set[str]:
    return {one["field"] for one in details["fields"]}
