from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.http.settings import GatewaySettings


@pytest.mark.parametrize("listen", ["0.0.0.0:7400", "[::]:7400", "10.0.0.1:7400", ":7400"])
def test_an_address_that_others_reach_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="no access tokens yet"):
        GatewaySettings(listen=listen)


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1:7400", "127.0.0.1"), ("[::1]:1", "::1")])
def test_loopback_is_taken_apart(listen: str, host: str) -> None:
    settings = GatewaySettings(listen=listen)
    assert (settings.host, settings.port) == (host, int(listen.rpartition(":")[2]))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE1_DATASET_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("STAGE1_MAX_UPLOAD_BYTES", "10")
    settings = GatewaySettings()
    assert (settings.dataset_address, settings.max_upload_bytes) == ("127.0.0.1:9", 10)
