"""What the cases publish: prefixes of one random walk, so that every version's rows are known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.canonical import TableHash, TableHasher, column_types, content_hash
from tests.unit.dataset.bars import hourly

LOOKBACK: Final = 50
LOOKAHEAD: Final = 6
_MOST_ROWS: Final = 100_000
_PIECE_BYTES: Final = 256 << 10
OHLCV, INDICATORS = dataset_pb2.TABLE_OHLCV, dataset_pb2.TABLE_INDICATORS


@dataclass(frozen=True)
class Content:
    """The first `rows` bars of the market `seed`, with their indicators."""

    seed: int
    rows: int

    def tables(self, first: int = 0) -> tuple[pa.Table, pa.Table]:
        """Bars from this one on, and the indicators that came with them or after them."""
        bars, indicators = _market(self.seed)
        start, end = max(0, first - LOOKBACK - LOOKAHEAD), self.rows - LOOKBACK - LOOKAHEAD
        return bars.slice(first, self.rows - first), indicators.slice(start, end - start)

    @property
    def hash(self) -> str:
        return content_hash(*map(hash_of, self.tables()))


@dataclass(frozen=True, kw_only=True)
class Import:
    """`dataset_id` for a new version of what is there."""

    slug: str
    content: Content
    dataset_id: str = ""
    key: str

    def messages(self) -> Iterator[pb.ImportDatasetRequest]:
        header = import_pb2.ImportHeader(
            slug=self.slug,
            dataset_id=self.dataset_id,
            idempotency_key=self.key,
            symbol="TEST",
            calendar="observed",
            parts=_parts(),
        )
        yield pb.ImportDatasetRequest(header=header)
        for piece in _pieces(self.content.tables()):
            yield pb.ImportDatasetRequest(bytes=piece)


@dataclass(frozen=True, kw_only=True)
class Append:
    """The rows from `first` on, after which the dataset holds `content`."""

    slug: str
    content: Content
    first: int
    key: str

    def messages(self) -> Iterator[pb.AppendBarsRequest]:
        header = import_pb2.AppendHeader(
            dataset=self.slug, idempotency_key=self.key, parts=_parts()
        )
        yield pb.AppendBarsRequest(header=header)
        for piece in _pieces(self.content.tables(self.first)):
            yield pb.AppendBarsRequest(bytes=piece)


@dataclass(frozen=True, kw_only=True)
class Adopt:
    """These tables, which hold `content`."""

    slug: str
    content: Content
    tables: tuple[str, str]
    key: str

    def message(self) -> pb.AdoptTablesRequest:
        header = import_pb2.ImportHeader(
            slug=self.slug, idempotency_key=self.key, symbol="TEST", calendar="observed"
        )
        ohlcv, indicators = self.tables
        return pb.AdoptTablesRequest(
            header=header, ohlcv_measurement=ohlcv, indicator_measurement=indicators
        )


Upload = Import | Append
Request = Upload | Adopt


def new_key() -> str:
    return uuid4().hex


def hash_of(table: pa.Table) -> TableHash:
    hasher = TableHasher(column_types(table.schema))
    for batch in table.to_batches():
        hasher.update(batch)
    return hasher.finish()


@cache
def _market(seed: int) -> tuple[pa.Table, pa.Table]:
    random = np.random.default_rng(seed)
    times = hourly(_MOST_ROWS)
    close = 100 * np.exp(np.cumsum(random.normal(0, 1e-4, _MOST_ROWS)))
    opened = np.concatenate([[100.0], close[:-1]])
    bars = {
        "timestamp_ms": times,
        "open": opened,
        "high": np.maximum(opened, close) * 1.0001,
        "low": np.minimum(opened, close) * 0.9999,
        "close": close,
        "volume": random.integers(1, 1000, _MOST_ROWS).astype(np.float64),
    }
    noise = random.normal(size=(3, _MOST_ROWS))
    sparse = pa.array(noise[1], mask=random.random(_MOST_ROWS) < 0.05)
    indicators = {"timestamp_ms": times, "RSI": noise[0], "ADX": sparse, "TGT_6": noise[2]}
    return pa.table(bars), pa.table(indicators).slice(LOOKBACK)


def _parts() -> list[import_pb2.ImportPart]:
    arrow = import_pb2.ImportPart.FORMAT_ARROW
    return [import_pb2.ImportPart(table=table, format=arrow) for table in (OHLCV, INDICATORS)]


def _pieces(tables: tuple[pa.Table, pa.Table]) -> Iterator[pb.PartBytes]:
    for part, table in enumerate(tables):
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue()
        for start in range(0, len(data), _PIECE_BYTES):
            yield pb.PartBytes(part=part, data=data[start : start + _PIECE_BYTES])
