"""Datasets: the catalogue, and what is put into it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Response
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.runs.v1.run_service_pb2 import CountUsesRequest

from gateway.http import upload
from gateway.http.deps import DatasetName, IdempotencyKey, PeersDep, SettingsDep
from gateway.http.lists import collect
from gateway.http.media import OneMediaType
from gateway.http.peers import asking
from gateway.http.schemas import datasets as schemas
from gateway.http.shapes import datasets as shapes
from gateway.http.writing import write_all

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


@router.post(
    "",
    status_code=201,
    form_limits={"max_files": 3, "max_fields": 64},
    dependencies=[Depends(upload.each_once)],
)
async def import_dataset(
    peers: PeersDep,
    settings: SettingsDep,
    response: Response,
    form: Annotated[schemas.ImportForm, Form(media_type="multipart/form-data")],
    key: IdempotencyKey = "",
) -> schemas.Imported:
    """Publishes a new dataset, or with `dataset_id` a new version of one."""
    header = await upload.header(form, key)
    with asking("dataset"):
        messages = upload.messages(header, form, settings.max_upload_bytes)
        answer = await write_all(peers.datasets.ImportDataset(), messages)
    imported = shapes.imported(answer)
    response.headers["location"] = f"/api/datasets/{imported.dataset_id}"
    return imported


@router.get("/{dataset}")
async def get_dataset(peers: PeersDep, dataset: DatasetName) -> schemas.DatasetDetail:
    """A dataset as it stands, with its manifest, links and what was computed from it."""
    with asking("dataset"):
        answer = await peers.datasets.GetDataset(pb.GetDatasetRequest(dataset=dataset))
    with asking("runs"):
        of_it = CountUsesRequest(dataset_id=answer.dataset.dataset_id)
        uses = await peers.runs.CountUses(of_it)
    return shapes.detail(answer, uses)


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
    with asking("dataset"):
        answer = await peers.datasets.GetManifest(
            pb.GetManifestRequest(dataset=dataset, version=query.version or 0)
        )
    return shapes.manifest(answer.manifest)
