"""The dataset service, as far as planning and pinning need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceStub

from services.runs.domain.columns import Column, DatasetVersion, Role
from services.runs.domain.plan import Facts
from services.shared.rpc.client import Channel
from services.shared.rpc.status import refusals

if TYPE_CHECKING:
    from stage1.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub

_POINTS: Final = 10_000
_ROLES: Final = {
    dataset_pb2.Column.ROLE_FEATURE: Role.FEATURE,
    dataset_pb2.Column.ROLE_TARGET: Role.TARGET,
    dataset_pb2.Column.ROLE_PRICE: Role.PRICE,
}


class Datasets:
    def __init__(self, channel: Channel) -> None:
        self._stub: DatasetServiceAsyncStub = DatasetServiceStub(channel)

    async def version(self, dataset: str, version: int) -> DatasetVersion:
        """`dataset` is a UUID or a slug, version 0 the newest."""
        with refusals():
            request = pb.GetManifestRequest(dataset=dataset, version=version)
            return _version((await self._stub.GetManifest(request)).manifest)

    async def pin(self, dataset: str, version: int, holder: UUID) -> DatasetVersion:
        """The same, and it stays until the holder unpins it."""
        with refusals():
            request = pb.PinVersionRequest(dataset=dataset, version=version, holder=str(holder))
            return _version((await self._stub.PinVersion(request)).manifest)

    async def unpin(self, holder: UUID) -> None:
        with refusals():
            await self._stub.UnpinVersion(pb.UnpinVersionRequest(holder=str(holder)))

    async def times_ms(self, dataset: DatasetVersion, rows: Sequence[int]) -> dict[int, int]:
        """The time of each indicator row."""
        times: dict[int, int] = {}
        for start in range(0, len(rows), _POINTS):
            some = rows[start : start + _POINTS]
            request = pb.ResolveBoundariesRequest(
                dataset=str(dataset.dataset_id),
                version=dataset.version,
                table=dataset_pb2.TABLE_INDICATORS,
                indices=some,
            )
            with refusals():
                answer = await self._stub.ResolveBoundaries(request)
            times |= dict(zip(some, answer.times_ms, strict=True))
        return times


def _version(manifest: dataset_pb2.Manifest) -> DatasetVersion:
    return DatasetVersion(
        dataset_id=UUID(manifest.dataset_id),
        slug=manifest.dataset_slug,
        version=manifest.version,
        content_hash=manifest.content_hash,
        facts=Facts(
            rows=manifest.indicator_rows,
            lookback_rows=manifest.lookback_rows,
            lookahead_rows=manifest.lookahead_rows,
            bar_interval_ms=manifest.bar_interval_ms,
        ),
        columns=tuple(map(_column, manifest.columns)),
    )


def _column(column: dataset_pb2.Column) -> Column:
    return Column(
        name=column.name,
        role=_ROLES.get(column.role, Role.EXTRA),
        numeric=column.type == dataset_pb2.Column.TYPE_FLOAT64,
        indicator=column.table == dataset_pb2.TABLE_INDICATORS,
        horizon_bars=column.horizon_bars if column.HasField("horizon_bars") else None,
    )
