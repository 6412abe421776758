"""Manifests that were read before: a published version never changes, and a large one takes
a tenth of a second to decode."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final
from uuid import UUID

import orjson

from services.dataset.domain.manifest import Manifest, from_json
from services.shared.errors import DataLoss

KEPT_BYTES: Final = 8 << 20  # of messages; as objects they take about five times as much


class Manifests:
    """The most recently used. Only what is committed may come here."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self._kept: OrderedDict[tuple[UUID, int], Manifest] = OrderedDict()
        self._left = max_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, dataset_id: UUID, version: int) -> Manifest | None:
        key = dataset_id, version
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    async def decode(self, text: str) -> Manifest:
        """In a thread, so that other calls go on meanwhile."""
        manifest = await asyncio.to_thread(decoded, text)
        self._keep(manifest)
        return manifest

    def _keep(self, manifest: Manifest) -> None:
        key = manifest.dataset_id, manifest.version
        if key in self._kept:  # two callers decoded it at once
            return
        self._kept[key] = manifest
        self._left -= manifest.max_message_bytes
        while self._left < 0:
            _, oldest = self._kept.popitem(last=False)
            self._left += oldest.max_message_bytes


def decoded(text: str) -> Manifest:
    """Raises DataLoss when somebody has changed it into what none can be."""
    try:
        return from_json(orjson.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        told = str(error)[:200]
        raise DataLoss(f"A manifest in the catalogue is damaged: {told}.") from error
