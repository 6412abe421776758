"""Tables that are in the series store already become a dataset: copied, and judged as a file is.

They go the way of an import, whose bytes come from the store: so they are streamed, spooled,
judged, written to tables of an attempt and verified, and the tables themselves stay as they are.
A key stands for the tables' names and the header, not for their rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from services.dataset.app.importing import Imports
from services.dataset.app.order import ImportOrder, Part, PartBytes
from services.dataset.domain.catalogue import ImportKind, Published
from services.dataset.domain.columns import Table
from services.dataset.domain.names import is_measurement
from services.dataset.formats import Format, Options
from services.dataset.storage.protocol import Catalogue
from services.shared.series import INDEX, NoSuchTable, SeriesStore

_END_OF_STREAM: Final = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True, kw_only=True)
class AdoptOrder:
    """`order` has no parts: these are the tables."""

    order: ImportOrder
    ohlcv: str
    indicators: str | None
    max_bytes: int


class Adoptions:
    def __init__(self, *, imports: Imports, catalogue: Catalogue, series: SeriesStore) -> None:
        self._imports = imports
        self._catalogue = catalogue
        self._series = series

    async def run(self, adoption: AdoptOrder) -> Published:
        """Raises what an import raises, and NoSuchTable."""
        named = {Table.OHLCV: adoption.ohlcv, Table.INDICATORS: adoption.indicators}
        tables = {table: name for table, name in named.items() if name}
        options = Options(format=Format.ARROW, max_bytes=adoption.max_bytes)
        parts = tuple(
            Part(table=table, file_name=name, options=options) for table, name in tables.items()
        )
        order = replace(adoption.order, parts=parts)
        return await self._imports.run(order, self._pieces([*tables.values()]), ImportKind.ADOPTION)

    async def _pieces(self, tables: list[str]) -> AsyncIterator[PartBytes]:
        watermarks = await self._watermarks(tables)
        for part, table in enumerate(tables):
            stored = await self._series.schema(table)
            names = [name for name in stored.names if name != INDEX]
            schema = await self._series.schema(table, names)
            yield PartBytes(part, schema.serialize().to_pybytes())
            rows = self._series.read(table, names, below_ms=watermarks.get(table))
            async with aclosing(rows) as batches:
                async for batch in batches:
                    yield PartBytes(part, batch.serialize().to_pybytes())
            yield PartBytes(part, _END_OF_STREAM)

    async def _watermarks(self, tables: list[str]) -> Mapping[str, int]:
        """Of tables that are ours: rows beyond are of appends that nobody has published."""
        async with self._catalogue.transaction() as catalogue:
            known = await catalogue.watermarks(tables)
        for table in tables:
            if is_measurement(table) and table not in known:
                raise NoSuchTable(f"There is no table {table} that a version of a dataset reads.")
        return known
