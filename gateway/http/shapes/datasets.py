"""Datasets, proto to answer."""

from __future__ import annotations

from typing import Any

from stage1.dataset.v1 import dataset_pb2, dataset_service_pb2
from stage1.runs.v1 import run_service_pb2

from gateway.http.schemas import datasets as schemas
from gateway.http.shapes.words import iso, word


def dataset(proto: dataset_pb2.Dataset) -> schemas.Dataset:
    return schemas.Dataset(**_dataset(proto))


def _dataset(proto: dataset_pb2.Dataset) -> dict[str, Any]:
    held = proto.manifest
    has_indicators = held.HasField("first_indicator_timestamp_ms")
    return {
        "dataset_id": proto.dataset_id,
        "dataset_slug": proto.slug,
        "symbol": proto.symbol,
        "granularity": proto.granularity,
        "source": proto.source,
        "version": proto.version,
        "content_hash": held.content_hash,
        "ohlcv_measurement": held.ohlcv_measurement,
        "indicator_measurement": held.indicator_measurement or None,
        "ohlcv_row_count": held.ohlcv_rows,
        "indicator_row_count": held.indicator_rows,
        "ohlcv_first_ts": held.first_ohlcv_timestamp_ms,
        "ohlcv_last_ts": held.last_ohlcv_timestamp_ms,
        "indicator_first_ts": held.first_indicator_timestamp_ms if has_indicators else None,
        "indicator_last_ts": held.last_indicator_timestamp_ms if has_indicators else None,
        "metadata": dict(sorted(proto.metadata.items())),
        "created_at": iso(proto.created_at_ms),
        "updated_at": iso(proto.updated_at_ms),
    }


def detail(
    answer: dataset_service_pb2.GetDatasetResponse, uses: run_service_pb2.CountUsesResponse
) -> schemas.DatasetDetail:
    here = f"/api/datasets/{answer.dataset.dataset_id}"
    parts = (
        *("manifest", "versions", "columns", "features", "targets", "gaps"),
        *("index_map", "indicators", "ohlcv", "tiles", "runs"),
    )
    return schemas.DatasetDetail(
        **_dataset(answer.dataset),
        versions=list(answer.versions),
        runs=uses.runs,
        simulations=uses.simulations,
        manifest=manifest(answer.dataset.manifest),
        links={"self": here, **{part: f"{here}/{part}" for part in parts}},
    )


def manifest(proto: dataset_pb2.Manifest) -> schemas.Manifest:
    has_indicators = proto.HasField("first_indicator_timestamp_ms")
    return schemas.Manifest(
        version=proto.version,
        dataset_id=proto.dataset_id,
        dataset_slug=proto.dataset_slug,
        symbol=proto.symbol,
        granularity=proto.granularity,
        source=proto.source,
        bar_interval_ms=proto.bar_interval_ms,
        lookback_rows=proto.lookback_rows,
        lookahead_rows=proto.lookahead_rows,
        first_ohlcv_timestamp_ms=proto.first_ohlcv_timestamp_ms,
        last_ohlcv_timestamp_ms=proto.last_ohlcv_timestamp_ms,
        first_indicator_timestamp_ms=proto.first_indicator_timestamp_ms if has_indicators else None,
        last_indicator_timestamp_ms=proto.last_indicator_timestamp_ms if has_indicators else None,
        ohlcv_rows=proto.ohlcv_rows,
        indicator_rows=proto.indicator_rows,
        ohlcv_measurement=proto.ohlcv_measurement,
        indicator_measurement=proto.indicator_measurement or None,
        columns=[column(c) for c in proto.columns],
        calendar=proto.calendar,
        timestamp_convention=word(
            dataset_pb2.TimestampConvention, proto.timestamp_convention, "TIMESTAMP_CONVENTION_"
        ),
        gap_policy=word(dataset_pb2.GapPolicy, proto.gap_policy, "GAP_POLICY_"),
        gaps=[gap(g) for g in proto.gaps],
        content_hash=proto.content_hash,
        exported_at=iso(proto.exported_at_ms),
        exported_at_ms=proto.exported_at_ms,
    )


def column(proto: dataset_pb2.Column) -> schemas.Column:
    return schemas.Column(
        name=proto.name,
        type=word(dataset_pb2.Column.Type, proto.type, "TYPE_"),
        role=word(dataset_pb2.Column.Role, proto.role, "ROLE_"),
        table=word(dataset_pb2.Table, proto.table, "TABLE_"),
        horizon_bars=proto.horizon_bars if proto.HasField("horizon_bars") else None,
        null_count=proto.null_count,
    )


def version(proto: dataset_pb2.Manifest) -> schemas.VersionSummary:
    has_indicators = proto.HasField("first_indicator_timestamp_ms")
    return schemas.VersionSummary(
        version=proto.version,
        content_hash=proto.content_hash,
        ohlcv_measurement=proto.ohlcv_measurement,
        indicator_measurement=proto.indicator_measurement or None,
        ohlcv_row_count=proto.ohlcv_rows,
        indicator_row_count=proto.indicator_rows,
        ohlcv_first_ts=proto.first_ohlcv_timestamp_ms,
        ohlcv_last_ts=proto.last_ohlcv_timestamp_ms,
        indicator_first_ts=proto.first_indicator_timestamp_ms if has_indicators else None,
        indicator_last_ts=proto.last_indicator_timestamp_ms if has_indicators else None,
        lookback_rows=proto.lookback_rows,
        lookahead_rows=proto.lookahead_rows,
        column_count=len(proto.columns),
        missing_slots=sum(gap.missing for gap in proto.gaps),
        exported_at=iso(proto.exported_at_ms),
    )


def gap(proto: dataset_pb2.Gap) -> schemas.Gap:
    return schemas.Gap(after_ms=proto.after_ms, before_ms=proto.before_ms, missing=proto.missing)


def changed(asked: schemas.DatasetChange, dataset: str) -> dataset_service_pb2.UpdateDatasetRequest:
    return dataset_service_pb2.UpdateDatasetRequest(
        dataset=dataset,
        symbol=asked.symbol,
        granularity=asked.granularity,
        source=asked.source,
        metadata={name: text for name, text in asked.metadata.items() if text is not None},
        removed_metadata=[name for name, text in asked.metadata.items() if text is None],
    )
