"""Files for the tests, and the two ways a test looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.dataset.formats import FileRefused, Kind, Options, Parsed, read

HEADER = "Date,Open,High,Low,Close,Volume\n"


class Files:
    """Writes content to a file and reads it back through the importers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "file"

    def bars(self, content: str | bytes, **options: Any) -> Parsed:
        return self._read(content, Kind.OHLCV, options)

    def indicators(self, content: str | bytes, **options: Any) -> Parsed:
        return self._read(content, Kind.INDICATORS, options)

    def bars_refused(self, content: str | bytes, **options: Any) -> str:
        with pytest.raises(FileRefused) as caught:
            self.bars(content, **options)
        return str(caught.value)

    def indicators_refused(self, content: str | bytes, **options: Any) -> str:
        with pytest.raises(FileRefused) as caught:
            self.indicators(content, **options)
        return str(caught.value)

    def _read(self, content: str | bytes, kind: Kind, options: dict[str, Any]) -> Parsed:
        aside = options.pop("aside", None)
        self._path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(self._path, kind, Options(**options), aside=aside)


def times(parsed: Parsed) -> list[int]:
    return [int(ms) for ms in parsed.table["timestamp_ms"].to_pylist()]


def values(parsed: Parsed, name: str) -> list[Any]:
    return list(parsed.table[name].to_pylist())
