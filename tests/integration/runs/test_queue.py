"""What happens to a run when its trainer refuses, dies, stalls or is told to stop."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict

from services.shared.errors import Conflict, DataLoss, Exhausted, NotFound
from tests.integration.runs.conftest import Owner
from tests.integration.runs.house import (
    PATIENCE_SECONDS,
    Run,
    Service,
    kinds,
    runs_service,
    spec,
    states,
)
from tests.integration.runs.peers import ScriptedTrainer, listening


class Gate:
    """A step that waits at one fold until it is opened."""

    def __init__(self, fold: int) -> None:
        self._fold = fold
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, fold: int) -> None:
        if fold == self._fold:
            self.reached.set()
            await self.opened.wait()

    async def until_reached(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.reached.wait()


def failing(fold: int, error: Exception, times: int = 1_000) -> ScriptedTrainer:
    """A trainer that ends the call at a fold, so many times."""
    left = times

    async def step(number: int) -> None:
        nonlocal left
        if number == fold and left:
            left -= 1
            raise error

    return ScriptedTrainer(step=step)


async def test_cancelling_mid_fold_stops_the_trainer_and_keeps_the_folds_before(
    service: Service, dataset: str
) -> None:
    gate = Gate(2)
    trainer = ScriptedTrainer(step=gate)
    run_id = await service.create(spec(dataset, end_fold=4))
    async with service.peer(trainer):
        await service.stored(run_id, 2)
        run = await service.cancel(run_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await trainer.cancelled.wait()
    assert (run.state, run.folds_completed) == (Run.STATE_CANCELLED, 2)
    assert MessageToDict(run.summary_metrics)["n_folds"] == 2
    assert (await service.predictions(run_id)).num_rows == 100
    assert states(await service.events(run_id)) == ["QUEUED", "RUNNING", "CANCELLED"]
    assert len(service.models(run_id)) == 2  # nothing of the fold under way
    again = await service.cancel(run_id)
    assert again == run


async def test_a_queued_run_can_be_cancelled(service: Service, dataset: str) -> None:
    run_id = await service.create(spec(dataset))
    run = await service.cancel(run_id)
    assert run.state == Run.STATE_CANCELLED
    assert MessageToDict(run.summary_metrics)["n_folds"] == 0


async def test_cancel_after_success_is_rejected(service: Service, dataset: str) -> None:
    run_id = await service.create(spec(dataset, end_fold=1))
    async with service.peer(ScriptedTrainer()):
        await service.ended(run_id)
    with pytest.raises(Conflict) as caught:
        await service.cancel(run_id)
    assert caught.value.reason == "RUN_FINISHED"


async def test_after_a_lost_trainer_the_run_goes_on_from_the_first_missing_fold(
    service: Service, dataset: str
) -> None:
    gate = Gate(2)
    run_id = await service.create(spec(dataset, end_fold=5))
    undisturbed = await service.create(spec(dataset, end_fold=5))
    async with listening(ScriptedTrainer(step=gate)) as worker:
        await service.register(worker)
        await service.stored(run_id, 2)
    # Its server is down: the call broke, and whoever dials it is refused.
    heir = ScriptedTrainer()
    async with service.peer(heir):
        run = await service.ended(run_id)
        await service.ended(undisturbed)
    assert run.state == Run.STATE_COMPLETED
    asked = {request.run_id: [f.fold for f in request.folds] for request in heir.asked}
    assert asked == {run_id: [2, 3, 4], undisturbed: [0, 1, 2, 3, 4]}
    events = await service.events(run_id)
    assert states(events) == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "COMPLETED"]
    attempts = [f.result.attempt for f in await service.folds(run_id)]
    assert attempts == [1, 1, *[run.attempt] * 3]
    assert (await service.predictions(run_id)).equals(await service.predictions(undisturbed))
    assert run.summary_metrics == (await service.run(undisturbed)).summary_metrics


async def test_three_attempts_without_a_new_fold_fail_the_run(
    service: Service, dataset: str
) -> None:
    trainer = failing(1, DataLoss("The rows are not those that were announced."))
    run_id = await service.create(spec(dataset, end_fold=3))
    async with service.peer(trainer):
        run = await service.ended(run_id)
    assert (run.state, run.folds_completed) == (Run.STATE_FAILED, 1)
    assert "3 attempts in a row brought nothing" in run.error
    assert "not those that were announced" in run.error
    # The first attempt brought a fold, so it was none of the three.
    assert (run.attempt, len(trainer.asked)) == (4, 4)
    pooled = (await service.with_figures(run_id)).summary_metrics
    assert MessageToDict(pooled)["n_folds"] == 1


async def test_a_trainer_that_fails_twice_does_not_fail_the_run(
    service: Service, dataset: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=2))
    async with service.peer(failing(0, DataLoss("A cosmic ray."), times=2)):
        run = await service.ended(run_id)
    assert (run.state, run.attempt) == (Run.STATE_COMPLETED, 3)


async def test_what_a_trainer_refuses_fails_at_once(service: Service, dataset: str) -> None:
    trainer = failing(1, Conflict("The target is constant in the fitted part."))
    run_id = await service.create(spec(dataset, end_fold=3))
    async with service.peer(trainer):
        run = await service.ended(run_id)
    assert (run.state, len(trainer.asked)) == (Run.STATE_FAILED, 1)
    assert run.error == "The target is constant in the fitted part."
    assert states(await service.events(run_id)) == ["QUEUED", "RUNNING", "FAILED"]


async def test_a_worker_that_does_not_answer_is_forgotten_until_it_registers_again(
    service: Service, dataset: str
) -> None:
    async with listening(ScriptedTrainer()) as dead:
        pass
    await service.register(dead)
    run_id = await service.create(spec(dataset, end_fold=1))
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in service.watch(run_id):
            if states([event]) == ["QUEUED"] and event.sequence > 1:
                break
    async with service.peer(ScriptedTrainer()):
        run = await service.ended(run_id)
    assert (run.state, run.attempt) == (Run.STATE_COMPLETED, 2)


@pytest.mark.parametrize("bend", ["rows", "fold", "model", "metrics", "end"])
async def test_a_trainer_that_sends_something_else_changes_nothing(
    service: Service, dataset: str, bend: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=2))
    async with service.peer(BentTrainer(bend)):
        run = await service.ended(run_id)
    assert (run.state, run.folds_completed) == (Run.STATE_FAILED, 0)
    assert (await service.predictions(run_id)).num_rows == 0


class BentTrainer(ScriptedTrainer):
    """Speaks the contract, but not quite."""

    def __init__(self, bend: str) -> None:
        super().__init__()
        self._bend = bend

    async def _fold(self, planned):  # type: ignore[no-untyped-def]
        async for response in super()._fold(planned):
            kind = response.WhichOneof("event")
            if self._bend == "rows" and kind == "predictions":
                planned.test.start_index += 1  # the result then is of other rows, too
                continue
            if self._bend == "fold" and kind == "model":
                response.model.fold += 1
            if self._bend == "model" and kind == "model":
                continue
            if self._bend == "metrics" and kind == "fold_completed":
                response.fold_completed.result.metrics.Clear()
            if self._bend == "end" and kind == "fold_completed":
                continue
            yield response


async def test_a_busy_trainer_is_asked_again_and_no_attempt_is_lost(
    service: Service, dataset: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=1))
    async with service.peer(
        failing(0, Exhausted("Every slot is taken.", reason="TRAINER_BUSY"), times=3)
    ):
        run = await service.ended(run_id)
    assert (run.state, run.attempt) == (Run.STATE_COMPLETED, 4)


async def test_runs_wait_for_a_free_slot_and_for_their_device(
    service: Service, dataset: str
) -> None:
    gate = Gate(0)
    first = await service.create(spec(dataset, end_fold=1))
    second = await service.create(spec(dataset, end_fold=1))
    for_gpu = spec(dataset, end_fold=1)
    for_gpu.device = "cuda"
    third = await service.create(for_gpu)
    async with service.peer(ScriptedTrainer(step=gate)):
        await gate.until_reached()
        assert (await service.run(first)).state == Run.STATE_RUNNING
        assert (await service.run(second)).state == Run.STATE_QUEUED
        gate.opened.set()
        await service.ended(second)
        assert (await service.run(third)).state == Run.STATE_QUEUED
    await service.cancel(third)


async def test_a_service_that_stops_gives_its_runs_back_and_goes_on_after_a_restart(
    owner: Owner, dataset: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = tmp_path_factory.mktemp("runs")
    gate = Gate(1)
    trainer = ScriptedTrainer(step=gate)
    async with runs_service(owner.dsn, data_dir, owner.port) as first:
        run_id = await first.create(spec(dataset, end_fold=3))
        async with listening(trainer) as worker:
            await first.register(worker)
            await gate.until_reached()
    async with runs_service(owner.dsn, data_dir, owner.port) as second:
        waiting = await second.run(run_id)
        assert (waiting.state, waiting.folds_completed) == (Run.STATE_QUEUED, 1)
        async with second.peer(ScriptedTrainer()):
            run = await second.ended(run_id)
        assert run.state == Run.STATE_COMPLETED
        assert (await second.predictions(run_id)).num_rows == 150


async def test_progress_is_unnumbered_and_events_replay_from_any_number(
    service: Service, dataset: str
) -> None:
    gate = Gate(0)
    run_id = await service.create(spec(dataset, end_fold=2))
    async with service.peer(ScriptedTrainer(step=gate)):
        await gate.until_reached()
        progress = await service.until(run_id, "fold_started")
        assert progress.fold_started.attempt == 1
        live = asyncio.create_task(service.until(run_id, "progress"))
        gate.opened.set()
        told = await service.events(run_id)
        live.cancel()
    kept = [e for e in told if e.sequence]
    assert {*kinds(e for e in told if not e.sequence)} <= {"progress", "heartbeat"}
    replayed = await service.events(run_id, after=3)
    assert replayed == kept[3:]
    assert await service.events(run_id, after=len(kept)) == []
    completed = [e.fold_completed for e in replayed if e.HasField("fold_completed")]
    assert [f.result for f in await service.folds(run_id)] == [c.result for c in completed]


async def test_watching_nothing_is_not_found(service: Service) -> None:
    with pytest.raises(NotFound, match="There is no run"):
        await service.events(str(uuid4()))
