"""Pages for people: what runs, and what can be asked. No scripts, nothing from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.http import health, html
from gateway.http.deps import PeersDep, SettingsDep
from gateway.http.overview import overview
from gateway.http.reference import reference

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(peers: PeersDep, settings: SettingsDep) -> Response:
    return html.page("Stage1", await overview(peers, await health.examine(peers, settings)))


@router.get("/docs")
async def docs(request: Request) -> Response:
    return html.page("Stage1: the API", reference(request.app.openapi()))
