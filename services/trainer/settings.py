"""Settings of the trainer."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from services.shared.settings import ServerSettings


class TrainerSettings(ServerSettings):
    listen: str = "127.0.0.1:7403"
    dataset_address: str = "127.0.0.1:7401"
    runs_address: str = "127.0.0.1:7402"
    advertise: str = ""
    """host:port at which runs reaches this trainer; empty: 127.0.0.1 and the port listened on."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA when XGBoost has it and a GPU answers; cuda refuses to start without."""
    slots: int = Field(default=1, ge=1, le=64)
    """Jobs at once, each in a worker process of its own."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Of each worker; 0 shares the CPUs out among the slots. It changes no prediction."""

    @property
    def threads_per_worker(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) // self.slots)
