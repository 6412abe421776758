"""What is said of a dataset, changed: symbol, granularity, source and metadata, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.dataset.domain.catalogue import Dataset
from services.dataset.domain.granularity import contradiction
from services.shared.errors import InvalidRequest, Violation

METADATA_ENTRIES: Final = 64


@dataclass(frozen=True, kw_only=True)
class Update:
    """None leaves a text as it is."""

    symbol: str | None = None
    granularity: str | None = None
    source: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    removed_metadata: frozenset[str] = frozenset()

    @property
    def says_nothing(self) -> bool:
        texts = (self.symbol, self.granularity, self.source)
        return all(text is None for text in texts) and not (self.metadata or self.removed_metadata)


def updated(dataset: Dataset, update: Update) -> Dataset:
    """Raises InvalidRequest for too much metadata, or a granularity that the bars contradict."""
    said = _or(update.granularity, dataset.granularity)
    if said != dataset.granularity and (message := contradiction(said, dataset.manifest)):
        raise InvalidRequest([Violation("granularity", message)])
    kept = {k: v for k, v in dataset.metadata.items() if k not in update.removed_metadata}
    metadata = {**kept, **update.metadata}
    if len(metadata) > METADATA_ENTRIES:
        message = f"would have {len(metadata)} entries, and at most {METADATA_ENTRIES} are allowed"
        raise InvalidRequest([Violation("metadata", message)])
    return replace(
        dataset,
        symbol=_or(update.symbol, dataset.symbol),
        granularity=said,
        source=_or(update.source, dataset.source),
        metadata=metadata,
    )


def _or(said: str | None, known: str) -> str:
    return known if said is None else said
