"""Rows of a dataset: bars, indicators, which index has which time, and tiles for charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from stage1.dataset.v1 import dataset_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from gateway.http import conditional, naming, ranges, stream
from gateway.http.deps import DatasetName, PeersDep
from gateway.http.peers import Peers, asking, manifest_of
from gateway.http.schemas.datasets import BarsQuery, IndexMapQuery, TilesQuery
from gateway.http.shapes.words import number

router = APIRouter(prefix="/api/datasets", tags=["bars"])
_SERVICE: Final = "/stage1.dataset.v1.DatasetService"
_JSON_ARROW: Final[tuple[stream.Format, ...]] = ("json", "arrow")
_ANY: Final[tuple[stream.Format, ...]] = ("json", "csv", "arrow", "parquet")


def _in(formats: tuple[stream.Format, ...]) -> dict[int | str, dict[str, Any]]:
    """For the API's description."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    others = {stream.MEDIA_TYPES[form]: binary for form in formats if form != "json"}
    return {
        200: {
            "description": "`{measurement, count, rows: [{index, timestamp_ms, …}]}`, or the same "
            "rows in the format that is asked for by name or by Accept.",
            "content": {stream.MEDIA_TYPES["json"]: {"schema": {"type": "object"}}, **others},
        }
    }


_TABLES: Final = {
    "ohlcv": dataset_pb2.TABLE_OHLCV,
    "indicator": dataset_pb2.TABLE_INDICATORS,
}
_MOST_MS: Final = 2**63 - 1
_LEAST_MS: Final = -(2**63)


@router.get("/{dataset}/ohlcv", responses=_in(_ANY), response_class=Response)
async def read_ohlcv(
    peers: PeersDep, request: Request, dataset: DatasetName, query: Annotated[BarsQuery, Query()]
) -> Response:
    """Bars, by index or by time."""
    return await _rows(peers, request, dataset, query, "ohlcv")


@router.get("/{dataset}/indicators", responses=_in(_ANY), response_class=Response)
async def read_indicators(
    peers: PeersDep, request: Request, dataset: DatasetName, query: Annotated[BarsQuery, Query()]
) -> Response:
    """Indicators and targets, by index or by time."""
    return await _rows(peers, request, dataset, query, "indicator")


@router.get("/{dataset}/index_map", responses=_in(_JSON_ARROW), response_class=Response)
async def read_index_map(
    peers: PeersDep,
    request: Request,
    dataset: DatasetName,
    query: Annotated[IndexMapQuery, Query()],
) -> Response:
    """Which index has which time; `{measurement, start_index, end_index, rows, count}`."""
    manifest = await manifest_of(peers, dataset, query.version)
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
    form = stream.chosen(query.format, request, _JSON_ARROW)
    return await _answer(peers, request, Wanted("ReadIndexMap", asked, form), manifest, before)


@router.get("/{dataset}/tiles", responses=_in(_JSON_ARROW), response_class=Response)
async def read_tiles(
    peers: PeersDep, request: Request, dataset: DatasetName, query: Annotated[TilesQuery, Query()]
) -> Response:
    """For charts: bars of so many rows each, or the least and the most of indicators.

    Bars: `timestamp_ms, rows, open, high, low, close, volume`; indicators: `timestamp_ms, rows`
    and for each column `<column>.min, <column>.max`.
    """
    manifest = await manifest_of(peers, dataset, query.version)
    ranges.refuse_backward_times(query.start_ts_ms, query.end_ts_ms)
    asked = pb.AggregateBarsRequest(
        dataset=manifest.dataset_id,
        version=manifest.version,
        table=number(dataset_pb2.Table, query.table, "TABLE_"),
        times=_times(query),
        buckets=query.buckets,
        columns=naming.names(query.columns, manifest),
    )
    before = {"measurement": _measurement(manifest, query.table.removesuffix("s"))}
    form = stream.chosen(query.format, request, _JSON_ARROW)
    return await _answer(peers, request, Wanted("AggregateBars", asked, form), manifest, before)


def _times(query: TilesQuery) -> pb.TimeRange | None:
    if query.start_ts_ms is None and query.end_ts_ms is None:
        return None
    start = _LEAST_MS if query.start_ts_ms is None else query.start_ts_ms
    end = _MOST_MS if query.end_ts_ms is None else query.end_ts_ms
    return pb.TimeRange(start_ms=start, end_ms=end)


async def _rows(
    peers: Peers,
    request: Request,
    dataset: str,
    query: BarsQuery,
    table: Literal["ohlcv", "indicator"],
) -> Response:
    manifest = await manifest_of(peers, dataset, query.version)
    count = _row_count(manifest, table)
    wanted = ranges.of_indices(query.start_index, query.end_index, count, names=ranges.INDEX)
    if ranges.has_times(query):
        wanted = await _rows_of_times(peers, manifest, query, table, count)
    rows = ranges.page(wanted, query.offset, query.limit, backwards=query.desc)
    asked = pb.ReadBarsRequest(
        dataset=manifest.dataset_id,
        version=manifest.version,
        table=_TABLES[table],
        columns=naming.names(query.columns, manifest),
        indices=pb.IndexRange(start=rows.start, end=rows.stop),
        descending=query.desc,
    )
    before = {"measurement": _measurement(manifest, table)}
    form = stream.chosen(query.format, request, _ANY)
    return await _answer(peers, request, Wanted("ReadBars", asked, form), manifest, before)


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


def _row_count(manifest: dataset_pb2.Manifest, table: str) -> int:
    return manifest.ohlcv_rows if table == "ohlcv" else manifest.indicator_rows


def _measurement(manifest: dataset_pb2.Manifest, table: str) -> str:
    return manifest.ohlcv_measurement if table == "ohlcv" else manifest.indicator_measurement


@dataclass(frozen=True)
class Wanted:
    """A data stream of the dataset service, and the format it is to be shown in."""

    method: str
    asked: pb.ReadBarsRequest | pb.ReadIndexMapRequest | pb.AggregateBarsRequest
    form: stream.Format


async def _answer(
    peers: Peers,
    request: Request,
    wanted: Wanted,
    manifest: dataset_pb2.Manifest,
    before: Mapping[str, object],
) -> Response:
    """Rows of a version never change, so whoever has them is told so before any is read."""
    decided_by = (manifest.content_hash, wanted.method, wanted.asked.SerializeToString())
    headers = {"etag": conditional.tag(*decided_by, wanted.form), "vary": "accept"}
    if conditional.is_known(request, headers["etag"]):
        return conditional.unchanged(headers)
    call = (peers.channels["dataset"], f"{_SERVICE}/{wanted.method}", wanted.asked)
    file_name = f"{before['measurement']}.{wanted.form}"
    if wanted.form == "arrow":
        return await stream.arrow(*call, headers=headers)
    if wanted.form == "csv":
        return await stream.csv(*call, file_name=file_name, headers=headers)
    if wanted.form == "parquet":
        return await stream.parquet(*call, file_name=file_name, headers=headers)
    return await stream.json_objects(*call, before=before, rows="rows", headers=headers)
