"""The other requests to what they ask for."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.dataset.app.bars import BarsQuery
from services.dataset.app.describing import DescribeQuery
from services.dataset.app.pages import Page
from services.dataset.app.tiles import TilesQuery
from services.dataset.convert.checks import Checks
from services.dataset.convert.manifest import TABLES, dataset_to_proto
from services.dataset.convert.tokens import after_token, page_token
from services.dataset.domain.catalogue import Cursor, Dataset, Listing
from services.dataset.domain.columns import Table
from services.shared.series import Rows, Span, Times

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000
PAGE_BYTES: Final = 3 << 20
MAX_SKIP: Final = 100_000
MAX_POINTS: Final = 10_000
_STORED: Final = {number: table for number, table in TABLES.items() if table is not Table.JOINED}
_MAX_COLUMNS: Final = 4096
_MAX_TILE_COLUMNS: Final = 64
_MAX_BUCKETS: Final = 20_000
_BINS: Final = 20
_MAX_BINS: Final = 100


class Versioned(NamedTuple):
    """A version of a dataset; None is the newest."""

    name: UUID | str
    version: int | None


def dataset_name(text: str) -> UUID | str:
    checks = Checks()
    name = checks.name("dataset", text)
    checks.done()
    return name


def versioned(request: pb.GetManifestRequest) -> Versioned:
    checks = Checks()
    found = _versioned(checks, request.dataset, request.version)
    checks.done()
    return found


def _versioned(checks: Checks, dataset: str, version: int) -> Versioned:
    checks.between("version", version, 0, 2**31 - 1)
    return Versioned(checks.name("dataset", dataset), version or None)


def pin(request: pb.PinVersionRequest) -> tuple[Versioned, str]:
    checks = Checks()
    found = _versioned(checks, request.dataset, request.version)
    holder = checks.text("holder", request.holder, 128, needed=True)
    checks.done()
    return found, holder


def holder(request: pb.UnpinVersionRequest) -> str:
    checks = Checks()
    found = checks.text("holder", request.holder, 128, needed=True)
    checks.done()
    return found


def listing(request: pb.ListDatasetsRequest) -> Listing:
    checks = Checks()
    found = Listing(
        symbol=checks.text("symbol", request.symbol, 64) or None,
        granularity=checks.text("granularity", request.granularity, 16) or None,
        text=checks.text("text", request.text, 200) or None,
        page_size=checks.between("page_size", request.page_size, 0, MAX_PAGE_SIZE) or PAGE_SIZE,
        after=_cursor(checks, request.page_token),
        skip=checks.between("skip", request.skip, 0, MAX_SKIP),
        page_bytes=PAGE_BYTES,
    )
    checks.done()
    return found


def page(found: Page[Dataset]) -> pb.ListDatasetsResponse:
    last = found.items[-1] if found.more else None
    return pb.ListDatasetsResponse(
        datasets=[dataset_to_proto(dataset) for dataset in found.items],
        next_page_token=page_token(last.created_at_ms, last.dataset_id) if last else "",
    )


def _cursor(checks: Checks, token: str) -> Cursor | None:
    found = after_token(checks, token)
    return found and Cursor(*found)


def bars(request: pb.ReadBarsRequest) -> BarsQuery:
    checks = Checks()
    name, version = _versioned(checks, request.dataset, request.version)
    checks.at_most("columns", len(request.columns), _MAX_COLUMNS)
    query = BarsQuery(
        name=name,
        version=version,
        table=checks.one_of("table", request.table, TABLES, Table.OHLCV),
        columns=tuple(request.columns) or None,
        span=_span(request),
        descending=request.descending,
    )
    checks.done()
    return query


def _span(request: pb.ReadBarsRequest) -> Span | None:
    if request.HasField("indices"):
        return Rows(request.indices.start, request.indices.end)
    if request.HasField("times"):
        return Times(request.times.start_ms, request.times.end_ms)
    return None


def index_map(request: pb.ReadIndexMapRequest) -> BarsQuery:
    checks = Checks()
    name, version = _versioned(checks, request.dataset, request.version)
    query = BarsQuery(
        name=name,
        version=version,
        table=checks.one_of("table", request.table, _STORED, Table.OHLCV),
        columns=(),
        span=Rows(request.indices.start, request.indices.end)
        if request.HasField("indices")
        else None,
    )
    checks.done()
    return query


def tiles(request: pb.AggregateBarsRequest) -> TilesQuery:
    checks = Checks()
    name, version = _versioned(checks, request.dataset, request.version)
    checks.at_most("columns", len(request.columns), _MAX_TILE_COLUMNS)
    table = checks.one_of("table", request.table, _STORED, Table.OHLCV)
    if table is Table.INDICATORS and not request.columns:
        checks.refuse("columns", "is empty, and of indicators at least one is needed")
    query = TilesQuery(
        name=name,
        version=version,
        table=table,
        columns=tuple(request.columns),
        times=Times(request.times.start_ms, request.times.end_ms)
        if request.HasField("times")
        else None,
        buckets=checks.between("buckets", request.buckets, 1, _MAX_BUCKETS),
    )
    checks.done()
    return query


def describing(request: pb.DescribeColumnsRequest) -> DescribeQuery:
    checks = Checks()
    name, version = _versioned(checks, request.dataset, request.version)
    checks.at_most("columns", len(request.columns), _MAX_COLUMNS)
    query = DescribeQuery(
        name=name,
        version=version,
        table=checks.one_of("table", request.table, _STORED, Table.OHLCV),
        columns=tuple(request.columns) or None,
        bins=checks.between("histogram_bins", request.histogram_bins, 0, _MAX_BINS) or _BINS,
    )
    checks.done()
    return query


class Points(NamedTuple):
    """What to look up in a table: either indices or times."""

    where: Versioned
    table: Table
    indices: tuple[int, ...]
    times_ms: tuple[int, ...]


def points(request: pb.ResolveBoundariesRequest) -> Points:
    checks = Checks()
    where = _versioned(checks, request.dataset, request.version)
    table = checks.one_of("table", request.table, _STORED, Table.OHLCV)
    asked = len(request.indices) + len(request.times_ms)
    checks.between("points", asked, 0, MAX_POINTS)
    if request.indices and request.times_ms:
        checks.refuse("times_ms", "came together with indices: one kind at a time")
    checks.done()
    return Points(where, table, tuple(request.indices), tuple(request.times_ms))
