from __future__ import annotations

from typing import Any

import pytest

from gateway.http.app import create_app
from gateway.http.settings import GatewaySettings

PATHS = {
    "/api/datasets": {"get", "post"},
    "/api/datasets/{dataset}": {"get", "patch", "delete"},
    "/api/datasets/sniff": {"post"},
    "/api/datasets/events": {"get"},
    "/api/datasets/{dataset}/export": {"post"},
    "/api/datasets/{dataset}/append": {"post"},
    "/api/datasets/{dataset}/verify": {"post"},
    "/api/datasets/{dataset}/versions": {"get"},
    "/api/datasets/{dataset}/columns": {"get"},
    "/api/datasets/{dataset}/features": {"get"},
    "/api/datasets/{dataset}/targets": {"get"},
    "/api/datasets/{dataset}/gaps": {"get"},
    "/api/datasets/{dataset}/tiles": {"get"},
    "/api/imports": {"get"},
    "/api/imports/{import_id}": {"get"},
    "/api/store/check": {"get"},
    "/api/datasets/{dataset}/manifest": {"get"},
    "/api/datasets/{dataset}/index_map": {"get"},
    "/api/datasets/{dataset}/indicators": {"get"},
    "/api/datasets/{dataset}/ohlcv": {"get"},
    "/api/datasets/{dataset}/runs": {"get"},
    "/api/runs/plan": {"post"},
    "/api/runs": {"get", "post"},
    "/api/runs/{run_id}": {"get", "delete"},
    "/api/runs/{run_id}/folds": {"get"},
    "/api/runs/{run_id}/predictions": {"get"},
    "/api/runs/{run_id}/events": {"get"},
    "/api/runs/{run_id}/cancel": {"post"},
    "/api/walkforward/runs": {"get"},
    "/api/walkforward/runs/{run_id}": {"get"},
    "/api/tradesim/runs/{simulation_id}/trades": {"get"},
    "/api/simulations": {"get", "post"},
    "/api/simulations/{simulation_id}": {"get", "delete"},
    "/api/simulations/{simulation_id}/trades": {"get"},
    "/api/simulations/{simulation_id}/equity": {"get"},
    "/api/simulations/{simulation_id}/events": {"get"},
    "/api/simulations/{simulation_id}/cancel": {"post"},
    "/api/workers": {"get"},
    "/api/version": {"get"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/healthz": {"get"},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(GatewaySettings()).openapi()


def test_the_document_names_the_paths_there_are(document: dict[str, Any]) -> None:
    assert {path: set(methods) for path, methods in document["paths"].items()} == PATHS


def test_refusals_are_typed_and_never_422(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "422" not in operation["responses"]
            schema = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    ids = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


def test_what_a_form_takes_is_taken_as_json_too_where_there_are_no_files(
    document: dict[str, Any],
) -> None:
    for path in ("/api/datasets", "/api/datasets/{dataset}/export"):
        taken = document["paths"][path]["post"]["requestBody"]["content"]
        assert set(taken) == {"multipart/form-data", "application/json"}
        fields = taken["application/json"]["schema"]["properties"]
        assert {"ohlcv_measurement", "indicator_measurement", "targets"} <= set(fields)
        assert fields["targets"]["items"]["properties"].keys() == {"name", "horizon_bars"}


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        if isinstance(node, list):
            return [found for value in node for found in references(value)]
        return []

    known = document["components"]["schemas"]
    assert {r.rpartition("/")[2] for r in references(document)} <= set(known)
