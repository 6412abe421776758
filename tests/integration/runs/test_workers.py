from __future__ import annotations

from uuid import uuid4

import pytest
from stage1.runs.v1 import worker_service_pb2 as pb

from services.shared.errors import Conflict, InvalidRequest, NotFound
from tests.integration.runs.house import Service


def a_worker(**given: object) -> pb.Worker:
    worker = pb.Worker(
        worker_id=str(uuid4()),
        kind=pb.Worker.KIND_SIMULATOR,
        address="127.0.0.1:7404",
        device="cpu",
        memory_bytes=1 << 30,
        slots=2,
        versions={"numba": "0.68"},
    )
    worker.MergeFrom(pb.Worker(**given))  # type: ignore[arg-type]
    return worker


async def listed(service: Service) -> dict[str, pb.Worker]:
    answer = await service.ask(service.workers.ListWorkers(pb.ListWorkersRequest()))
    return {worker.worker_id: worker for worker in answer.workers}


async def test_a_registered_worker_is_listed(service: Service) -> None:
    worker = a_worker()
    await service.register(worker)
    found = (await listed(service))[worker.worker_id]
    assert found.last_seen_ms > 0
    found.ClearField("last_seen_ms")
    assert found == worker


async def test_registering_again_is_no_second_worker(service: Service) -> None:
    worker = a_worker()
    await service.register(worker)
    worker.slots = 5
    await service.register(worker)
    assert (await listed(service))[worker.worker_id].slots == 5


async def test_a_heartbeat_of_a_known_worker_is_heard(service: Service) -> None:
    worker = a_worker()
    await service.register(worker)
    before = (await listed(service))[worker.worker_id].last_seen_ms
    request = pb.HeartbeatRequest(worker_id=worker.worker_id)
    await service.ask(service.workers.Heartbeat(request))
    assert (await listed(service))[worker.worker_id].last_seen_ms >= before


async def test_a_heartbeat_of_a_stranger_asks_for_registration(service: Service) -> None:
    request = pb.HeartbeatRequest(worker_id=str(uuid4()))
    with pytest.raises(NotFound) as caught:
        await service.ask(service.workers.Heartbeat(request))
    assert caught.value.reason == "WORKER_UNKNOWN"


@pytest.mark.parametrize("address", ["10.0.0.7:7403", "example.org:7403", "127.0.0.1.evil:80"])
async def test_an_address_off_the_allow_list_is_refused(service: Service, address: str) -> None:
    with pytest.raises(Conflict) as caught:
        await service.register(a_worker(address=address))
    assert caught.value.reason == "WORKER_ADDRESS_REFUSED"


async def test_everything_wrong_with_a_worker_is_told_at_once(service: Service) -> None:
    wrong = pb.Worker(worker_id="x", address="nowhere", device="tpu", memory_bytes=-1)
    wrong.versions["numba"] = "a\0b"
    with pytest.raises(InvalidRequest) as caught:
        await service.register(wrong)
    assert [v.field for v in caught.value.violations] == [
        *("worker.kind", "worker.device", "worker.address", "worker.versions"),
        *("worker.worker_id", "worker.memory_bytes", "worker.slots"),
    ]
