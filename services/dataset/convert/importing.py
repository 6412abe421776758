"""The header of an import to the order it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Final, TypeAlias
from zoneinfo import available_timezones

from stage1.dataset.v1 import dataset_pb2, dataset_service_pb2, import_pb2

from services.dataset.app.adopting import AdoptOrder
from services.dataset.app.order import AppendOrder, ImportOrder, Part, PartBytes
from services.dataset.convert.checks import Checks
from services.dataset.convert.manifest import CONVENTIONS, POLICIES, claims
from services.dataset.domain.columns import (
    MAX_COLUMNS,
    MAX_NAME_BYTES,
    ColumnType,
    Table,
    Target,
)
from services.dataset.domain.manifest import ClaimedColumn
from services.dataset.domain.timeline import Clock, GapPolicy, TimestampConvention
from services.dataset.formats.options import DateOrder, Format, Options, TimeLayout, Unit
from services.shared.errors import InvalidRequest, Violation

MAX_PIECE_BYTES: Final = 2 << 20

FORMATS: Final = {
    import_pb2.ImportPart.FORMAT_UNSPECIFIED: Format.AUTO,
    import_pb2.ImportPart.FORMAT_TSSB_MARKET: Format.TSSB_MARKET,
    import_pb2.ImportPart.FORMAT_TSSB_DATABASE: Format.TSSB_DATABASE,
    import_pb2.ImportPart.FORMAT_CSV: Format.CSV,
    import_pb2.ImportPart.FORMAT_PARQUET: Format.PARQUET,
    import_pb2.ImportPart.FORMAT_ARROW: Format.ARROW,
    import_pb2.ImportPart.FORMAT_BINANCE_KLINES: Format.BINANCE_KLINES,
    import_pb2.ImportPart.FORMAT_KRAKEN_OHLCVT: Format.KRAKEN_OHLCVT,
    import_pb2.ImportPart.FORMAT_METATRADER: Format.METATRADER,
    import_pb2.ImportPart.FORMAT_HISTDATA: Format.HISTDATA,
}
UNITS: Final[dict[import_pb2.ImportPart.Unit.ValueType, Unit | None]] = {
    import_pb2.ImportPart.UNIT_UNSPECIFIED: None,
    import_pb2.ImportPart.UNIT_S: Unit.S,
    import_pb2.ImportPart.UNIT_MS: Unit.MS,
    import_pb2.ImportPart.UNIT_US: Unit.US,
    import_pb2.ImportPart.UNIT_NS: Unit.NS,
}
DATE_ORDERS: Final[dict[import_pb2.ImportPart.DateOrder.ValueType, DateOrder | None]] = {
    import_pb2.ImportPart.DATE_ORDER_UNSPECIFIED: None,
    import_pb2.ImportPart.DATE_ORDER_DAY_FIRST: DateOrder.DAY_FIRST,
    import_pb2.ImportPart.DATE_ORDER_MONTH_FIRST: DateOrder.MONTH_FIRST,
}
TIME_LAYOUTS: Final[dict[import_pb2.ImportPart.TimeLayout.ValueType, TimeLayout | None]] = {
    import_pb2.ImportPart.TIME_LAYOUT_UNSPECIFIED: None,
    import_pb2.ImportPart.TIME_LAYOUT_HHMM: TimeLayout.HHMM,
    import_pb2.ImportPart.TIME_LAYOUT_HHMMSS: TimeLayout.HHMMSS,
}
PART_TABLES: Final[dict[dataset_pb2.Table.ValueType, Table | None]] = {
    dataset_pb2.TABLE_OHLCV: Table.OHLCV,
    dataset_pb2.TABLE_INDICATORS: Table.INDICATORS,
}

_APPEND_POLICIES: Final[dict[dataset_pb2.GapPolicy.ValueType, GapPolicy | None]] = {
    **POLICIES,
    dataset_pb2.GAP_POLICY_UNSPECIFIED: None,
}

Uploading: TypeAlias = (
    dataset_service_pb2.ImportDatasetRequest
    | dataset_service_pb2.AppendBarsRequest
    | dataset_service_pb2.SniffFileRequest
    | dataset_service_pb2.VerifyDatasetRequest
)
"""A header first, then bytes of parts."""


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


def part_bytes(request: Uploading) -> PartBytes:
    """Of every message after the first."""
    if request.WhichOneof("step") != "bytes":
        raise InvalidRequest([Violation("header", "came twice: only bytes follow the first")])
    piece = request.bytes
    data = piece.data  # a copy each time it is asked for
    if len(data) > MAX_PIECE_BYTES:
        rule = f"and at most {MAX_PIECE_BYTES} are allowed in one message"
        raise InvalidRequest([Violation("bytes.data", f"has {len(data)} bytes, {rule}")])
    return PartBytes(piece.part, data)


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


def part_of(checks: Checks, field: str, part: import_pb2.ImportPart, max_bytes: int) -> Part:
    table = checks.one_of(f"{field}.table", part.table, PART_TABLES, None)
    return Part(
        table=table or Table.OHLCV,
        file_name=checks.text(f"{field}.file_name", part.file_name, 255),
        options=Options(
            format=checks.one_of(f"{field}.format", part.format, FORMATS, Format.AUTO),
            separator=_separator(checks, f"{field}.separator", part.separator),
            decimal=_decimal(checks, f"{field}.decimal", part.decimal),
            columns=_renamed(checks, f"{field}.rename", part.rename),
            text_columns=_names(checks, f"{field}.text_columns", part.text_columns),
            timestamp_column=checks.as_sent(
                f"{field}.timestamp_column", part.timestamp_column, MAX_NAME_BYTES
            )
            or None,
            unit=checks.one_of(f"{field}.unit", part.unit, UNITS, None),
            zone=_zone(checks, f"{field}.zone", part.zone),
            date_order=checks.one_of(f"{field}.date_order", part.date_order, DATE_ORDERS, None),
            time_layout=checks.one_of(f"{field}.time_layout", part.time_layout, TIME_LAYOUTS, None),
            market=checks.as_sent(f"{field}.market", part.market, 200) or None,
            member=checks.as_sent(f"{field}.member", part.member, 255) or None,
            max_bytes=max_bytes,
        ),
    )


def _renamed(checks: Checks, field: str, rename: Mapping[str, str]) -> dict[str, str]:
    checks.at_most(field, len(rename), MAX_COLUMNS)
    return {
        checks.as_sent(field, ours, MAX_NAME_BYTES, needed=True): checks.as_sent(
            f"{field}[{ours}]", theirs, MAX_NAME_BYTES
        )
        for ours, theirs in rename.items()
    }


def _names(checks: Checks, field: str, names: Sequence[str]) -> tuple[str, ...]:
    checks.at_most(field, len(names), MAX_COLUMNS)
    return tuple(checks.as_sent(field, name, MAX_NAME_BYTES, needed=True) for name in names)


def _separator(checks: Checks, field: str, separator: str) -> str | None:
    if len(separator) > 1:
        checks.refuse(field, f"is {separator!r}, and one character is allowed")
    return separator or None


def _decimal(checks: Checks, field: str, decimal: str) -> str | None:
    if decimal not in ("", ".", ","):
        checks.refuse(field, f"is {decimal!r}, and a point or a comma is allowed")
    return decimal or None


@cache
def _zones() -> set[str]:
    return available_timezones()


def _zone(checks: Checks, field: str, zone: str) -> str | None:
    if zone and zone not in _zones():
        checks.refuse(field, f"is {zone!r}, which is no IANA time zone such as America/New_York")
    return zone or None
