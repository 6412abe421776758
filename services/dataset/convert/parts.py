"""The files of an upload: how each is to be read, and the bytes that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias
from zoneinfo import available_timezones

from stage1.dataset.v1 import dataset_pb2, dataset_service_pb2, import_pb2

from services.dataset.app.order import Part, PartBytes
from services.dataset.convert.checks import Checks
from services.dataset.domain.columns import MAX_COLUMNS, MAX_NAME_BYTES, Table
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

Uploading: TypeAlias = (
    dataset_service_pb2.ImportDatasetRequest
    | dataset_service_pb2.AppendBarsRequest
    | dataset_service_pb2.SniffFileRequest
    | dataset_service_pb2.VerifyDatasetRequest
)
"""A header first, then bytes of parts."""


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
