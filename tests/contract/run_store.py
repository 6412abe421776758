"""What every run store must do. An implementation's test class inherits this and gives `store`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.runs.domain.events import FoldCompleted, FoldStarted, Kept, Log, StateChanged
from services.runs.domain.simulations import Result
from services.runs.domain.states import StaleAttempt, State
from services.runs.domain.trials import Outcome, Trial
from services.runs.domain.workers import Kind
from services.runs.storage.protocol import Page, RunFilter, SimulationFilter, Store
from services.shared.errors import AlreadyExists, NotFound
from tests.contract.run_examples import (
    BUCKET,
    HOUR,
    NOW,
    RESULT,
    a_run,
    a_worker,
    added,
    added_simulation,
    lease,
    without_folds,
)


class RunStoreContract:
    async def test_what_is_added_can_be_read(self, store: Store) -> None:
        run = await added(store)
        async with store.transaction() as tx:
            assert await tx.runs.get(run.run_id) == without_folds(run)
            folds = await tx.runs.folds(run.run_id)
        assert tuple(f.planned for f in folds) == run.plan.folds
        assert {f.result for f in folds} == {None}

    async def test_an_unknown_run_is_not_found(self, store: Store) -> None:
        async with store.transaction() as tx:
            with pytest.raises(NotFound):
                await tx.runs.get(uuid4())
            with pytest.raises(NotFound):
                await tx.runs.lock(uuid4())

    async def test_a_failed_transaction_leaves_nothing(self, store: Store) -> None:
        run = a_run()

        async def fail_after_adding() -> None:
            async with store.transaction() as tx:
                await tx.runs.add(run)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_after_adding()
        async with store.transaction() as tx:
            with pytest.raises(NotFound):
                await tx.runs.get(run.run_id)

    async def test_two_transactions_on_one_run_take_turns(self, store: Store) -> None:
        run = await added(store)

        async def learn_one() -> None:
            async with store.transaction() as tx:
                current = await tx.runs.lock(run.run_id)
                await asyncio.sleep(0)
                count = current.folds_learned_nothing + 1
                await tx.runs.put(replace(current, folds_learned_nothing=count))

        await asyncio.gather(*(learn_one() for _ in range(4)))
        async with store.transaction() as tx:
            assert (await tx.runs.get(run.run_id)).folds_learned_nothing == 4

    async def test_what_changes_in_a_run_is_kept(self, store: Store) -> None:
        run = await added(store)
        changed = replace(
            without_folds(run),
            progression=run.progression.claim(lease(), NOW),
            folds_completed=2,
            summary={"n_folds": 2, "errors": {"r2": None}},
            environment={"device": "cpu"},
        )
        async with store.transaction() as tx:
            await tx.runs.put(changed)
        async with store.transaction() as tx:
            assert await tx.runs.get(run.run_id) == changed

    async def test_a_fold_is_stored_once(self, store: Store) -> None:
        run = await added(store)
        async with store.transaction() as tx:
            await tx.runs.put_fold(run.run_id, 1, RESULT)
        async with store.transaction() as tx:
            assert [f.result for f in await tx.runs.folds(run.run_id, start=1, limit=2)] == [
                RESULT,
                None,
            ]
            with pytest.raises(StaleAttempt):
                await tx.runs.put_fold(run.run_id, 1, replace(RESULT, attempt=2))

    async def test_pages_of_a_list_follow_each_other_without_overlap(self, store: Store) -> None:
        slug = f"s{uuid4().hex[:12]}"
        # Two of one moment: the id decides between them.
        made = [await added(store, a_run(created_at_ms=NOW + n // 2, slug=slug)) for n in range(7)]
        wanted, seen = RunFilter(dataset_slug=slug), []
        after = None
        async with store.transaction() as tx:
            while page := await tx.runs.find(wanted, Page(size=3, after=after)):
                seen += page
                after = (page[-1].progression.created_at_ms, page[-1].run_id)
            skipped = await tx.runs.find(wanted, Page(size=10, skip=5))
        key = [(r.progression.created_at_ms, r.run_id) for r in seen]
        assert key == sorted(((r.progression.created_at_ms, r.run_id) for r in made), reverse=True)
        assert skipped == seen[5:]

    async def test_lists_are_filtered(self, store: Store) -> None:
        slug = f"s{uuid4().hex[:12]}"
        run = await added(store, a_run(slug=slug, name="First TRY, 100%"))
        other = await added(store, a_run(slug=slug, name="Second"))
        async with store.transaction() as tx:

            async def found(wanted: RunFilter) -> set[UUID]:
                return {r.run_id for r in await tx.runs.find(wanted, Page(size=10))}

            both = {run.run_id, other.run_id}
            assert await found(RunFilter(dataset_slug=slug)) == both
            assert await found(RunFilter(dataset_slug=slug, text="try, 100%")) == {run.run_id}
            assert await found(RunFilter(text=slug[2:])) == both
            assert await found(RunFilter(dataset_id=other.plan.dataset.dataset_id)) == {
                other.run_id
            }
            assert await found(RunFilter(dataset_slug=slug, target="TGT")) == both
            assert await found(RunFilter(dataset_slug=slug, target="TG")) == set()
            assert await found(RunFilter(dataset_slug=slug, state=State.RUNNING)) == set()

    async def test_uses_of_a_dataset_are_counted_until_they_are_removed(self, store: Store) -> None:
        simulation = await added_simulation(store)
        async with store.transaction() as tx:
            dataset_id = (await tx.runs.get(simulation.run_id)).plan.dataset.dataset_id
            runs, simulations = await tx.runs.uses(dataset_id)
            await tx.simulations.remove(simulation.simulation_id)
            assert await tx.runs.uses(dataset_id) == (runs, simulations - 1)
            await tx.runs.remove(simulation.run_id)
            assert await tx.runs.uses(dataset_id) == (runs - 1, simulations - 1)
            assert await tx.runs.uses(uuid4()) == (0, 0)

    async def test_removing_a_run_takes_folds_simulations_and_events_but_not_trials(
        self, store: Store
    ) -> None:
        simulation = await added_simulation(store)
        run_id = simulation.run_id
        async with store.transaction() as tx:
            for subject in (run_id, simulation.simulation_id):
                await tx.events.append(subject, NOW, Log("Here."))
            await tx.ledger.record(
                Trial(trial_id=run_id, kind="RUN", dataset_slug="s", target="t", started_at_ms=NOW)
            )
            await tx.runs.remove(run_id)
        outcome = Outcome(
            trial_id=run_id,
            state=State.FAILED,
            sharpe_per_period=None,
            observations=0,
            ended_at_ms=NOW,
        )
        async with store.transaction() as tx:
            assert await tx.runs.folds(run_id) == []
            assert await tx.runs.exist([run_id]) == set()
            for subject in (run_id, simulation.simulation_id):
                assert await tx.events.after(subject, 0, 10) == []
            with pytest.raises(NotFound):
                await tx.simulations.get(simulation.simulation_id)
            await tx.ledger.conclude(outcome)
            await tx.ledger.conclude(outcome)

    async def test_a_simulation_comes_back_with_its_result_and_buckets(self, store: Store) -> None:
        simulation = await added_simulation(store)
        result = Result(metrics={"bars": 10, "all": {"sharpe": None}}, buckets=(BUCKET,))
        running = replace(simulation, progression=simulation.progression.claim(lease(), NOW))
        completed = running.complete(1, result, NOW + 5)
        async with store.transaction() as tx:
            assert await tx.simulations.lock(simulation.simulation_id) == simulation
            await tx.simulations.put(running)
            await tx.simulations.put(completed)
        async with store.transaction() as tx:
            assert await tx.simulations.get(simulation.simulation_id) == completed
            wanted = SimulationFilter(run_id=simulation.run_id, state=State.COMPLETED)
            assert await tx.simulations.find(wanted, Page(size=5)) == [completed]
            assert await tx.simulations.of_run(simulation.run_id) == [simulation.simulation_id]
            assert await tx.simulations.of_run(uuid4()) == []
            assert await tx.simulations.current([simulation.simulation_id, uuid4()]) == {
                simulation.simulation_id: 1
            }

    async def test_events_are_numbered_without_holes_and_completed_folds_have_results(
        self, store: Store
    ) -> None:
        run = await added(store)
        happened: list[Kept] = [
            StateChanged(State.RUNNING),
            FoldStarted(0, 1),
            FoldCompleted(fold=0, folds_completed=1, fold_count=6),
            Log("A line."),
            StateChanged(State.FAILED, "It broke."),
        ]
        async with store.transaction() as tx:
            await tx.runs.put_fold(run.run_id, 0, RESULT)
            for kind in happened:
                await tx.events.append(run.run_id, NOW, kind)
        async with store.transaction() as tx:
            events = await tx.events.after(run.run_id, 1, 3)
        assert [e.sequence for e in events] == [2, 3, 4]
        assert [e.kind for e in events] == [
            happened[1],
            FoldCompleted(fold=0, folds_completed=1, fold_count=6, result=RESULT),
            happened[3],
        ]

    async def test_concurrent_events_of_one_run_get_numbers_of_their_own(
        self, store: Store
    ) -> None:
        run = await added(store)

        async def note(text: str) -> int:
            async with store.transaction() as tx:
                return (await tx.events.append(run.run_id, NOW, Log(text))).sequence

        assert sorted(await asyncio.gather(*map(note, "abcdef"))) == [1, 2, 3, 4, 5, 6]

    async def test_an_event_of_nothing_is_refused(self, store: Store) -> None:
        async with store.transaction() as tx:
            with pytest.raises(NotFound):
                await tx.events.append(uuid4(), NOW, Log("Nobody."))

    async def test_a_key_recalls_what_it_made_for_24_hours(self, store: Store) -> None:
        key, made = uuid4().hex, uuid4()
        async with store.transaction() as tx:
            assert await tx.ledger.recall("CreateRun", key, b"a", NOW) is None
            assert await tx.ledger.remember(
                "CreateRun", key, body_sha256=b"a", made=made, now_ms=NOW
            )
            assert await tx.ledger.recall("CreateRun", key, b"a", NOW + 23 * HOUR) == made
            assert await tx.ledger.recall("CreateSimulation", key, b"a", NOW) is None
            with pytest.raises(AlreadyExists):
                await tx.ledger.recall("CreateRun", key, b"b", NOW)
            assert not await tx.ledger.remember(
                "CreateRun", key, body_sha256=b"b", made=uuid4(), now_ms=NOW + HOUR
            )
            assert await tx.ledger.recall("CreateRun", key, b"b", NOW + 24 * HOUR) is None
            assert await tx.ledger.remember(
                "CreateRun",
                key,
                body_sha256=b"b",
                made=uuid4(),
                now_ms=NOW + 24 * HOUR,
            )

    async def test_a_pin_is_loose_until_a_run_stands_behind_it(self, store: Store) -> None:
        holder = uuid4()
        async with store.transaction() as tx:
            await tx.ledger.loosen_pin(holder, NOW)
            assert holder in await tx.ledger.loose_pins(NOW + 1)
            assert holder not in await tx.ledger.loose_pins(NOW)
            assert await tx.ledger.tie_pin(holder)
            assert not await tx.ledger.tie_pin(holder)
            assert holder not in await tx.ledger.loose_pins(NOW + 1)


class QueueContract:
    """On a store of its own each: the queue is one."""

    async def test_an_empty_queue_and_a_house_without_workers_give_nothing(
        self, fresh_store: Store
    ) -> None:
        async with fresh_store.transaction() as tx:
            assert await tx.runs.claimable(NOW) is None
        await added(fresh_store)
        async with fresh_store.transaction() as tx:
            assert await tx.runs.claimable(NOW) is None

    async def test_the_oldest_run_is_claimed_first(self, fresh_store: Store) -> None:
        later = await added(fresh_store, a_run(created_at_ms=NOW + 1))
        sooner = await added(fresh_store, a_run(created_at_ms=NOW))
        async with fresh_store.transaction() as tx:
            await tx.workers.register(a_worker())
            claimable = await tx.runs.claimable(NOW)
        assert claimable is not None
        assert claimable[0] == without_folds(sooner) != without_folds(later)

    async def test_two_dispatchers_never_take_the_same_run(self, fresh_store: Store) -> None:
        await added(fresh_store)
        async with fresh_store.transaction() as tx:
            await tx.workers.register(a_worker(slots=2))
        async with fresh_store.transaction() as one, fresh_store.transaction() as other:
            assert await one.runs.claimable(NOW) is not None
            assert await other.runs.claimable(NOW) is None

    async def test_a_worker_without_a_free_slot_gets_nothing(self, fresh_store: Store) -> None:
        worker = a_worker()
        first, _ = await added(fresh_store), await added(fresh_store)
        async with fresh_store.transaction() as tx:
            await tx.workers.register(worker)
            taken = lease(worker=worker.worker_id)
            await tx.runs.put(replace(first, progression=first.progression.claim(taken, NOW)))
            assert await tx.runs.claimable(NOW) is None
            assert [w.busy for w in await tx.workers.alive(NOW)] == [1]

    async def test_a_run_past_its_lease_is_found(self, fresh_store: Store) -> None:
        run = await added(fresh_store)
        running = replace(run, progression=run.progression.claim(lease(NOW + 10), NOW))
        async with fresh_store.transaction() as tx:
            await tx.workers.register(a_worker())
            await tx.runs.put(running)
            assert await tx.runs.abandoned(NOW + 9) == []
            assert await tx.runs.abandoned(NOW + 10) == [run.run_id]
            assert await tx.runs.claimable(NOW + 10) is None

    async def test_a_run_waits_for_a_trainer_with_its_device(self, fresh_store: Store) -> None:
        await added(fresh_store, replace(a_run(), device="cuda"))
        async with fresh_store.transaction() as tx:
            await tx.workers.register(a_worker(device="cpu"))
            assert await tx.runs.claimable(NOW) is None
            await tx.workers.register(a_worker(device="cuda"))
            claimable = await tx.runs.claimable(NOW)
        assert claimable is not None
        assert claimable[1].device == "cuda"

    async def test_a_worker_not_heard_of_for_15_seconds_is_gone(self, fresh_store: Store) -> None:
        worker = a_worker()
        await added(fresh_store)
        async with fresh_store.transaction() as tx:
            await tx.workers.register(worker)
            assert await tx.workers.alive(NOW + 14_999) == [worker]
            assert await tx.workers.alive(NOW + 15_000) == []
            assert await tx.runs.claimable(NOW + 15_000) is None
            assert not await tx.workers.beat(worker.worker_id, NOW + 15_000)
            assert await tx.workers.beat(worker.worker_id, NOW + 10_000)
            assert await tx.workers.alive(NOW + 24_999) != []
            await tx.workers.remove(worker.worker_id)
            assert await tx.workers.alive(NOW + 10_000) == []
            await tx.workers.register(worker)
            await tx.workers.forget(NOW + 1)
            assert not await tx.workers.beat(worker.worker_id, NOW + 10_000)

    async def test_simulations_queue_for_simulators_only(self, fresh_store: Store) -> None:
        simulation = await added_simulation(fresh_store)
        async with fresh_store.transaction() as tx:
            await tx.workers.register(a_worker(Kind.TRAINER))
            assert await tx.simulations.claimable(NOW) is None
            await tx.workers.register(a_worker(Kind.SIMULATOR))
            claimable = await tx.simulations.claimable(NOW)
            assert claimable is not None
            assert claimable[0] == simulation
            running = replace(simulation, progression=simulation.progression.claim(lease(), NOW))
            await tx.simulations.put(running)
            assert await tx.simulations.claimable(NOW) is None
            assert await tx.simulations.abandoned(NOW + 30_000) == [simulation.simulation_id]

    async def test_runs_that_ended_without_pooled_figures_are_found(
        self, fresh_store: Store
    ) -> None:
        run = await added(fresh_store)
        cancelled = run.cancel(NOW)
        async with fresh_store.transaction() as tx:
            assert await tx.runs.unsummarised() == []
            await tx.runs.put(cancelled)
            assert await tx.runs.unsummarised() == [run.run_id]
            await tx.runs.put(replace(cancelled, summary={"n_folds": 0}))
            assert await tx.runs.unsummarised() == []
