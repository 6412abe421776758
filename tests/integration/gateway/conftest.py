"""All of Stage1 in this process, once for these tests, with one run and one simulation done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.integration.gateway.house import (
    SPEC,
    Services,
    ended,
    gateway,
    imported,
    services,
    workers,
)


@dataclass(frozen=True, kw_only=True)
class House:
    client: httpx.AsyncClient
    services: Services
    dataset: dict[str, Any]
    run: dict[str, Any]
    simulation: dict[str, Any]


@pytest.fixture(scope="package")
async def house(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    name = f"t{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = make_conninfo(postgres_server, dbname=name)
    async with (
        services(dsn, tmp_path_factory.mktemp("data")) as known,
        workers(known),
        gateway(**vars(known)) as client,
    ):
        dataset = await imported(client, "eurusd_1h", source="gym-anytrading")
        run = await ended(client, "/api/runs", {"dataset": "eurusd_1h", "name": "first", **SPEC})
        settings = {"stop_pct": 0.5, "fee_bps": 1}
        simulation = await ended(
            client, "/api/simulations", {"run_id": run["run_id"], "settings": settings}
        )
        yield House(client=client, services=known, dataset=dataset, run=run, simulation=simulation)


@pytest.fixture
def client(house: House) -> httpx.AsyncClient:
    return house.client
