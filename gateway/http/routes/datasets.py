"""Datasets: the catalogue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.runs.v1.run_service_pb2 import CountUsesRequest

from gateway.http.deps import DatasetName, PeersDep
from gateway.http.lists import collect
from gateway.http.media import OneMediaType
from gateway.http.peers import asking, manifest_of
from gateway.http.schemas import datasets as schemas
from gateway.http.shapes import datasets as shapes

router = APIRouter(prefix="/api/datasets", tags=["datasets"], route_class=OneMediaType)


@router.get("")
async def list_datasets(
    peers: PeersDep, query: Annotated[schemas.DatasetQuery, Query()]
) -> schemas.DatasetList:
    """Datasets, newest first."""

    async def page(size: int, token: str, skip: int) -> pb.ListDatasetsResponse:
        return await peers.datasets.ListDatasets(
            pb.ListDatasetsRequest(
                symbol=query.symbol,
                granularity=query.granularity,
                text=query.text,
                page_size=size,
                page_token=token,
                skip=skip,
            )
        )

    with asking("dataset"):
        found, token = await collect(
            page,
            lambda answer: list(answer.datasets),
            limit=query.limit,
            page_token=query.page_token,
            offset=query.offset,
        )
    datasets = [shapes.dataset(d) for d in found]
    return schemas.DatasetList(datasets=datasets, count=len(datasets), next_page_token=token)


@router.get("/{dataset}")
async def get_dataset(peers: PeersDep, dataset: DatasetName) -> schemas.DatasetDetail:
    """A dataset as it stands, with its manifest, links and what was computed from it."""
    with asking("dataset"):
        answer = await peers.datasets.GetDataset(pb.GetDatasetRequest(dataset=dataset))
    with asking("runs"):
        of_it = CountUsesRequest(dataset_id=answer.dataset.dataset_id)
        uses = await peers.runs.CountUses(of_it)
    return shapes.detail(answer, uses)


@router.patch("/{dataset}")
async def update_dataset(
    peers: PeersDep, dataset: DatasetName, asked: schemas.DatasetChange
) -> schemas.Dataset:
    """Changes what is said of a dataset, never its rows."""
    with asking("dataset"):
        answer = await peers.datasets.UpdateDataset(shapes.changed(asked, dataset))
    return shapes.dataset(answer.dataset)


@router.delete("/{dataset}", status_code=204)
async def delete_dataset(
    peers: PeersDep, dataset: DatasetName, query: Annotated[schemas.DeleteQuery, Query()]
) -> None:
    """Removes a dataset with all its versions; refused while a run uses it, unless forced."""
    with asking("dataset"):
        await peers.datasets.DeleteDataset(
            pb.DeleteDatasetRequest(dataset=dataset, force=query.force)
        )


@router.get("/{dataset}/manifest")
async def get_manifest(
    peers: PeersDep, dataset: DatasetName, query: Annotated[schemas.VersionQuery, Query()]
) -> schemas.Manifest:
    """What a version holds."""
    return shapes.manifest(await manifest_of(peers, dataset, query.version))


@router.get("/{dataset}/versions")
async def list_versions(
    peers: PeersDep, dataset: DatasetName, query: Annotated[schemas.VersionsQuery, Query()]
) -> schemas.VersionList:
    """Published versions, newest first."""

    async def page(size: int, token: str, skip: int) -> pb.ListDatasetVersionsResponse:
        return await peers.datasets.ListDatasetVersions(
            pb.ListDatasetVersionsRequest(dataset=dataset, page_size=size, page_token=token)
        )

    with asking("dataset"):
        found, token = await collect(
            page,
            lambda answer: list(answer.manifests),
            limit=query.limit,
            page_token=query.page_token,
        )
    versions = [shapes.version(held) for held in found]
    return schemas.VersionList(versions=versions, count=len(versions), next_page_token=token)
