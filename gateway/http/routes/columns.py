"""Columns of a version with what stands in them, and the slots that have no bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http import conditional, naming
from gateway.http.deps import DatasetName, PeersDep
from gateway.http.peers import Peers, asking, manifest_of
from gateway.http.schemas import columns as schemas
from gateway.http.schemas.datasets import VersionQuery
from gateway.http.shapes import columns as shapes
from gateway.http.shapes.datasets import column
from gateway.http.shapes.words import number
from services.shared.errors import InvalidRequest, Violation

router = APIRouter(prefix="/api/datasets", tags=["datasets"])
_ROLE: Final = dataset_pb2.Column
_TABLES: Final = ("ohlcv", "indicators")
_DESCRIBED: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {200: {"model": schemas.DescribedColumns}},
}


@router.get("/{dataset}/columns", **_DESCRIBED)
async def list_columns(
    peers: PeersDep,
    request: Request,
    dataset: DatasetName,
    query: Annotated[schemas.ColumnQuery, Query()],
) -> Response:
    """Columns with their statistics, which for a thousand columns take some seconds."""
    held = await manifest_of(peers, dataset, query.version)
    asked = query.model_dump(exclude={"version"})
    etag = conditional.tag(held.content_hash, held.version, "columns", asked)
    if conditional.is_known(request, etag):
        return conditional.unchanged({"etag": etag})
    wanted = _wanted(held, query)
    figures = await _figures(peers, held, wanted, query.bins) if query.statistics else {}
    found = [shapes.described(c, figures.get((c.table, c.name))) for c in wanted]
    answer = schemas.DescribedColumns(columns=found, count=len(found))
    return Response(answer.model_dump_json(), media_type="application/json", headers={"etag": etag})


def _wanted(held: dataset_pb2.Manifest, query: schemas.ColumnQuery) -> list[dataset_pb2.Column]:
    table = number(dataset_pb2.Table, query.table, "TABLE_")
    of_table = [c for c in held.columns if not table or c.table == table]
    names = set(naming.names(query.columns, held))
    if unknown := sorted(names - {c.name for c in of_table}):
        raise InvalidRequest([Violation("columns", f"name {unknown[0]!r}, which is not there")])
    return [c for c in of_table if not names or c.name in names]


Figures = dict[tuple[int, str], import_pb2.ColumnStatistics]


async def _figures(
    peers: Peers, held: dataset_pb2.Manifest, wanted: Sequence[dataset_pb2.Column], bins: int
) -> Figures:
    found: Figures = {}
    for table in (number(dataset_pb2.Table, name, "TABLE_") for name in _TABLES):
        names = [c.name for c in wanted if c.table == table]
        if not names:
            continue
        with asking("dataset"):
            async for answer in peers.datasets.DescribeColumns(
                pb.DescribeColumnsRequest(
                    dataset=held.dataset_id,
                    version=held.version,
                    table=table,
                    columns=names,
                    histogram_bins=bins,
                )
            ):
                found |= {(table, one.name): one for one in answer.columns}
    return found


@router.get("/{dataset}/features")
async def list_features(
    peers: PeersDep, dataset: DatasetName, query: Annotated[VersionQuery, Query()]
) -> schemas.Features:
    """What is learned from."""
    held = await manifest_of(peers, dataset, query.version)
    found = [column(c) for c in held.columns if c.role == _ROLE.ROLE_FEATURE]
    return schemas.Features(features=found, count=len(found))


@router.get("/{dataset}/targets")
async def list_targets(
    peers: PeersDep, dataset: DatasetName, query: Annotated[VersionQuery, Query()]
) -> schemas.Targets:
    """What can be learned."""
    held = await manifest_of(peers, dataset, query.version)
    found = [column(c) for c in held.columns if c.role == _ROLE.ROLE_TARGET]
    return schemas.Targets(targets=found, count=len(found))


@router.get("/{dataset}/gaps")
async def list_gaps(
    peers: PeersDep, dataset: DatasetName, query: Annotated[VersionQuery, Query()]
) -> schemas.Gaps:
    """Expected slots without a bar, all of them."""
    return shapes.gaps(await manifest_of(peers, dataset, query.version))
