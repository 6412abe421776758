"""What is said of the distance of bars holds for the bars that are published."""

from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequest
from tests.integration.dataset.client import OHLCV, Client, bar_file, header_of
from tests.unit.dataset.bars import hourly

HOURLY = bar_file(hourly(100))
EVERY_FOUR_HOURS = bar_file(hourly(400)[::4])


async def published(client: Client, slug: str, bars: bytes = HOURLY, **said: str) -> str:
    """The granularity that its version has."""
    header = header_of(slug, OHLCV)
    for name, text in {"calendar": "24x7", **said}.items():
        setattr(header, name, text)
    return (await client.publish(header, bars)).dataset.manifest.granularity


async def test_bars_that_contradict_what_is_said_are_refused(client: Client) -> None:
    rule = "^header.granularity is 4h, and most bars are 1h apart.$"
    with pytest.raises(InvalidRequest, match=rule):
        await published(client, "four_hours", granularity="4h")
    assert client.leftovers() == set()


@pytest.mark.parametrize("said", ["1h", "60min", "1mo", ""])
async def test_bars_agree_with_another_word_for_their_distance(client: Client, said: str) -> None:
    assert await published(client, f"agreed_{said}", granularity=said) == (said or "1h")


async def test_observed_bars_may_lie_anywhere(client: Client) -> None:
    assert await published(client, "anywhere", granularity="4h", calendar="observed") == "4h"


async def test_a_new_version_is_held_against_what_its_dataset_says(client: Client) -> None:
    await published(client, "grown")
    rule = "^header.granularity of dataset grown is 1h, and most bars are 4h apart.$"
    with pytest.raises(InvalidRequest, match=rule):
        await published(client, "grown", EVERY_FOUR_HOURS, dataset_id="grown")
    again = published(client, "grown", EVERY_FOUR_HOURS, dataset_id="grown", granularity="4h")
    assert await again == "4h"
