"""Settings of the runs service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.shared.settings import PostgresSettings, SeriesSettings, ServerSettings


class RunsSettings(ServerSettings, PostgresSettings, SeriesSettings):
    listen: str = "127.0.0.1:7402"
    dataset_address: str = "127.0.0.1:7401"
    data_dir: Path = Path(".stage1")
    """Holds `runs/series` (predictions, trades, equity) and `runs/models`."""
    worker_hosts: list[str] = Field(default=["127.0.0.0/8", "::1", "localhost"], min_length=1)
    """Where workers may be dialled: names, addresses or networks, as a JSON list."""
