"""Which processes make a Stage1 on one machine, and what each is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Final

from gateway.cli.supervisor import health, questdb, secret_files
from gateway.cli.supervisor.child import Program
from gateway.cli.supervisor.data_folder import DataFolder
from gateway.cli.supervisor.ports import HOST, Ports
from gateway.cli.supervisor.postgres import dsn_file
from services.shared import questdb_server
from services.shared.malloc import MALLOC_ENVIRONMENT

_STORES: Final = ("STAGE1_POSTGRES_", "STAGE1_QUESTDB_")
"""Settings that name the stores of another Stage1, which must not become this one's."""


def postgres(folder: DataFolder) -> Program:
    return Program(
        name="postgres",
        module=("gateway.cli.supervisor.postgres", str(folder.postgres), str(folder.secrets)),
        environment=dict(os.environ),
        ready=health.written(dsn_file(folder.secrets, "administrator")),
    )


def series_server(folder: DataFolder, ports: Ports) -> list[Program]:
    """None for Arrow files, which need no server."""
    if folder.series == "arrow":
        return []
    url = questdb_server.url_of(ports.questdb)
    password = secret_files.password(folder.secrets, questdb.PASSWORD)
    arguments = (str(folder.questdb), str(folder.secrets), str(ports.questdb))
    program = Program(
        name="questdb",
        module=("gateway.cli.supervisor.questdb", *arguments),
        environment=dict(os.environ),
        ready=partial(questdb_server.answers, url, user=questdb.USER, password=password),
        address=url,
    )
    return [program]


def services(folder: DataFolder, ports: Ports) -> list[Program]:
    """In the order in which they start; they wait for each other."""
    return [
        _service("dataset", ports.dataset, ports, _stores("dataset", folder, ports)),
        _service("runs", ports.runs, ports, _stores("runs", folder, ports)),
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


def _stores(service: str, folder: DataFolder, ports: Ports) -> dict[str, str]:
    """Secrets by file: a service that is started again reads them anew."""
    stores = {
        "STAGE1_DATA_DIR": str(folder.path),
        "STAGE1_POSTGRES_DSN_FILE": str(dsn_file(folder.secrets, service)),
        "STAGE1_SERIES": folder.series,
    }
    if folder.series == "arrow":
        return stores
    return stores | {
        "STAGE1_QUESTDB_URL": questdb_server.url_of(ports.questdb),
        "STAGE1_QUESTDB_USER": questdb.USER,
        "STAGE1_QUESTDB_PASSWORD_FILE": str(folder.secrets / questdb.PASSWORD),
    }


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
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_STORES)}
    return {
        **ours,
        **MALLOC_ENVIRONMENT,
        "STAGE1_LISTEN": f"{HOST}:{port}",
        "STAGE1_DATASET_ADDRESS": f"{HOST}:{ports.dataset}",
        "STAGE1_RUNS_ADDRESS": f"{HOST}:{ports.runs}",
    }
