"""Imports and appends, with what became of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from gateway.http.deps import PeersDep
from gateway.http.lists import collect
from gateway.http.peers import asking
from gateway.http.schemas import publishing as schemas
from gateway.http.shapes import publishing as shapes
from gateway.http.shapes.words import number

router = APIRouter(prefix="/api/imports", tags=["imports"])
ImportId = Annotated[str, Path(max_length=64, description="UUID.")]


@router.get("")
async def list_imports(
    peers: PeersDep, query: Annotated[schemas.ImportQuery, Query()]
) -> schemas.ImportList:
    """Newest first, the refused and abandoned ones too."""

    async def page(size: int, token: str, skip: int) -> pb.ListImportsResponse:
        return await peers.datasets.ListImports(
            pb.ListImportsRequest(
                slug=query.slug,
                state=number(import_pb2.Import.State, query.status, "STATE_"),
                page_size=size,
                page_token=token,
            )
        )

    with asking("dataset"):
        found, token = await collect(
            page,
            lambda answer: list(answer.imports),
            limit=query.limit,
            page_token=query.page_token,
        )
    imports = [shapes.import_(one) for one in found]
    return schemas.ImportList(imports=imports, count=len(imports), next_page_token=token)


@router.get("/{import_id}")
async def get_import(peers: PeersDep, import_id: ImportId) -> schemas.Import:
    """How far it came."""
    with asking("dataset"):
        answer = await peers.datasets.GetImport(pb.GetImportRequest(import_id=import_id))
    return shapes.import_(getattr(answer, "import"))
