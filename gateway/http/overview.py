"""What runs, for the first page; whatever cannot be asked is left out and said."""

from __future__ import annotations

from typing import Final

from stage1.dataset.v1 import dataset_service_pb2
from stage1.runs.v1 import run_service_pb2

from gateway.http import html
from gateway.http.health import SERVING
from gateway.http.peers import Peers, asking
from gateway.http.schemas.system import Health
from gateway.http.shapes import datasets as dataset_shapes
from gateway.http.shapes import runs as run_shapes
from gateway.http.shapes.words import iso
from services.shared.errors import Stage1Error

_SHOWN: Final = 10


async def overview(peers: Peers, health: Health) -> str:
    links = " · ".join(
        html.link(path, text)
        for path, text in {
            "/docs": "the API",
            "/openapi.json": "openapi.json",
            "/api/datasets": "datasets",
            "/api/runs": "runs",
            "/api/simulations": "simulations",
            "/api/workers": "workers",
            "/healthz": "health",
        }.items()
    )
    parts = [
        html.paragraph(html.Html(links)),
        html.heading("Services"),
        _services(health),
        html.heading("Datasets"),
        await _datasets(peers),
        html.heading("Last runs"),
        await _runs(peers),
    ]
    return "".join(parts)


def _services(health: Health) -> html.Html:
    rows: list[tuple[object, object, object]] = [
        (name, html.marked(found.status, _css(found.status == SERVING)), found.address)
        for name, found in health.services.items()
    ]
    for name, count in (("trainers", health.trainers), ("simulators", health.simulators)):
        text = "unknown" if count is None else f"{count} registered"
        rows.append((name, html.marked(text, _css(bool(count))), ""))
    return html.table(["service", "state", "address"], rows)


def _css(is_well: bool) -> str:
    return "good" if is_well else "bad"


async def _datasets(peers: Peers) -> html.Html:
    try:
        with asking("dataset"):
            answer = await peers.datasets.ListDatasets(
                dataset_service_pb2.ListDatasetsRequest(page_size=_SHOWN)
            )
    except Stage1Error as error:
        return html.paragraph(html.marked(str(error), "bad"))
    found = [dataset_shapes.dataset(d) for d in answer.datasets]
    if not found:
        return html.paragraph(html.marked("None yet.", "faint"))
    return html.table(
        ["dataset", "symbol", "bars", "rows", "indicator rows", "first bar", "last bar"],
        (
            (
                html.link(f"/api/datasets/{d.dataset_slug}", f"{d.dataset_slug} v{d.version}"),
                d.symbol,
                d.granularity,
                d.ohlcv_row_count,
                d.indicator_row_count,
                iso(d.ohlcv_first_ts),
                iso(d.ohlcv_last_ts),
            )
            for d in found
        ),
    )


async def _runs(peers: Peers) -> html.Html:
    try:
        with asking("runs"):
            answer = await peers.runs.ListRuns(run_service_pb2.ListRunsRequest(page_size=_SHOWN))
    except Stage1Error as error:
        return html.paragraph(html.marked(str(error), "bad"))
    found = [run_shapes.run(r) for r in answer.runs]
    if not found:
        return html.paragraph(html.marked("None yet.", "faint"))
    return html.table(
        ["run", "dataset", "target", "status", "folds", "created"],
        (
            (
                html.link(f"/api/runs/{r.run_id}", r.name or r.run_id),
                f"{r.dataset_slug} v{r.version}",
                r.target_column,
                html.marked(r.status, "bad" if r.status == "FAILED" else "good"),
                f"{r.folds_completed} of {r.fold_count}",
                r.created_at,
            )
            for r in found
        ),
    )
