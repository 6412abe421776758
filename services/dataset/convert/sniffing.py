"""The header of a sniff to its order, and what was found to protobuf."""

from __future__ import annotations

from typing import Final

from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.dataset.app.order import Part
from services.dataset.app.sniffing import Sniffed, SniffOrder
from services.dataset.convert.checks import Checks
from services.dataset.convert.importing import clock_of
from services.dataset.convert.manifest import backwards, column_to_proto
from services.dataset.convert.parts import (
    DATE_ORDERS,
    FORMATS,
    PART_TABLES,
    TIME_LAYOUTS,
    UNITS,
    part_of,
)
from services.dataset.formats.options import DateOrder
from services.shared.errors import InvalidRequest, Violation

_FORMAT_NUMBERS: Final = backwards(FORMATS)
_UNIT_NUMBERS: Final = backwards(UNITS)
_TABLE_NUMBERS: Final = backwards(PART_TABLES)
_TIME_LAYOUT_NUMBERS: Final = backwards(TIME_LAYOUTS)
# A year that comes first needs no word for it.
_DATE_ORDER_NUMBERS: Final = backwards(DATE_ORDERS) | {
    DateOrder.YMD: import_pb2.ImportPart.DATE_ORDER_UNSPECIFIED
}


def sniff_order(request: pb.SniffFileRequest, max_bytes: int) -> SniffOrder:
    """Of the first message of the stream."""
    if request.WhichOneof("step") != "header":
        raise InvalidRequest([Violation("header", "is missing: it is the first message")])
    header, checks = request.header, Checks()
    asked = import_pb2.ImportHeader(
        calendar=header.calendar, timestamp_convention=header.timestamp_convention
    )
    order = SniffOrder(
        part=part_of(checks, "header.part", header.part, max_bytes),
        clock=clock_of(checks, asked),
    )
    checks.done()
    return order


def sniffed_to_proto(found: Sniffed) -> pb.SniffFileResponse:
    return pb.SniffFileResponse(
        part=_part_to_proto(found.part),
        rows=found.rows,
        first_timestamp_ms=found.first_ms,
        last_timestamp_ms=found.last_ms,
        report=import_pb2.ImportReport(
            notes=found.report.notes,
            warnings=found.report.warnings,
            columns=[column_to_proto(column) for column in found.columns],
            trimmed_head_rows=found.report.trimmed_head_rows,
            trimmed_tail_rows=found.report.trimmed_tail_rows,
            missing_slots=found.missing_slots,
        ),
        calendar=found.calendar,
        bar_interval_ms=found.bar_interval_ms,
    )


def _part_to_proto(part: Part) -> import_pb2.ImportPart:
    used = part.options
    return import_pb2.ImportPart(
        table=_TABLE_NUMBERS[part.table],
        file_name=part.file_name,
        format=_FORMAT_NUMBERS[used.format],
        zone=used.zone or "",
        unit=_UNIT_NUMBERS[used.unit],
        date_order=_DATE_ORDER_NUMBERS[used.date_order],
        time_layout=_TIME_LAYOUT_NUMBERS[used.time_layout],
        separator=used.separator or "",
        timestamp_column=used.timestamp_column or "",
        rename=used.columns,
        market=used.market or "",
        decimal=used.decimal or "",
        member=used.member or "",
        text_columns=used.text_columns,
    )
