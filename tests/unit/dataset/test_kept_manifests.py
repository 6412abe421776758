from __future__ import annotations

import json
from dataclasses import replace

import pytest

from services.dataset.domain.manifest import to_json
from services.dataset.storage.manifests import Manifests
from tests.unit.dataset.test_manifest import EXAMPLE

SIZE = EXAMPLE.max_message_bytes


async def read(manifests: Manifests, version: int) -> None:
    if manifests.get(EXAMPLE.dataset_id, version) is None:
        await manifests.decode(json.dumps(to_json(replace(EXAMPLE, version=version))))


async def test_a_manifest_is_found_as_it_was_decoded() -> None:
    manifests = Manifests()
    await read(manifests, 1)
    assert manifests.get(EXAMPLE.dataset_id, 1) == EXAMPLE


async def test_the_least_recently_used_goes_when_there_is_no_room() -> None:
    manifests = Manifests(3 * SIZE)
    for version in (1, 2, 3, 1, 4):
        await read(manifests, version)
    kept = [v for v in (1, 2, 3, 4) if manifests.get(EXAMPLE.dataset_id, v)]
    assert kept == [1, 3, 4]


@pytest.mark.parametrize("room", [0, SIZE - 1])
async def test_a_manifest_larger_than_the_room_is_decoded_and_not_kept(room: int) -> None:
    manifests = Manifests(room)
    await read(manifests, 1)
    assert len(manifests) == 0
    await read(manifests, 1)


async def test_a_manifest_decoded_twice_at_once_is_kept_once() -> None:
    manifests = Manifests(SIZE)
    text = json.dumps(to_json(EXAMPLE))
    assert await manifests.decode(text) == await manifests.decode(text)
    assert len(manifests) == 1
