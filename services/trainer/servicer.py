"""gRPC to use cases: read the request, one call, write the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import structlog
from stage1.trainer.v1 import trainer_service_pb2 as pb
from stage1.trainer.v1.trainer_service_pb2_grpc import TrainerServiceServicer

from services.shared.rpc.guards import Context
from services.trainer import convert
from services.trainer.app import Trainer, with_heartbeats

HEARTBEAT_SECONDS: Final = 5.0

log = structlog.get_logger()


class TrainerServicer(TrainerServiceServicer):
    def __init__(self, trainer: Trainer, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._trainer = trainer
        self._heartbeat_seconds = heartbeat_seconds

    async def Train(
        self, request: pb.TrainRequest, context: Context
    ) -> AsyncIterator[pb.TrainResponse]:
        job = convert.job(request)
        log.info("training_started", run_id=job.run_id, epoch=job.epoch, folds=len(job.folds))
        events = with_heartbeats(self._trainer.train(job), self._heartbeat_seconds)
        async with aclosing(events):
            async for event in events:
                for response in convert.responses(event):
                    yield response
        log.info("training_finished", run_id=job.run_id, epoch=job.epoch)
