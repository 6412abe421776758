"""Settings of every process: `STAGE1_…` in the environment, secrets also as `STAGE1_…_FILE`.

Every field has a default that is right on one machine; what is unsafe is refused at start.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.shared import logging

PREFIX = "STAGE1_"


class SecretFiles(PydanticBaseSettingsSource):
    """`STAGE1_X_FILE` names the file whose text, stripped, is `STAGE1_X`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return (Path(path).read_text("utf-8").strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {
            n: self.get_field_value(f, n)[0] for n, f in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    log_format: logging.Format = "console"
    log_level: logging.Level = "info"
    service_token: SecretStr | None = None
    """Shared secret of the services; required where a bind is not loopback."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    @property
    def token(self) -> str | None:
        return self.service_token.get_secret_value() if self.service_token else None


class ServerSettings(Settings):
    listen: str = "127.0.0.1:0"
    """host:port; port 0 takes a free one."""
    reflection: bool = True
    drain_seconds: float = 5
    """Calls under way at SIGTERM have this long."""

    @model_validator(mode="after")
    def _public_needs_token(self) -> Self:
        if not is_loopback(self.listen) and not self.token:
            raise ValueError(
                f"STAGE1_LISTEN is {self.listen!r}, which others can reach: "
                "set STAGE1_SERVICE_TOKEN (or STAGE1_SERVICE_TOKEN_FILE), or bind to 127.0.0.1."
            )
        return self


class PostgresSettings(Settings):
    """Where PostgreSQL is, and who logs in there."""

    postgres_dsn: SecretStr = SecretStr("postgresql://127.0.0.1:5432/stage1")
    postgres_password: SecretStr | None = None
    """For a DSN that names none."""


class SeriesSettings(Settings):
    """Where series lie: Arrow files under the data folder, or a QuestDB."""

    series: Literal["arrow", "questdb"] = "arrow"
    questdb_url: str = "http://127.0.0.1:9000"
    """Its HTTP interface; the binary protocols are not used."""
    questdb_user: str = ""
    questdb_password: SecretStr | None = None


def is_loopback(address: str) -> bool:
    """Whether a host:port can be reached from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
