"""The server's program: one jar by its Maven coordinates, taken only with the right checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import platformdirs
from jgo.maven import MavenContext

from services.shared.errors import DataLoss, Unavailable

VERSION: Final = "9.3.4"
SHA256: Final = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062"


class JarDiffers(DataLoss):
    reason = "QUESTDB_JAR_DIFFERS"


class JarUnavailable(Unavailable):
    reason = "QUESTDB_JAR_UNAVAILABLE"


def cache_folder() -> Path:
    return platformdirs.user_cache_path("stage1")


def path(cache: Path | None = None) -> Path:
    """Where the jar is once it was loaded."""
    return (cache or cache_folder()) / f"questdb-{VERSION}.jar"


def jar(cache: Path | None = None, *, sha256: str = SHA256) -> Path:
    """The jar, loaded (30 MB) when this user does not have it yet. Blocks.

    Raises JarDiffers when what was loaded is not what we know, JarUnavailable
    when it cannot be loaded.
    """
    found_at = path(cache)
    if found_at.exists() and _digest(found_at) == sha256:
        return found_at
    found_at.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=found_at.parent, prefix=".maven-") as aside:
        loaded = _load(Path(aside), found_at)
        found = _digest(loaded)
        if found != sha256:
            raise JarDiffers(
                f"The jar of QuestDB {VERSION} has the SHA-256 {found}, not {sha256}: "
                "it is not used."
            )
        os.replace(loaded, found_at)
    return found_at


def _load(repository: Path, place: Path) -> Path:
    maven = MavenContext(repo_cache=repository)
    try:
        artifact = maven.project("org.questdb", "questdb").at_version(VERSION).artifact()
        return Path(artifact.resolve())
    except Exception as error:  # jgo has no error of its own for this
        raise JarUnavailable(
            f"The jar of QuestDB {VERSION} could not be loaded ({error}): connect this machine "
            f"to a Maven repository once, or take org.questdb:questdb:{VERSION} from Maven Central "
            f"elsewhere and put it here as {place}."
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
