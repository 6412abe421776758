"""Which run or simulation is meant: its id, or `latest`."""

from __future__ import annotations

from gateway.cli.api import Api
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

LATEST = "latest"


def run_path(api: Api, name: str) -> str:
    return f"/api/runs/{_id(api, name, 'run')}"


def simulation_path(api: Api, name: str) -> str:
    return f"/api/simulations/{_id(api, name, 'simulation')}"


def _id(api: Api, name: str, noun: str) -> str:
    if name != LATEST:
        return name
    found = api.get(f"/api/{noun}s", {"limit": 1})[f"{noun}s"]
    if not found:
        raise Failure(f"There is no {noun} yet.", ExitCode.NOT_FOUND)
    newest: str = found[0][f"{noun}_id"]
    return newest
