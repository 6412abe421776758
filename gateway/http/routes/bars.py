"""Rows of a dataset: bars, indicators, and which index has which time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http import ranges, stream
from gateway.http.deps import DatasetName, PeersDep
from gateway.http.peers import Peers, asking
from gateway.http.schemas.datasets import BarsQuery, IndexMapQuery

router = APIRouter(prefix="/api/datasets", tags=["bars"])
_SERVICE: Final = "/stage1.dataset.v1.DatasetService"
_OFFERED: Final[tuple[stream.Format, ...]] = ("json", "arrow")
_EITHER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "`{measurement, count, rows: [{index, timestamp_ms, …}]}`, or the same rows "
        "as an Arrow IPC stream.",
        "content": {
            stream.MEDIA_TYPES["json"]: {"schema": {"type": "object"}},
            stream.MEDIA_TYPES["arrow"]: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_TABLES: Final = {
    "ohlcv": dataset_pb2.TABLE_OHLCV,
    "indicator": dataset_pb2.TABLE_INDICATORS,
}


@router.get("/{dataset}/ohlcv", responses=_EITHER, response_class=Response)
async def read_ohlcv(
    peers: PeersDep, request: Request, dataset: DatasetName, query: Annotated[BarsQuery, Query()]
) -> Response:
    """Bars, by index or by time."""
    return await _rows(peers, request, dataset, query, "ohlcv")


@router.get("/{dataset}/indicators", responses=_EITHER, response_class=Response)
async def read_indicators(
    peers: PeersDep, request: Request, dataset: DatasetName, query: Annotated[BarsQuery, Query()]
) -> Response:
    """Indicators and targets, by index or by time."""
    return await _rows(peers, request, dataset, query, "indicator")


@router.get("/{dataset}/index_map", responses=_EITHER, response_class=Response)
async def read_index_map(
    peers: PeersDep,
    request: Request,
    dataset: DatasetName,
    query: Annotated[IndexMapQuery, Query()],
) -> Response:
    """Which index has which time; `{measurement, start_index, end_index, rows, count}`."""
    manifest = await _manifest(peers, dataset, query.version)
    rows = ranges.of_indices(
        query.start_idx, query.end_idx, _row_count(manifest, query.type), names=ranges.IDX
    )
    asked = pb.ReadIndexMapRequest(
        dataset=manifest.dataset_id,
        version=manifest.version,
        table=_TABLES[query.type],
        indices=pb.IndexRange(start=rows.start, end=rows.stop),
    )
    before = {
        "measurement": _measurement(manifest, query.type),
        "start_index": rows.start,
        "end_index": rows.stop,
    }
    return await _answer(peers, request, "ReadIndexMap", asked, query.format, manifest, before)


async def _rows(
    peers: Peers,
    request: Request,
    dataset: str,
    query: BarsQuery,
    table: Literal["ohlcv", "indicator"],
) -> Response:
    manifest = await _manifest(peers, dataset, query.version)
    count = _row_count(manifest, table)
    wanted = ranges.of_indices(query.start_index, query.end_index, count, names=ranges.INDEX)
    if ranges.has_times(query):
        wanted = await _rows_of_times(peers, manifest, query, table, count)
    rows = ranges.page(wanted, query.offset, query.limit)
    asked = pb.ReadBarsRequest(
        dataset=manifest.dataset_id,
        version=manifest.version,
        table=_TABLES[table],
        columns=[name for name in query.columns.split(",") if name],
        indices=pb.IndexRange(start=rows.start, end=rows.stop),
    )
    before = {"measurement": _measurement(manifest, table)}
    return await _answer(peers, request, "ReadBars", asked, query.format, manifest, before)


async def _rows_of_times(
    peers: Peers,
    manifest: dataset_pb2.Manifest,
    query: BarsQuery,
    table: Literal["ohlcv", "indicator"],
    count: int,
) -> range:
    times = [t for t in (query.start_ts_ms, query.end_ts_ms) if t is not None]
    with asking("dataset"):
        answer = await peers.datasets.ResolveBoundaries(
            pb.ResolveBoundariesRequest(
                dataset=manifest.dataset_id,
                version=manifest.version,
                table=_TABLES[table],
                times_ms=times,
            )
        )
    found = iter(answer.indices)
    start = 0 if query.start_ts_ms is None else next(found)
    return range(start, count if query.end_ts_ms is None else next(found))


async def _manifest(peers: Peers, dataset: str, version: int | None) -> dataset_pb2.Manifest:
    with asking("dataset"):
        answer = await peers.datasets.GetManifest(
            pb.GetManifestRequest(dataset=dataset, version=version or 0)
        )
    return answer.manifest


def _row_count(manifest: dataset_pb2.Manifest, table: str) -> int:
    return manifest.ohlcv_rows if table == "ohlcv" else manifest.indicator_rows


def _measurement(manifest: dataset_pb2.Manifest, table: str) -> str:
    return manifest.ohlcv_measurement if table == "ohlcv" else manifest.indicator_measurement


async def _answer(
    peers: Peers,
    request: Request,
    method: str,
    asked: pb.ReadBarsRequest | pb.ReadIndexMapRequest,
    format: Literal["json", "arrow"] | None,
    manifest: dataset_pb2.Manifest,
    before: Mapping[str, object],
) -> Response:
    """Rows of a version never change, so whoever has them is told so before any is read."""
    chosen = stream.chosen(format, request, _OFFERED)
    etag = stream.tag(manifest.content_hash, method, asked.SerializeToString(), chosen)
    headers = {"etag": etag, "vary": "accept"}
    if stream.is_known(request, etag):
        return Response(status_code=304, headers=headers)
    channel, path = peers.channels["dataset"], f"{_SERVICE}/{method}"
    if chosen == "arrow":
        return await stream.arrow(channel, path, asked, headers=headers)
    return await stream.json_objects(
        channel, path, asked, before=before, rows="rows", headers=headers
    )
