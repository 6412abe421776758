"""What is killed or cancelled while a run is under way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway.cli.api import Api
from gateway.cli.events import Event, Followed
from gateway.cli.supervisor.stack import Stack
from tests.e2e.command import Command

FOLDS = 4


def slow_run(api: Api, dataset: str) -> str:
    """Folds of seconds each: many trees, and early stopping that never stops."""
    spec = {
        "dataset": dataset,
        "target_column": "TGT_FWD6",
        "walk_config": {"train_size": 1500, "test_size": 100, "fold_step": 100, "end_fold": FOLDS},
        "hyperparameters": {"num_boost_round": 1200, "min_boost_rounds": 1200},
    }
    created: str = api.post("/api/runs", spec)["run_id"]
    return created


def events(api: Api, run_id: str) -> Iterator[Event]:
    return iter(Followed(api, f"/api/runs/{run_id}/events"))


def csv(api: Api, run_id: str) -> bytes:
    with api.streamed(f"/api/runs/{run_id}/predictions") as response:
        return response.read()


@pytest.mark.timeout(600)
def test_a_run_whose_trainer_is_killed_ends_as_an_undisturbed_one(
    stage1: Stack, api: Api, dataset: str
) -> None:
    undisturbed = slow_run(api, dataset)
    list(events(api, undisturbed))
    killed = slow_run(api, dataset)
    trainer = None
    for event in events(api, killed):
        if event.kind == "fold_completed" and trainer is None:
            trainer = stage1.children["trainer"].pid
            assert trainer is not None
            os.kill(trainer, signal.SIGKILL)
    assert trainer is not None
    assert stage1.children["trainer"].pid not in (None, trainer)
    found = api.get(f"/api/runs/{killed}")
    assert (found["status"], found["attempt"]) == ("COMPLETED", 2)
    attempts = [fold["attempt"] for fold in found["folds"]]
    assert attempts[0] == 1
    assert attempts == sorted(attempts)
    assert attempts[-1] == 2
    assert csv(api, killed) == csv(api, undisturbed)
    same = ("summary_metrics", "folds_learned_nothing")
    reference = api.get(f"/api/runs/{undisturbed}")
    assert {n: found[n] for n in same} == {n: reference[n] for n in same}


@pytest.mark.timeout(600)
def test_cancel_works_in_the_middle_of_a_fold(api: Api, command: Command, dataset: str) -> None:
    run_id = slow_run(api, dataset)
    seen: list[Event] = []
    answer: Any = None
    for event in events(api, run_id):
        seen.append(event)
        one_is_stored = any(e.kind == "fold_completed" for e in seen)
        if event.kind == "progress" and one_is_stored and answer is None:
            answer = api.post(f"/api/runs/{run_id}/cancel")
    assert answer["status"] == "CANCELLED"
    assert seen[-1].data["status"] == "CANCELLED"
    found = api.get(f"/api/runs/{run_id}")
    assert 1 <= found["folds_completed"] < FOLDS
    assert found["summary_metrics"]["n_folds"] == found["folds_completed"]
    rows = csv(api, run_id).splitlines()
    assert len(rows) == 1 + 100 * found["folds_completed"]
    watched = command("run", "watch", run_id, "-o", "json")
    assert watched.code == 7
    assert orjson.loads(watched.out)["status"] == "CANCELLED"
    assert "is CANCELLED" in watched.err


def test_a_cancelled_run_can_be_simulated_and_deleted(
    api: Api, command: Command, dataset: str
) -> None:
    [cancelled, *_] = api.get("/api/runs", {"status": "CANCELLED"})["runs"]
    simulated: Any = command.json("simulate", cancelled["run_id"])
    assert simulated["status"] == "COMPLETED"
    command.json("run", "delete", cancelled["run_id"], "--yes")
    assert command("run", "show", cancelled["run_id"]).code == 3
    assert command("simulation", "show", simulated["simulation_id"]).code == 3
