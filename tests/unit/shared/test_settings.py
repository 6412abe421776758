from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.shared.settings import ServerSettings, is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.8.8:0"])
def test_loopback_addresses_are_known(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "example:1", ":1"])
def test_everything_else_is_public(address: str) -> None:
    assert not is_loopback(address)


def test_a_public_bind_without_a_token_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="STAGE1_SERVICE_TOKEN"):
        ServerSettings(listen="0.0.0.0:7401")


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("hush\n")
    monkeypatch.setenv("STAGE1_SERVICE_TOKEN_FILE", str(secret))
    settings = ServerSettings(listen="0.0.0.0:7401")
    assert settings.token == "hush"
    assert "hush" not in repr(settings)


def test_the_environment_names_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE1_LISTEN", "127.0.0.1:9")
    assert ServerSettings().listen == "127.0.0.1:9"
