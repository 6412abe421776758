"""Which processes make a Stage1 on one machine, and what each is told."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gateway.cli.supervisor import health
from gateway.cli.supervisor.child import Program
from gateway.cli.supervisor.data_folder import DataFolder
from gateway.cli.supervisor.ports import HOST, Ports
from services.shared.malloc import MALLOC_ENVIRONMENT


def postgres(folder: DataFolder) -> Program:
    return Program(
        name="postgres",
        module=("gateway.cli.supervisor.postgres", str(folder.postgres), str(folder.dsn_file)),
        environment=dict(os.environ),
        ready=health.written(folder.dsn_file),
    )


def services(folder: DataFolder, ports: Ports, dsn: str) -> list[Program]:
    """In the order in which they start; they wait for each other."""
    stores = {"STAGE1_POSTGRES_DSN": dsn, "STAGE1_DATA_DIR": str(folder.path)}
    return [
        _service("dataset", ports.dataset, ports, stores),
        _service("runs", ports.runs, ports, stores),
        _service("trainer", ports.trainer, ports),
        _service("simulator", ports.simulator, ports),
        Program(
            name="gateway",
            module=("gateway.http",),
            environment=_environment(ports.gateway, ports),
            ready=health.answering(f"{ports.url}/readyz"),
            address=ports.url,
        ),
    ]


def _service(
    name: str, port: int, ports: Ports, stores: Mapping[str, str] | None = None
) -> Program:
    address = f"{HOST}:{port}"
    return Program(
        name=name,
        module=(f"services.{name}",),
        environment=_environment(port, ports) | dict(stores or {}),
        ready=health.serving(address),
        address=address,
    )


def _environment(port: int, ports: Ports) -> dict[str, str]:
    return {
        **os.environ,
        **MALLOC_ENVIRONMENT,
        "STAGE1_LISTEN": f"{HOST}:{port}",
        "STAGE1_DATASET_ADDRESS": f"{HOST}:{ports.dataset}",
        "STAGE1_RUNS_ADDRESS": f"{HOST}:{ports.runs}",
    }
