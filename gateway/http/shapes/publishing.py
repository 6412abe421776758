"""What publishing answers, proto to answer."""

from __future__ import annotations

from typing import Any, Final

from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http.schemas import publishing as schemas
from gateway.http.shapes.datasets import column
from gateway.http.shapes.words import iso, word

_UNSPECIFIED: Final = "unspecified"


def imported(
    proto: pb.ImportDatasetResponse | pb.AdoptTablesResponse,
) -> schemas.Imported:
    return schemas.Imported(**_published(proto.dataset, proto.report))


def appended(proto: pb.AppendBarsResponse) -> schemas.Appended:
    return schemas.Appended(
        **_published(proto.dataset, proto.report),
        appended_ohlcv_rows=proto.appended_ohlcv_rows,
        appended_indicator_rows=proto.appended_indicator_rows,
        repeated_ohlcv_rows=proto.repeated_ohlcv_rows,
        repeated_indicator_rows=proto.repeated_indicator_rows,
    )


def _published(dataset: dataset_pb2.Dataset, report: import_pb2.ImportReport) -> dict[str, Any]:
    held = dataset.manifest
    return {
        "dataset_id": dataset.dataset_id,
        "dataset_slug": dataset.slug,
        "version": dataset.version,
        "ohlcv_measurement": held.ohlcv_measurement,
        "indicator_measurement": held.indicator_measurement or None,
        "report": _report(report),
    }


def _report(proto: import_pb2.ImportReport) -> schemas.Report:
    return schemas.Report(
        notes=list(proto.notes),
        warnings=list(proto.warnings),
        columns=[column(c) for c in proto.columns],
        trimmed_head_rows=proto.trimmed_head_rows,
        trimmed_tail_rows=proto.trimmed_tail_rows,
        missing_slots=proto.missing_slots,
    )


def sniffed(proto: pb.SniffFileResponse) -> schemas.Sniffed:
    part, kind = proto.part, import_pb2.ImportPart
    return schemas.Sniffed(
        table=word(dataset_pb2.Table, part.table, "TABLE_"),
        format=word(kind.Format, part.format, "FORMAT_"),
        zone=part.zone,
        unit=_known(word(kind.Unit, part.unit, "UNIT_")),
        date_order=_known(word(kind.DateOrder, part.date_order, "DATE_ORDER_")),
        time_layout=_known(word(kind.TimeLayout, part.time_layout, "TIME_LAYOUT_")),
        separator=part.separator,
        decimal=part.decimal,
        timestamp_column=part.timestamp_column,
        rename=dict(sorted(part.rename.items())),
        text_columns=list(part.text_columns),
        market=part.market,
        member=part.member,
        rows=proto.rows,
        first_timestamp_ms=proto.first_timestamp_ms if proto.rows else None,
        last_timestamp_ms=proto.last_timestamp_ms if proto.rows else None,
        calendar=proto.calendar,
        bar_interval_ms=proto.bar_interval_ms or None,
        report=_report(proto.report),
    )


def _known(found: str) -> str | None:
    return None if found == _UNSPECIFIED else found


def import_(proto: import_pb2.Import) -> schemas.Import:
    return schemas.Import(
        import_id=proto.import_id,
        kind=word(import_pb2.Import.Kind, proto.kind, "KIND_"),
        dataset_slug=proto.slug,
        status=import_pb2.Import.State.Name(proto.state).removeprefix("STATE_"),
        error=proto.error or None,
        version=proto.version if proto.HasField("version") else None,
        created_at=iso(proto.created_at_ms),
        updated_at=iso(proto.updated_at_ms),
    )
