"""docker-compose.yml and the Dockerfile against the code they start."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.shared import questdb_jar, questdb_server
from services.shared.malloc import MALLOC_ENVIRONMENT
from services.shared.provision import SCHEMAS, role_of
from services.shared.settings import PREFIX
from tests.deployment import OURS, ROOT, THEIRS, compose, stages

COMPOSE = compose()
SERVICES = COMPOSE["services"]
STAGES = stages()
SECRETS = "/run/secrets/"


def test_every_service_is_one_of_ours_or_a_store() -> None:
    assert set(SERVICES) == {*OURS, *THEIRS}


@pytest.mark.parametrize("name", OURS)
def test_an_image_is_a_stage_that_starts_a_module_of_ours(name: str) -> None:
    service = SERVICES[name]
    stage = STAGES[service["build"]["target"]]
    assert stage.base == "runtime"
    assert service["image"] == f"stage1-{name}"
    assert "command" not in service
    assert stage.command[:2] == ("python", "-m")
    assert importlib.util.find_spec(f"{stage.command[2]}")
    assert stage.user == "10001:10001"


def test_stores_are_the_versions_that_are_tested() -> None:
    assert SERVICES["questdb"]["image"] == f"questdb/questdb:{questdb_jar.VERSION}"
    assert SERVICES["postgres"]["image"] == "postgres:18"


def test_questdb_has_the_settings_that_are_measured() -> None:
    """Its health port is on, for the container engine, and inside the container only."""
    shipped = dict(SERVICES["questdb"]["environment"])
    health = shipped.pop("QDB_HTTP_MIN_NET_BIND_TO")
    assert health.startswith("127.0.0.1:")
    assert shipped.pop("QDB_HTTP_HEALTH_CHECK_AUTHENTICATION_REQUIRED") == "false"
    bind, user = shipped.pop("QDB_HTTP_BIND_TO"), shipped.pop("QDB_HTTP_USER")
    assert shipped.pop("QDB_HTTP_PASSWORD_FILE") == "/run/secrets/questdb_password"
    ours = dict(questdb_server.SETTINGS)
    assert ours.pop("QDB_HTTP_MIN_ENABLED") == "false"
    assert shipped == ours
    for name in SCHEMAS:
        told = SERVICES[name]["environment"]
        assert told["STAGE1_QUESTDB_URL"] == f"http://questdb:{bind.rpartition(':')[2]}"
        assert told["STAGE1_QUESTDB_USER"] == user


@pytest.mark.parametrize(
    ("name", "variable"),
    [(n, v) for n in OURS for v in SERVICES[n]["environment"] if v.startswith(PREFIX)],
)
def test_every_setting_is_a_field_of_its_service(name: str, variable: str) -> None:
    field = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
    assert field in OURS[name].model_fields


@pytest.mark.parametrize("name", OURS)
def test_every_value_is_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("a secret", "utf-8")
    stage = STAGES[SERVICES[name]["build"]["target"]]
    for variable, value in {**stage.environment, **SERVICES[name]["environment"]}.items():
        if variable.startswith(PREFIX):
            is_secret = value.startswith(SECRETS)
            monkeypatch.setenv(variable, str(tmp_path / "secret") if is_secret else value)
    OURS[name]()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_given_the_secrets_it_reads_and_no_others(name: str) -> None:
    service = SERVICES[name]
    read = {v.removeprefix(SECRETS) for v in service["environment"].values() if SECRETS in v}
    assert set(service.get("secrets", ())) == read
    assert read <= set(COMPOSE["secrets"])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_service_logs_in_with_its_own_role(schema: str) -> None:
    told = SERVICES[schema]["environment"]
    database = SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    assert told["STAGE1_POSTGRES_DSN"] == (
        f"postgresql://{role_of(schema)}@postgres:5432/{database}"
    )
    assert told["STAGE1_POSTGRES_PASSWORD_FILE"] == f"{SECRETS}{schema}_password"


def port_of(name: str) -> str:
    listen: str = SERVICES[name]["environment"]["STAGE1_LISTEN"]
    return listen.rpartition(":")[2]


@pytest.mark.parametrize("name", [n for n in OURS if n != "provision"])
def test_ports_agree(name: str) -> None:
    service = SERVICES[name]
    assert STAGES[service["build"]["target"]].exposed == (port_of(name),)
    assert f"127.0.0.1:{port_of(name)}" in service["healthcheck"]["test"][-1]
    for variable, value in service["environment"].items():
        if variable.endswith(("_ADDRESS", "_ADVERTISE")):
            peer, _, port = value.partition(":")
            assert port == port_of(peer)


def test_workers_may_be_dialled_where_they_say_they_are() -> None:
    workers = [n for n in OURS if "STAGE1_ADVERTISE" in SERVICES[n]["environment"]]
    allowed = json.loads(SERVICES["runs"]["environment"]["STAGE1_WORKER_HOSTS"])
    assert set(allowed) == set(workers)
    for name in workers:
        assert SERVICES[name]["environment"]["STAGE1_ADVERTISE"].startswith(f"{name}:")


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:7400:7400"]}
    reachable = [n for n, s in SERVICES.items() if "door" in s["networks"]]
    assert reachable == ["gateway"]
    assert {n: bool(v and v.get("internal")) for n, v in COMPOSE["networks"].items()} == {
        "stores": True,
        "house": True,
        "door": False,
    }


def test_workers_and_the_gateway_do_not_reach_the_stores() -> None:
    reaching = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    assert reaching == {*THEIRS, "provision", *SCHEMAS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    if name in OURS:
        assert service["read_only"] is True
        assert "cap_add" not in service


@pytest.mark.parametrize("name", [n for n in OURS if "max_upload_bytes" in OURS[n].model_fields])
def test_what_is_uploaded_lies_on_a_volume_and_not_in_memory(name: str) -> None:
    service = SERVICES[name]
    environment = {**STAGES["runtime"].environment, **service["environment"]}
    spool = environment["STAGE1_DATA_DIR"] if name == "dataset" else environment["TMPDIR"]
    mounted = dict(volume.split(":") for volume in service["volumes"])
    assert spool in mounted.values()
    assert set(mounted) <= set(COMPOSE["volumes"])
    made = re.search(r"&& install --directory (.+)", (ROOT / "Dockerfile").read_text("utf-8"))
    assert made is not None
    assert spool in made[1].split()  # it belongs to our user, and so does a new volume over it


def test_all_wait_for_what_they_need() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            healthy = "healthcheck" in SERVICES[needed]
            expected = "service_healthy" if healthy else "service_completed_successfully"
            assert how["condition"] == expected, (name, needed)
    assert SERVICES["provision"]["restart"] == "no"


def test_gpu_trainers_are_a_profile() -> None:
    assert {n: s["profiles"] for n, s in SERVICES.items() if "profiles" in s} == {
        "trainer-gpu": ["gpu"]
    }
    assert SERVICES["trainer-gpu"]["build"]["args"] == {"EXTRA": "gpu"}
    [device] = SERVICES["trainer-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_image_sets_the_allocator_before_a_process_starts() -> None:
    environment = STAGES["runtime"].environment
    assert {name: environment[name] for name in MALLOC_ENVIRONMENT} == MALLOC_ENVIRONMENT


def test_what_the_build_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = STAGES["build"].copied
    assert {"services", "gateway", "requirements"} <= set(copied)
    for path in copied:
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored
    assert "*" in ignored


def test_what_the_build_installs_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert (ROOT / "requirements" / "gpu.txt").exists()
    installs = re.findall(r"pip install(?:[^\n\\]|\\\n)*", text)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)


def secrets_of(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in (folder / "secrets").iterdir()}


def test_make_secrets_makes_what_compose_reads_and_makes_it_once(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    made: list[dict[str, str]] = []
    for _ in range(2):
        subprocess.run(["make", "-s", "secrets"], cwd=tmp_path, check=True)
        made.append(secrets_of(tmp_path))
    assert made[0] == made[1]
    assert len(set(made[0].values())) == len(made[0])
    assert {f"secrets/{name}" for name in made[0]} == {
        secret["file"].removeprefix("./") for secret in COMPOSE["secrets"].values()
    }
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}


def test_secrets_never_get_into_the_repository_or_an_image() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    values: list[Any] = [v for s in SERVICES.values() for v in s["environment"].items()]
    named = [name for name, value in values if re.search("PASSWORD|TOKEN_FILE", name)]
    assert named
    assert all(name.endswith("_FILE") for name in named)
