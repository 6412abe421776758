"""Trainers and simulators that have said they exist, and where they may be dialled."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.shared.errors import Conflict

GONE_AFTER_MS: Final = 15_000


class Kind(StrEnum):
    TRAINER = "TRAINER"
    SIMULATOR = "SIMULATOR"


@dataclass(frozen=True, kw_only=True)
class Worker:
    worker_id: UUID
    kind: Kind
    address: str
    device: str
    memory_bytes: int
    slots: int
    versions: Mapping[str, str]
    last_seen_ms: int = 0
    busy: int = 0


def refuse_stranger(address: str, allowed: Sequence[str]) -> None:
    """Raises Conflict unless the host of host:port is a listed name, address or network."""
    host = address.rpartition(":")[0].strip("[]")
    if not any(_matches(host, entry) for entry in allowed):
        raise Conflict(
            f"Workers may not be dialled at {address}: its host is not on the allow-list"
            f" ({', '.join(allowed)}).",
            reason="WORKER_ADDRESS_REFUSED",
        )


def _matches(host: str, entry: str) -> bool:
    if host == entry:
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry)
    except ValueError:
        return False
