"""What is put into the catalogue: imports, new versions, appends, adoption; and a look before."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Response
from stage1.dataset.v1 import dataset_service_pb2 as pb
from starlette import status

from gateway.http import writing
from gateway.http.deps import DatasetName, IdempotencyKey, PeersDep
from gateway.http.media import JsonBeside, OneMediaType
from gateway.http.peers import Peers, asking
from gateway.http.schemas import publishing as schemas
from gateway.http.schemas import uploads
from gateway.http.shapes import publishing as shapes
from gateway.http.uploading import headers, parts
from gateway.http.uploading.headers import Destination
from services.shared.errors import InvalidRequest, Violation

_PATH: Final[dict[str, Any]] = {"prefix": "/api/datasets", "tags": ["datasets"]}
adoptions = APIRouter(**_PATH, route_class=JsonBeside)
router = APIRouter(**_PATH, route_class=OneMediaType)
_FORM: Final = "multipart/form-data"
_LIMITS: Final[dict[str, Any]] = {
    "form_limits": {"max_files": 3, "max_fields": 64},
    "dependencies": [Depends(parts.each_once)],
}


@adoptions.post("", status_code=201, include_in_schema=False)
async def adopt_tables(
    peers: PeersDep, response: Response, asked: uploads.Adoption, key: IdempotencyKey = ""
) -> schemas.Imported:
    into = Destination(slug=asked.slug, dataset_id=asked.dataset_id, idempotency_key=key)
    return await _adopt(peers, response, asked, into)


@adoptions.post("/{dataset}/export", status_code=201, include_in_schema=False)
async def adopt_version(
    peers: PeersDep,
    response: Response,
    dataset: DatasetName,
    asked: uploads.AdoptedTables,
    key: IdempotencyKey = "",
) -> schemas.Imported:
    return await _adopt(peers, response, asked, await _existing(peers, dataset, key))


async def _adopt(
    peers: Peers, response: Response, asked: uploads.AdoptedTables, into: Destination
) -> schemas.Imported:
    with asking("dataset"):
        answer = await peers.datasets.AdoptTables(headers.of_adoption(asked, into))
    return _located(response, shapes.imported(answer))


@router.post("", status_code=201, openapi_extra=uploads.or_json(uploads.Adoption), **_LIMITS)
async def import_dataset(
    peers: PeersDep,
    response: Response,
    form: Annotated[uploads.ImportForm, Form(media_type=_FORM)],
    key: IdempotencyKey = "",
) -> schemas.Imported:
    """Publishes a new dataset, or with `dataset_id` a new version of one.

    As JSON, without files: from tables that are in the store already.
    """
    into = Destination(slug=form.slug, dataset_id=form.dataset_id, idempotency_key=key)
    answer = await _import(peers, form, into)
    return _located(response, answer)


@router.post(
    "/{dataset}/export",
    status_code=201,
    openapi_extra=uploads.or_json(uploads.AdoptedTables),
    **_LIMITS,
)
async def import_version(
    peers: PeersDep,
    response: Response,
    dataset: DatasetName,
    form: Annotated[uploads.VersionForm, Form(media_type=_FORM)],
    key: IdempotencyKey = "",
) -> schemas.Imported:
    """Publishes a new version of a dataset; the same payload as of POST /api/datasets."""
    into = await _existing(peers, dataset, key)
    return _located(response, await _import(peers, form, into))


async def _existing(peers: Peers, dataset: str, key: str) -> Destination:
    with asking("dataset"):
        answer = await peers.datasets.GetDataset(pb.GetDatasetRequest(dataset=dataset))
    found = answer.dataset
    return Destination(slug=found.slug, dataset_id=found.dataset_id, idempotency_key=key)


async def _import(peers: Peers, form: uploads.VersionForm, into: Destination) -> schemas.Imported:
    files = parts.files_of(form)
    first = pb.ImportDatasetRequest(header=await headers.of_import(form, into, files))
    sent = parts.messages(first, files, lambda piece: pb.ImportDatasetRequest(bytes=piece))
    with asking("dataset"):
        answer = await writing.write_all(peers.datasets.ImportDataset(), sent)
    return shapes.imported(answer)


def _located(response: Response, imported: schemas.Imported) -> schemas.Imported:
    response.headers["location"] = f"/api/datasets/{imported.dataset_id}"
    return imported


@router.post(
    "/{dataset}/append",
    status_code=201,
    responses={200: {"model": schemas.Appended, "description": "Nothing was new."}},
    **_LIMITS,
)
async def append_rows(
    peers: PeersDep,
    response: Response,
    dataset: DatasetName,
    form: Annotated[uploads.AppendForm, Form(media_type=_FORM)],
    key: IdempotencyKey = "",
) -> schemas.Appended:
    """Adds rows to the end of a dataset as its next version.

    Bars and indicators of one request become visible together. Rows that are there already
    may come again with the same values.
    """
    files = parts.files_of(form)
    if not files:
        raise InvalidRequest([Violation("ohlcv", "is missing, and so is indicators")])
    first = pb.AppendBarsRequest(header=headers.of_append(form, dataset, key, files))
    sent = parts.messages(first, files, lambda piece: pb.AppendBarsRequest(bytes=piece))
    with asking("dataset", parts.fields_of(files)):
        answer = await writing.write_all(peers.datasets.AppendBars(), sent)
    if not (answer.appended_ohlcv_rows or answer.appended_indicator_rows):
        response.status_code = status.HTTP_200_OK
    return shapes.appended(answer)


@router.post(
    "/sniff",
    form_limits={"max_files": 1, "max_fields": 64},
    dependencies=[Depends(parts.each_once)],
)
async def sniff_file(
    peers: PeersDep,
    form: Annotated[uploads.SniffForm, Form(media_type=_FORM)],
) -> schemas.Sniffed:
    """What an import would make of one file, and why; nothing is kept."""
    one = parts.part(form, form.file, table=form.table)
    first = pb.SniffFileRequest(header=headers.of_sniff(form, one))
    sent = parts.messages(first, [one], lambda piece: pb.SniffFileRequest(bytes=piece))
    with asking("dataset", parts.fields_of([one])):
        return shapes.sniffed(await writing.write_all(peers.datasets.SniffFile(), sent))
