"""Frames as a Parquet file that is sent while it is written; a row group is all it holds."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

_GROUP_BYTES: Final = 16 << 20
_READABLE_ANYWHERE: Final = pl.CompatLevel.oldest()


async def parquet_pieces(frames: AsyncIterator[pl.DataFrame]) -> AsyncIterator[bytes]:
    """The first frame has no rows and says the columns."""
    written = _Written()
    writer = pq.ParquetWriter(written, _arrow([await anext(frames)]).schema)
    group: list[pl.DataFrame] = []
    async for frame in frames:
        group.append(frame)
        if sum(one.estimated_size() for one in group) >= _GROUP_BYTES:
            await asyncio.to_thread(writer.write_table, _arrow(group))
            group = []
            yield written.take()
    if group:
        await asyncio.to_thread(writer.write_table, _arrow(group))
    await asyncio.to_thread(writer.close)
    yield written.take()


def _arrow(frames: Sequence[pl.DataFrame]) -> pa.Table:
    return pl.concat(frames).to_arrow(compat_level=_READABLE_ANYWHERE)


class _Written(io.RawIOBase):
    """What the writer has written since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
