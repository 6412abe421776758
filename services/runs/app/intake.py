"""What arrives of a fold before it is complete: predictions checked, the model on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import pyarrow as pa

from services.runs.domain.folds import refuse_misfit
from services.runs.domain.plan import PlannedFold
from services.runs.storage.models import ModelFile, ModelFiles
from services.runs.storage.series import SENT
from services.shared.arrow_stream import Decoder
from services.shared.errors import DataLoss

# Four columns, and what IPC adds to them.
_BYTES_A_ROW: Final = 64
_SPARE_BYTES: Final = 1 << 20


class FoldIntake:
    """Folds one after another, each planned and sent once."""

    def __init__(self, run_id: UUID, planned: Sequence[PlannedFold], models: ModelFiles) -> None:
        self._run_id = run_id
        self._awaited = {fold.number: fold for fold in planned}
        self._models = models
        self._number: int | None = None
        self._decoder = Decoder(SENT, max_bytes=0)
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._model: ModelFile | None = None

    @property
    def is_complete(self) -> bool:
        return not self._awaited

    def predictions(self, number: int, ipc: bytes) -> None:
        fold = self._begun(number)
        for batch in self._decoder.feed(ipc):
            self._rows += batch.num_rows
            if self._rows > len(fold.test.rows):
                raise DataLoss(f"The trainer sent more rows of fold {number} than it tests.")
            self._batches.append(batch)

    async def model(self, number: int, data: bytes) -> None:
        self._begun(number)
        if self._model is None:
            self._model = self._models.begin(self._run_id)
        await self._model.write(data)

    async def complete(self, number: int) -> tuple[list[pa.RecordBatch], str]:
        """Its predictions, and the SHA-256 of its model, which is stored then."""
        fold = self._begun(number)
        self._decoder.finish()
        table = pa.Table.from_batches(self._batches, SENT)
        refuse_misfit(fold, table["bar_index"].to_numpy(), table["timestamp_ms"].to_numpy())
        if self._model is None:
            raise DataLoss(f"The trainer sent no model of fold {number}.")
        sha256 = await self._model.finish()
        batches = self._batches
        del self._awaited[number]
        self._forget()
        return batches, sha256

    async def discard(self) -> None:
        """Leaves nothing of a fold that is not complete."""
        if self._model is not None:
            await self._model.discard()

    def _begun(self, number: int) -> PlannedFold:
        if self._number is None and number in self._awaited:
            self._number = number
            self._decoder = _decoder(self._awaited[number])
        if number != self._number or number not in self._awaited:
            raise DataLoss(f"The trainer sent a part of fold {number}, which is not awaited now.")
        return self._awaited[number]

    def _forget(self) -> None:
        self._number, self._model = None, None
        self._batches, self._rows = [], 0


def _decoder(fold: PlannedFold) -> Decoder:
    return Decoder(SENT, max_bytes=_SPARE_BYTES + _BYTES_A_ROW * len(fold.test.rows))
