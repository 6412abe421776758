"""What handlers ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from gateway.http.peers import Peers
from gateway.http.settings import GatewaySettings


async def _peers(request: Request) -> Peers:
    peers: Peers = request.app.state.peers
    return peers


async def _settings(request: Request) -> GatewaySettings:
    settings: GatewaySettings = request.app.state.settings
    return settings


PeersDep = Annotated[Peers, Depends(_peers)]
SettingsDep = Annotated[GatewaySettings, Depends(_settings)]
DatasetName = Annotated[str, Path(max_length=64, description="UUID or slug.")]
RunId = Annotated[str, Path(max_length=64, description="UUID.")]
SimulationId = Annotated[str, Path(max_length=64, description="UUID.")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        description="Good for 24 h: the same request again gives the same answer.",
    ),
]
