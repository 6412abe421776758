"""How a channel is opened, by where it leads and what the kernel allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.shared.rpc import client

BUFFER = ("grpc.tcp_receive_buffer_size", 4 << 20)


@pytest.mark.parametrize(
    ("address", "limit", "has_buffer"),
    [
        ("127.0.0.1:50051", "4194304\n", True),
        ("localhost:50051", "33554432\n", True),
        ("[::1]:50051", "4194304\n", True),
        ("127.0.0.1:50051", "212992\n", False),
        ("node-7:50051", "33554432\n", False),
        ("127.0.0.1:50051", "", False),
        ("127.0.0.1:50051", None, False),
    ],
)
def test_only_on_loopback_and_where_the_kernel_allows_it_a_channel_has_a_buffer_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    limit: str | None,
    has_buffer: bool,
) -> None:
    told = tmp_path / "rmem_max"
    if limit is not None:
        told.write_text(limit)
    monkeypatch.setattr(client, "_RECEIVE_LIMIT", told)
    assert (BUFFER in client.options(address)) == has_buffer
