"""The gateway's HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from gateway.http import errors, guards
from gateway.http.peers import connected
from gateway.http.routes import (
    bars,
    checks,
    columns,
    dataset_events,
    datasets,
    imports,
    pages,
    publishing,
    runs,
    simulations,
    system,
)
from gateway.http.schemas.common import Error
from gateway.http.settings import GatewaySettings


def create_app(settings: GatewaySettings) -> FastAPI:
    app = FastAPI(
        title="Stage1",
        version=version("stage1"),
        description="From bar files to honest out-of-sample evidence.",
        lifespan=_connected,
        docs_url=None,  # those pages load scripts from elsewhere; ours is routes/pages
        redoc_url=None,
        responses={"4XX": {"model": Error}, "5XX": {"model": Error}},
    )
    app.state.settings = settings
    errors.install(app)
    guards.install(
        app,
        max_upload_bytes=settings.max_upload_bytes,
        allowed_hosts=settings.allowed_hosts,
    )
    app.include_router(publishing.adoptions)  # before the forms of the same paths
    for routes in (
        *(system, dataset_events, publishing, datasets, columns, bars, checks, imports),
        *(runs, simulations, pages),
    ):
        app.include_router(routes.router)
    return app


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    async with connected(app.state.settings) as peers:
        app.state.peers = peers
        yield
