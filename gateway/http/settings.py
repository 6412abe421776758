"""Settings of the gateway.

Until there are access tokens it binds to loopback, or where somebody has said in so many
words what that means.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, model_validator

from services.shared.settings import Settings, is_loopback

HostPort = Annotated[
    str,
    StringConstraints(pattern=r"(?i)^([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$", to_lower=True),
]
Open = Literal["everyone-who-reaches-this-port-may-do-everything"]


class GatewaySettings(Settings):
    listen: str = "127.0.0.1:7400"
    """host:port; port 0 takes a free one."""
    bind_without_tokens: Open | None = None
    """Lets it listen inside a private network; what the value says is what it means."""
    allowed_hosts: list[HostPort] = Field(default=[])
    """How browsers and programs name this gateway, where not by a name of loopback and its own
    port: Host headers, such as `stage1.lan:7400`, as a JSON list. Others are refused."""
    dataset_address: str = "127.0.0.1:7401"
    runs_address: str = "127.0.0.1:7402"
    max_upload_bytes: int = Field(default=4 << 30, gt=0)
    """Of one upload as it is sent; how much may come out of it the dataset service says."""
    drain_seconds: int = 5
    """Answers under way at SIGTERM have this long."""

    @model_validator(mode="after")
    def _loopback_unless_open(self) -> Self:
        if not is_loopback(self.listen) and not self.bind_without_tokens:
            raise ValueError(
                f"STAGE1_LISTEN is {self.listen!r}, which others can reach: "
                "the gateway has no access tokens yet and binds to 127.0.0.1 only. "
                "In a private network whose members you all trust, set "
                f"STAGE1_BIND_WITHOUT_TOKENS={get_args(Open)[0]}."
            )
        return self

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])
