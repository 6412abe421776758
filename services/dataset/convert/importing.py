"""The header of an import to the order it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Final

from stage1.dataset.v1 import dataset_pb2, dataset_service_pb2, import_pb2

from services.dataset.app.adopting import AdoptOrder
from services.dataset.app.order import AppendOrder, ImportOrder, Part
from services.dataset.convert.checks import Checks
from services.dataset.convert.manifest import CONVENTIONS, POLICIES, claims
from services.dataset.convert.parts import part_of
from services.dataset.domain.columns import (
    MAX_COLUMNS,
    MAX_NAME_BYTES,
    ColumnType,
    Table,
    Target,
)
from services.dataset.domain.manifest import ClaimedColumn
from services.dataset.domain.timeline import Clock, GapPolicy, TimestampConvention
from services.shared.errors import InvalidRequest, Violation

_APPEND_POLICIES: Final[dict[dataset_pb2.GapPolicy.ValueType, GapPolicy | None]] = {
    **POLICIES,
    dataset_pb2.GAP_POLICY_UNSPECIFIED: None,
}


def import_order(request: dataset_service_pb2.ImportDatasetRequest, max_bytes: int) -> ImportOrder:
    """Of the first message of the stream."""
    if request.WhichOneof("step") != "header":
        raise InvalidRequest([Violation("header", "is missing: it is the first message")])
    header, checks = request.header, Checks()
    order = _order(checks, header, _parts(checks, header, max_bytes))
    checks.done()
    return order


def adopt_order(request: dataset_service_pb2.AdoptTablesRequest, max_bytes: int) -> AdoptOrder:
    header, checks = request.header, Checks()
    checks.at_most("header.parts", len(header.parts), 0)
    adoption = AdoptOrder(
        order=_order(checks, header, ()),
        ohlcv=_measurement(checks, "ohlcv_measurement", request.ohlcv_measurement) or "",
        indicators=_measurement(checks, "indicator_measurement", request.indicator_measurement),
        max_bytes=max_bytes,
    )
    if not request.ohlcv_measurement:
        checks.refuse("ohlcv_measurement", "is missing")
    checks.done()
    tables = f"{adoption.order.header_sha256} {adoption.ohlcv} {adoption.indicators}"
    digest = hashlib.sha256(tables.encode()).hexdigest()
    return replace(adoption, order=replace(adoption.order, header_sha256=digest))


def _measurement(checks: Checks, field: str, name: str) -> str | None:
    if name and not re.fullmatch("[a-z0-9_]{1,127}", name):
        checks.refuse(field, f"is {name!r}, and names of tables are of a to z, 0 to 9 and _")
    return name or None


def _order(checks: Checks, header: import_pb2.ImportHeader, parts: tuple[Part, ...]) -> ImportOrder:
    expected = claims(checks, "header.expected", header.expected)
    return ImportOrder(
        slug=checks.slug("header.slug", header.slug),
        dataset_id=checks.name("header.dataset_id", header.dataset_id)
        if header.dataset_id
        else None,
        symbol=checks.text("header.symbol", header.symbol, 64, needed=not header.dataset_id),
        granularity=checks.granularity("header.granularity", header.granularity),
        source=checks.text("header.source", header.source, 200),
        metadata=checks.metadata("header.metadata", header.metadata),
        parts=tuple(_as_claimed(part, expected.get("columns", ())) for part in parts),
        clock=clock_of(checks, header),
        targets=_targets(checks, header),
        expected=expected,
        idempotency_key=checks.text("header.idempotency_key", header.idempotency_key, 128),
        header_sha256=_digest(header),
    )


def _as_claimed(part: Part, columns: Iterable[ClaimedColumn]) -> Part:
    """With the columns of text of the manifest that came along."""
    text = {"table": part.table, "type": ColumnType.STRING}
    return part.with_texts(name for name, said in columns if text.items() <= said.items())


def append_order(request: dataset_service_pb2.AppendBarsRequest, max_bytes: int) -> AppendOrder:
    """Of the first message of the stream."""
    if request.WhichOneof("step") != "header":
        raise InvalidRequest([Violation("header", "is missing: it is the first message")])
    header, checks = request.header, Checks()
    version = checks.between("header.expected_version", header.expected_version, 0, 2**31 - 1)
    order = AppendOrder(
        dataset=checks.name("header.dataset", header.dataset),
        parts=_append_parts(checks, header, max_bytes),
        gap_policy=checks.one_of("header.gap_policy", header.gap_policy, _APPEND_POLICIES, None),
        expected_version=version or None,
        idempotency_key=checks.text("header.idempotency_key", header.idempotency_key, 128),
        header_sha256=_digest(header),
    )
    checks.done()
    return order


def _digest(header: import_pb2.ImportHeader | import_pb2.AppendHeader) -> str:
    asked = deepcopy(header)
    asked.ClearField("idempotency_key")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).hexdigest()


def clock_of(checks: Checks, header: import_pb2.ImportHeader) -> Clock:
    return Clock(
        calendar=checks.calendar("header.calendar", header.calendar),
        convention=checks.one_of(
            "header.timestamp_convention",
            header.timestamp_convention,
            CONVENTIONS,
            TimestampConvention.OPEN,
        ),
        gap_policy=checks.one_of("header.gap_policy", header.gap_policy, POLICIES, GapPolicy.MARK),
    )


def _targets(checks: Checks, header: import_pb2.ImportHeader) -> tuple[Target, ...]:
    checks.at_most("header.targets", len(header.targets), MAX_COLUMNS)
    return tuple(
        Target(
            checks.as_sent(f"header.targets[{i}].name", target.name, MAX_NAME_BYTES, needed=True),
            checks.between(f"header.targets[{i}].horizon_bars", target.horizon_bars, 1, 100_000)
            if target.HasField("horizon_bars")
            else None,
        )
        for i, target in enumerate(header.targets)
    )


def _parts(checks: Checks, header: import_pb2.ImportHeader, max_bytes: int) -> tuple[Part, ...]:
    parts = [
        part_of(checks, f"header.parts[{i}]", part, max_bytes)
        for i, part in enumerate(header.parts)
    ]
    tables = [part.table for part in parts]
    if tables.count(Table.OHLCV) != 1 or tables.count(Table.INDICATORS) > 1:
        found = ", ".join(tables) or "nothing"
        checks.refuse(
            "header.parts", f"are {found}: one of ohlcv and at most one of indicators are needed"
        )
    return tuple(parts)


def _append_parts(
    checks: Checks, header: import_pb2.AppendHeader, max_bytes: int
) -> tuple[Part, ...]:
    parts = [
        part_of(checks, f"header.parts[{i}]", part, max_bytes)
        for i, part in enumerate(header.parts)
    ]
    tables = [part.table for part in parts]
    if not tables or len(set(tables)) < len(tables):
        found = ", ".join(tables) or "nothing"
        checks.refuse("header.parts", f"are {found}: ohlcv, indicators or one of each are needed")
    return tuple(parts)
