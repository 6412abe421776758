"""docker-compose.yml and the Dockerfile as values, read as their own tools read them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from compose_spec import PyCompose

from gateway.http.settings import GatewaySettings
from services.dataset.settings import DatasetSettings
from services.runs.settings import RunsSettings
from services.shared.provision import ProvisionSettings
from services.shared.settings import Settings
from services.simulator.settings import SimulatorSettings
from services.trainer.settings import TrainerSettings

ROOT: Final = Path(__file__).parents[1]
OURS: Final[Mapping[str, type[Settings]]] = {
    "provision": ProvisionSettings,
    "dataset": DatasetSettings,
    "runs": RunsSettings,
    "trainer": TrainerSettings,
    "trainer-gpu": TrainerSettings,
    "simulator": SimulatorSettings,
    "gateway": GatewaySettings,
}
THEIRS: Final = ("postgres", "questdb")


def compose() -> dict[str, Any]:
    """The file with its anchors resolved. Raises ValueError when it is no Compose file."""
    resolved = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    parsed = PyCompose.from_json(json.dumps(resolved))
    parsed.validate()
    found: dict[str, Any] = parsed.to_dict()
    return found


@dataclass(frozen=True, kw_only=True)
class Stage:
    base: str
    environment: Mapping[str, str]
    command: tuple[str, ...]
    exposed: tuple[str, ...]
    copied: tuple[str, ...]
    user: str


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages; each has what it takes over from the one it is made from."""
    found: dict[str, Stage] = {}
    for block in re.split(r"^(?=FROM )", _lines("Dockerfile"), flags=re.MULTILINE)[1:]:
        instructions = [tuple(line.split(maxsplit=1)) for line in block.splitlines() if line]
        stage = _stage(instructions, found)
        found[instructions[0][1].split(" AS ")[1]] = stage
    return found


def _stage(instructions: list[tuple[str, ...]], known: Mapping[str, Stage]) -> Stage:
    def all_of(name: str) -> list[str]:
        return [rest for word, rest in instructions if word == name]

    base = all_of("FROM")[0].split()[0]
    below = known.get(base)
    words = [pair for line in all_of("ENV") for pair in shlex.split(line)]
    own = dict(pair.split("=", 1) for pair in words)
    commands = all_of("CMD")
    return Stage(
        base=base,
        environment={**(below.environment if below else {}), **own},
        command=tuple(json.loads(commands[-1])) if commands else (),
        exposed=tuple(all_of("EXPOSE")),
        copied=tuple(
            s for line in all_of("COPY") if "--from" not in line for s in line.split()[:-1]
        ),
        user=(all_of("USER") or [below.user if below else ""])[-1],
    )


def _lines(name: str) -> str:
    """Without comments, continued lines in one."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))
