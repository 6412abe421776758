"""Settings of the gateway. Until there are access tokens it binds to loopback only."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from services.shared.settings import Settings, is_loopback


class GatewaySettings(Settings):
    listen: str = "127.0.0.1:7400"
    """host:port; port 0 takes a free one."""
    dataset_address: str = "127.0.0.1:7401"
    runs_address: str = "127.0.0.1:7402"
    max_upload_bytes: int = Field(default=4 << 30, gt=0)
    """Of one upload: as sent, and again when unpacked."""
    drain_seconds: int = 5
    """Answers under way at SIGTERM have this long."""

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not is_loopback(self.listen):
            raise ValueError(
                f"STAGE1_LISTEN is {self.listen!r}, which others can reach: "
                "the gateway has no access tokens yet and binds to 127.0.0.1 only."
            )
        return self

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])
