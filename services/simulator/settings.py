"""Settings of the simulator."""

from __future__ import annotations

from pydantic import Field

from services.shared.settings import ServerSettings


class SimulatorSettings(ServerSettings):
    listen: str = "127.0.0.1:7404"
    dataset_address: str = "127.0.0.1:7401"
    runs_address: str = "127.0.0.1:7402"
    advertise: str = ""
    """host:port at which runs reaches this simulator; empty: 127.0.0.1 and the port listened on."""
    slots: int = Field(default=2, ge=1, le=64)
    """Simulations at once; each holds its window of bars in memory, about 300 bytes a bar."""
