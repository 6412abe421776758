"""Lists of datasets: order, filters and pages."""

from __future__ import annotations

import base64
from uuid import UUID

import numpy as np
import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.errors import InvalidRequest
from tests.integration.dataset.client import OHLCV, Client, bar_file, header_of
from tests.unit.dataset.bars import hourly


@pytest.fixture(scope="module", autouse=True)
async def listed(client: Client) -> None:
    for i in range(5):
        header = header_of(f"listed_{i}", OHLCV)
        header.symbol = f"LIST{i % 2}"
        header.granularity = "1h"
        header.source = f"100%_source {i}"
        await client.publish(header, bar_file(hourly(50)))


async def slugs(client: Client, **request: object) -> list[str]:
    answer = await client.ask(client.stub.ListDatasets(pb.ListDatasetsRequest(**request)))  # type: ignore[arg-type]
    return [dataset.slug for dataset in answer.datasets]


def token_of(created_at_ms: int) -> str:
    return base64.urlsafe_b64encode(f"{created_at_ms} {UUID(int=7)}".encode()).decode()


async def test_the_newest_comes_first(client: Client) -> None:
    found = await slugs(client, text="LISTED_")
    assert found == [f"listed_{i}" for i in (4, 3, 2, 1, 0)]


async def test_filters_are_exact_but_text(client: Client) -> None:
    assert await slugs(client, symbol="LIST1") == ["listed_3", "listed_1"]
    assert await slugs(client, symbol="LIST") == []
    assert await slugs(client, text="100%_SOURCE 2") == ["listed_2"]
    assert await slugs(client, text="100__source") == []
    assert await slugs(client, symbol="LIST1", granularity="4h") == []


async def test_pages_follow_each_other_without_overlap(client: Client) -> None:
    found, token = [], ""
    for _ in range(3):
        request = pb.ListDatasetsRequest(text="listed_", page_size=2, page_token=token)
        answer = await client.stub.ListDatasets(request)
        found.append([dataset.slug for dataset in answer.datasets])
        token = answer.next_page_token
    assert found == [["listed_4", "listed_3"], ["listed_2", "listed_1"], ["listed_0"]]
    assert token == ""


async def test_rows_can_be_passed_over(client: Client) -> None:
    assert await slugs(client, text="listed_", skip=3) == ["listed_1", "listed_0"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("page_size", 1001),
        ("page_size", -1),
        ("skip", 100_001),
        ("page_token", "%%%"),
        ("page_token", token_of(2**63)),
        ("page_token", token_of(-(2**64))),
    ],
)
async def test_a_page_has_its_bounds(client: Client, field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await slugs(client, **{field: value})
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_page_of_large_manifests_holds_fewer_and_goes_on(client: Client) -> None:
    holes = bar_file(np.delete(hourly(120_000), np.arange(1, 119_000, 3)))  # 39,667 gaps
    for i in range(5):
        header = header_of(f"gappy_{i}", OHLCV)
        header.calendar = "24x7"
        await client.publish(header, holes)
    found, token, pages = [], "", 0
    while token or not pages:
        request = pb.ListDatasetsRequest(text="gappy_", page_token=token)
        answer = await client.ask(client.stub.ListDatasets(request))
        assert answer.ByteSize() < 4 << 20
        found += [dataset.slug for dataset in answer.datasets]
        token, pages = answer.next_page_token, pages + 1
    assert found == [f"gappy_{i}" for i in (4, 3, 2, 1, 0)]
    assert pages > 1
