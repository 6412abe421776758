"""What all blocks of a file say together, while their rows are put aside."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

import polars as pl
import pyarrow as pa

from services.dataset.formats.aside import Aside
from services.dataset.formats.blocks import STAMP, Cooked, Numbering
from services.dataset.formats.looks import Look
from services.dataset.formats.numbers import Seen
from services.dataset.formats.options import Kind
from services.dataset.formats.refusal import Ledger, RowsRefused, ambiguous, named, refused
from services.dataset.formats.rules import EmptyEdges


class TimesDiffer(Exception):
    """Blocks before have times of another type."""


class Gathered:
    """`stamps` are the time columns with the line of each row, `values` all others; both are there
    once all blocks are."""

    def __init__(self, kind: Kind, stamps: Aside, values: Aside) -> None:
        self.look = Look()
        self.seen = Seen()
        self.edges = EmptyEdges()
        self.nulls: Counter[str] = Counter()
        self.markets: dict[str, None] = {}
        self.rows = 0
        self.unsplit, self.unread, self.wrong = Ledger(), Ledger(), Ledger()
        self.stamp = pl.Series()
        self.noun = ""
        self._numbered: Numbering | None = None
        self.kind = kind
        self._stamps, self._values = stamps, values

    def add(self, block: Cooked | RowsRefused, market: str | None) -> None:
        """Raises TimesDiffer."""
        if isinstance(block, RowsRefused):
            self.unsplit.note(block.broken)
            return
        self.markets.update(dict.fromkeys(block.markets))
        if market is None and len(self.markets) > 1:
            names = named([*self.markets])
            raise ambiguous(f"is missing: the file holds the markets {names}", option="market")
        if not len(block.values):
            return
        self.look.add(block.look)
        self.seen.add(block.seen)
        self.unread.note(block.unread)
        self.wrong.note(block.wrong)
        self._count(block.numbering)
        self._put_aside(block)

    def _put_aside(self, block: Cooked) -> None:
        self.noun = block.places.noun
        stamp = block.stamps[STAMP].clear()
        if self.rows and stamp.dtype != self.stamp.dtype:
            raise TimesDiffer
        self.stamp = stamp
        self._stamps.write(_arrow(block.stamps))
        self._values.write(_arrow(block.values))
        self.rows += len(block.values)
        counts = zip(block.values.columns, block.values.null_count().row(0), strict=True)
        self.nulls.update({name: count for name, count in counts if count})
        if self.kind is Kind.INDICATORS:
            self.edges.add(block.values, block.places)

    def _count(self, numbering: Numbering | None) -> None:
        if numbering is None:
            return
        expected = {0, 1} if self._numbered is None else {(self._numbered.last or 0) + 1}
        if numbering.first not in expected:
            raise refused("has a column without a name that does not number the rows")
        self._numbered = numbering

    @cached_property
    def stamps(self) -> pa.Table:
        return self._stamps.mapped()

    @cached_property
    def values(self) -> pa.Table:
        return self._values.mapped()

    @property
    def is_numbered(self) -> bool:
        return self._numbered is not None

    @property
    def null_counts(self) -> dict[str, int]:
        """Without the empty rows at the edges."""
        edges = self.edges.head + self.edges.tail
        return {name: count - edges for name, count in self.nulls.items() if count > edges}


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """Text as plain strings."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    if pl.String not in frame.dtypes:
        return table
    plain = [
        f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in table.schema
    ]
    return table.cast(pa.schema(plain))
