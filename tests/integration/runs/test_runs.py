from __future__ import annotations

import asyncio
from uuid import uuid4

import numpy as np
import pyarrow.compute as pc
import pytest
from google.protobuf.json_format import MessageToDict
from stage1.dataset.v1 import dataset_service_pb2 as dataset_pb
from stage1.runs.v1 import plan_pb2
from stage1.runs.v1 import run_service_pb2 as pb

from services.shared.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from services.shared.evaluation import FittedRows, evaluate, pool
from tests.integration.runs.conftest import Owner
from tests.integration.runs.house import Run, Service, kinds, published, spec, states
from tests.integration.runs.peers import ScriptedTrainer, predictions_of, rows_of
from tests.unit.dataset.bars import MONDAY

HOUR = 3_600_000


async def listed(service: Service, **wanted: object) -> list[str]:
    answer = await service.ask(service.runs.ListRuns(pb.ListRunsRequest(**wanted)))  # type: ignore[arg-type]
    return [run.run_id for run in answer.runs]


async def test_a_plan_has_folds_with_rows_and_times_and_stores_nothing(
    service: Service, dataset: str
) -> None:
    before = await listed(service)
    answer = await service.ask(service.runs.PlanRun(pb.PlanRunRequest(spec=spec(dataset))))
    plan = answer.plan
    assert len(plan.folds) == 20
    first, last = plan.folds[0], plan.folds[-1]
    start = MONDAY + 20 * HOUR  # the first indicator row
    assert (first.train.start_index, first.train.end_index) == (0, 600)
    assert (first.fit.end_index, first.validation.start_index) == (480, 489)
    assert (last.test.start_index, last.test.end_index) == (1559, 1609)
    assert last.test.start_ts_ms == start + 1559 * HOUR
    assert last.test.end_ts_ms == start + 1609 * HOUR
    assert (plan.target_column, list(plan.feature_columns)) == ("TGT_6", ["RSI", "ADX"])
    assert plan.horizon_bars == 6
    assert "6 bars are assumed" in plan.warnings[0]
    assert (plan.predicted_rows, plan.indicator_rows) == (1000, 1609)
    assert plan.estimated_seconds > 0
    assert plan.walk_forward.fold_step == 50
    assert dict(plan.learner.parameters)["max_depth"] == "4"
    assert await listed(service) == before


async def test_a_queued_run_has_its_folds_and_its_event_and_pins_its_version(
    service: Service, owner: Owner
) -> None:
    dataset_id = await published(owner.client, f"d{uuid4().hex[:10]}")
    run_id = await service.create(spec(dataset_id), name="A first try")
    run = await service.run(run_id)
    assert (run.state, run.name, run.fold_count) == (Run.STATE_QUEUED, "A first try", 20)
    assert not run.plan.folds
    folds = await service.folds(run_id)
    assert [f.planned.fold for f in folds] == list(range(20))
    assert not any(f.HasField("result") for f in folds)
    deletion = dataset_pb.DeleteDatasetRequest(dataset=dataset_id)
    with pytest.raises(Conflict) as caught:
        await owner.client.ask(owner.client.stub.DeleteDataset(deletion))
    assert caught.value.reason == "DATASET_PINNED"
    await service.cancel(run_id)
    await service.delete(run_id)
    await owner.client.ask(owner.client.stub.DeleteDataset(deletion))


async def test_a_run_is_trained_fold_by_fold_and_completed(service: Service, dataset: str) -> None:
    trainer = ScriptedTrainer()
    run_id = await service.create(spec(dataset, end_fold=4))
    async with service.peer(trainer):
        events = await service.events(run_id)
    kept = [e for e in events if e.sequence]
    assert [e.sequence for e in kept] == list(range(1, len(kept) + 1))
    assert states(events) == ["QUEUED", "RUNNING", "COMPLETED"]
    assert kinds(kept).count("fold_completed") == 4
    assert [e.fold_completed.folds_completed for e in kept if e.HasField("fold_completed")] == [
        *range(1, 5)
    ]
    run = await service.run(run_id)
    assert (run.folds_completed, run.folds_learned_nothing, run.attempt) == (4, 1, 1)
    assert run.completed_at_ms >= run.started_at_ms >= run.created_at_ms
    assert MessageToDict(run.environment)["seed"] == 7
    asked = trainer.asked[0]
    assert (asked.epoch, asked.bar_interval_ms) == (1, HOUR)
    assert asked.learner.val_split_ratio == "0.8"
    for fold in await service.folds(run_id):
        assert fold.result.best_iteration == 100 + fold.planned.fold
        assert fold.result.attempt == 1
        assert f"{fold.result.model_sha256}.ubj" in service.models(run_id)
    assert len(service.models(run_id)) == 4


async def test_predictions_are_those_of_the_folds_with_their_thresholds(
    service: Service, dataset: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=3))
    async with service.peer(ScriptedTrainer()):
        await service.ended(run_id)
    table = await service.predictions(run_id)
    assert table.column_names == [
        *("timestamp_ms", "bar_index", "fold", "prediction", "target"),
        *("long_threshold", "short_threshold"),
    ]
    planned = [fold.planned for fold in await service.folds(run_id)]
    sent = [predictions_of(p) for p in planned]
    for name in ("timestamp_ms", "bar_index", "prediction", "target"):
        expected = np.concatenate([batch[name].to_numpy() for batch in sent])
        assert np.array_equal(table[name].to_numpy(), expected)
    assert table["fold"].to_pylist() == [0] * 50 + [1] * 50 + [2] * 50
    assert set(table["long_threshold"].to_pylist()) == {0.5}
    assert set(table["short_threshold"].to_pylist()) == {-0.5}


async def test_predictions_can_be_read_by_fold_time_and_column(
    service: Service, dataset: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=3))
    empty = await service.predictions(run_id)
    assert (empty.num_rows, "prediction" in empty.column_names) == (0, True)
    async with service.peer(ScriptedTrainer()):
        await service.ended(run_id)
    some = await service.predictions(run_id, folds=[2, 0], columns=["prediction", "fold"])
    assert some.column_names == ["prediction", "fold"]
    assert some["fold"].to_pylist() == [0] * 50 + [2] * 50
    test = (await service.folds(run_id))[1].planned.test
    times = {"start_ts_ms": test.start_ts_ms - HOUR, "end_ts_ms": test.start_ts_ms + 2 * HOUR}
    few = await service.predictions(run_id, **times)
    assert few["bar_index"].to_pylist() == [test.start_index + i for i in (-1, 0, 1)]
    assert pc.min(few["timestamp_ms"]).as_py() == times["start_ts_ms"]
    with pytest.raises(InvalidRequest, match="attempt"):
        await service.predictions(run_id, columns=["attempt"])
    with pytest.raises(InvalidRequest, match="name 99, which is no fold"):
        await service.predictions(run_id, folds=[99])


async def test_pooled_figures_are_those_of_the_predictions(service: Service, dataset: str) -> None:
    run_id = await service.create(spec(dataset, end_fold=3, fold_step=30))  # tests overlap
    async with service.peer(ScriptedTrainer()):
        run = await service.ended(run_id)
    rows = [rows_of(fold.planned) for fold in await service.folds(run_id)]
    judged = [evaluate(r, FittedRows(r.prediction, r.target)) for r in rows]
    summary = MessageToDict(run.summary_metrics)
    assert summary == pool(rows, judged).as_dict()
    assert (summary["n_folds"], summary["n_overlapping"], summary["n_rows"]) == (3, 40, 110)
    assert summary["n_folds_without_signals"] == 1


async def test_the_same_key_and_body_create_one_run(service: Service, dataset: str) -> None:
    key, asked = uuid4().hex, spec(dataset)
    request = pb.CreateRunRequest(idempotency_key=key, spec=asked)
    answers = await asyncio.gather(
        *(service.ask(service.runs.CreateRun(request)) for _ in range(4))
    )
    assert len({answer.run.run_id for answer in answers}) == 1
    assert all(len(answer.plan.folds) == 20 for answer in answers)
    with pytest.raises(AlreadyExists) as caught:
        await service.create(spec(dataset, end_fold=2), idempotency_key=key)
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
    await service.cancel(answers[0].run.run_id)


async def test_a_key_whose_run_was_deleted_says_so(service: Service, dataset: str) -> None:
    key = uuid4().hex
    run_id = await service.create(spec(dataset), idempotency_key=key)
    await service.cancel(run_id)
    await service.delete(run_id)
    with pytest.raises(Conflict, match="was deleted since") as caught:
        await service.create(spec(dataset), idempotency_key=key)
    assert caught.value.reason == "IDEMPOTENCY_KEY_SPENT"


async def test_everything_wrong_with_a_spec_is_told_at_once(service: Service, dataset: str) -> None:
    asked = spec(dataset, train_size=0, fold_step=-1, start_fold=3, end_fold=3)
    asked.learner.CopyFrom(
        plan_pb2.Learner(
            val_split_ratio="1.0",
            seed=-1,
            tanh_k=0,
            parameters={"objective": "reg:quantileerror", "seed": "1"},
        )
    )
    asked.device = "tpu"
    with pytest.raises(InvalidRequest) as caught:
        await service.create(asked, name="x" * 201)
    assert {v.field for v in caught.value.violations} == {
        *("name", "spec.device", "spec.learner.val_split_ratio", "spec.learner.seed"),
        *("spec.learner.tanh_k", "spec.learner.parameters.objective"),
        *("spec.learner.parameters.seed", "spec.walk_forward.train_size"),
        *("spec.walk_forward.fold_step", "spec.walk_forward.end_fold"),
    }
    assert "only reg:squarederror is built" in str(caught.value)


async def test_wrong_columns_and_wrong_windows_are_told_together_and_leave_no_pin(
    service: Service, owner: Owner
) -> None:
    dataset_id = await published(owner.client, f"d{uuid4().hex[:10]}")
    asked = spec(dataset_id, train_size=120)
    asked.feature_columns.append("NOPE")
    with pytest.raises(InvalidRequest) as caught:
        await service.create(asked)
    fields = [v.field for v in caught.value.violations]
    assert fields == ["spec.feature_columns", *["spec.walk_forward.train_size"] * 2]
    deletion = dataset_pb.DeleteDatasetRequest(dataset=dataset_id)
    await owner.client.ask(owner.client.stub.DeleteDataset(deletion))


async def test_an_unknown_dataset_is_not_found(service: Service) -> None:
    with pytest.raises(NotFound):
        await service.create(spec("nowhere"))


async def test_runs_are_listed_in_pages_newest_first(service: Service, owner: Owner) -> None:
    slug = f"d{uuid4().hex[:10]}"
    await published(owner.client, slug)
    made = [await service.create(spec(slug), name=f"Run {n}") for n in range(5)]
    first = await service.ask(
        service.runs.ListRuns(pb.ListRunsRequest(dataset_slug=slug, page_size=3))
    )
    rest = await listed(service, dataset_slug=slug, page_size=3, page_token=first.next_page_token)
    assert [*(r.run_id for r in first.runs), *rest] == made[::-1]
    assert await listed(service, dataset_slug=slug, text="run 2") == [made[2]]
    assert await listed(service, dataset_slug=slug, skip=4) == [made[0]]
    await service.cancel(made[3])
    assert await listed(service, dataset_slug=slug, state=Run.STATE_CANCELLED) == [made[3]]
    with pytest.raises(InvalidRequest) as caught:
        await listed(service, page_token="?", page_size=1001, dataset_id="x", state=99)
    assert {v.field for v in caught.value.violations} == {
        *("page_token", "page_size", "dataset_id", "state"),
    }
    for run_id in made:
        await service.cancel(run_id)


async def test_folds_are_listed_in_pages(service: Service, dataset: str) -> None:
    run_id = await service.create(spec(dataset, start_fold=2))
    request = pb.ListFoldsRequest(run_id=run_id, page_size=10)
    first = await service.ask(service.runs.ListFolds(request))
    request.page_token = first.next_page_token
    rest = await service.ask(service.runs.ListFolds(request))
    numbers = [f.planned.fold for f in (*first.folds, *rest.folds)]
    assert (numbers, rest.next_page_token) == (list(range(2, 20)), "")
    await service.cancel(run_id)


async def test_a_deleted_run_leaves_neither_predictions_nor_models(
    service: Service, dataset: str
) -> None:
    run_id = await service.create(spec(dataset, end_fold=2))
    with pytest.raises(Conflict) as caught:
        await service.delete(run_id)
    assert caught.value.reason == "RUN_NOT_FINISHED"
    async with service.peer(ScriptedTrainer()):
        await service.ended(run_id)
    table = f"{dataset}_wf_{run_id.replace('-', '')}"
    assert table in service.tables()
    await service.delete(run_id)
    assert table not in service.tables()
    assert service.models(run_id) == set()
    with pytest.raises(NotFound):
        await service.run(run_id)
    with pytest.raises(NotFound):
        await service.delete(run_id)
