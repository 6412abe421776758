"""Rows at midnight: of daily bars they are sessions, of an hour among hours they are a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from services.dataset.app.order import AppendOrder, ImportOrder
from services.dataset.domain.columns import Table
from services.shared.postgres import Pool
from tests.integration.dataset.client import OHLCV
from tests.integration.dataset.growing import read_version
from tests.integration.dataset.inside import append, order, started

Order = TypeVar("Order", ImportOrder, AppendOrder)


def in_zone(asked: Order, zone: str | None) -> Order:
    parts = [replace(part, options=replace(part.options, zone=zone)) for part in asked.parts]
    return replace(asked, parts=tuple(parts))


@pytest.mark.parametrize("offset", ["", "+03:00"])
async def test_an_hour_at_midnight_alone_is_no_session(
    migrated: Pool, tmp_path: Path, offset: str
) -> None:
    """The dates of daily bars are those of their sessions, whatever the zone says."""
    slug, zone = f"midnight{len(offset)}", None if offset else "Europe/Athens"
    days = [("14", 21), ("14", 22), ("14", 23), ("15", 0)]
    lines = [f"2024-05-{day}T{hour:02}:00{offset},1,1,1,1\n" for day, hour in days]
    header = "date,open,high,low,close\n"
    hours, midnight = (header + "".join(part) for part in (lines[:3], lines[3:]))
    async with started(migrated, tmp_path) as service:
        await service.run(in_zone(order(slug, tables=(OHLCV,)), zone), hours.encode())
        grown = await service.append(in_zone(append(slug, OHLCV), zone), midnight.encode())
        rows = await read_version(service, grown.dataset, Table.OHLCV)
        assert np.diff(rows["timestamp_ms"].to_numpy()).tolist() == [3_600_000] * 3
