"""Versions, repeated requests, lists, pins and deletes."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from tests.integration.dataset.client import (
    OHLCV,
    Client,
    bar_file,
    header_of,
    indicator_file,
)
from tests.unit.dataset.bars import hourly

TIMES = hourly(300)


def files(seed: int = 1) -> tuple[bytes, bytes]:
    return bar_file(TIMES, seed=seed), indicator_file(TIMES[50:290], seed=seed)


async def published(client: Client, slug: str, seed: int = 1) -> pb.ImportDatasetResponse:
    return await client.publish(header_of(slug), *files(seed))


async def another_version(client: Client, of: pb.ImportDatasetResponse, seed: int) -> int:
    header = header_of(of.dataset.slug)
    header.dataset_id = of.dataset.dataset_id
    answer = await client.publish(header, *files(seed))
    assert answer.dataset.dataset_id == of.dataset.dataset_id
    return answer.dataset.version


async def delete(client: Client, dataset: str, *, force: bool = False) -> None:
    request = pb.DeleteDatasetRequest(dataset=dataset, force=force)
    await client.ask(client.stub.DeleteDataset(request))


async def pin(client: Client, dataset: str, holder: str, version: int = 0) -> int:
    request = pb.PinVersionRequest(dataset=dataset, holder=holder, version=version)
    return (await client.ask(client.stub.PinVersion(request))).manifest.version


class TestVersions:
    async def test_a_slug_that_exists_is_refused_before_the_upload(self, client: Client) -> None:
        await published(client, "taken")
        with pytest.raises(AlreadyExists, match="give its dataset_id") as caught:
            await client.publish(header_of("taken"))
        assert caught.value.reason == "SLUG_TAKEN"

    async def test_versions_count_up_and_stay_as_they_are(self, client: Client) -> None:
        first = await published(client, "counted", seed=1)
        before = await client.bars("counted")
        assert await another_version(client, first, seed=2) == 2
        assert await another_version(client, first, seed=3) == 3
        answer = await client.ask(client.stub.GetDataset(pb.GetDatasetRequest(dataset="counted")))
        assert list(answer.versions) == [1, 2, 3]
        assert answer.dataset.manifest.version == 3
        assert (await client.bars("counted", version=1)).equals(before)
        assert not (await client.bars("counted")).equals(before)
        request = pb.GetManifestRequest(dataset="counted", version=1)
        answer_one = await client.ask(client.stub.GetManifest(request))
        assert answer_one.manifest == first.dataset.manifest

    async def test_equal_rows_have_equal_hashes_in_every_version(self, client: Client) -> None:
        first = await published(client, "hashed", seed=5)
        await another_version(client, first, seed=5)
        await another_version(client, first, seed=6)
        hashes = []
        for version in (1, 2, 3):
            request = pb.GetManifestRequest(dataset="hashed", version=version)
            manifest = (await client.stub.GetManifest(request)).manifest
            hashes.append(manifest.content_hash)
        assert hashes[0] == hashes[1] != hashes[2]

    async def test_what_an_order_leaves_open_is_as_before(self, client: Client) -> None:
        header = header_of("described", OHLCV)
        header.source, header.granularity = "an exchange", "60min"
        header.metadata["desk"] = "north"
        first = await client.publish(header, files()[0])
        again = header_of("described", OHLCV)
        again.dataset_id = first.dataset.dataset_id
        again.symbol, again.source = "", ""
        second = await client.publish(again, files(2)[0])
        kept = second.dataset
        assert (kept.symbol, kept.source, kept.granularity) == ("BTCUSD", "an exchange", "60min")
        assert dict(kept.metadata) == {"desk": "north"}

    async def test_a_version_of_another_slug_is_refused(self, client: Client) -> None:
        first = await published(client, "one_name")
        header = header_of("other_name")
        header.dataset_id = first.dataset.dataset_id
        with pytest.raises(InvalidRequest, match=r"is 'other_name', but dataset .* is"):
            await client.publish(header)

    async def test_of_two_imports_at_once_each_is_whole_or_refused(self, client: Client) -> None:
        results = await asyncio.gather(
            *(published(client, "raced", seed) for seed in range(4)), return_exceptions=True
        )
        winners = [result for result in results if isinstance(result, pb.ImportDatasetResponse)]
        assert len(winners) == 1
        assert all(isinstance(r, AlreadyExists | Conflict) for r in results if r not in winners)
        answer = await client.stub.GetDataset(pb.GetDatasetRequest(dataset="raced"))
        assert answer.dataset == winners[0].dataset
        mine = {name for name in client.leftovers() if name.startswith("raced")}
        assert len(mine) == 2


class TestRepetition:
    async def test_the_same_key_and_body_give_the_same_answer(self, client: Client) -> None:
        header = header_of("repeated")
        header.idempotency_key = "key-1"
        first = await client.publish(header, *files())
        again = await client.publish(header, *files(), cut=777)
        assert again == first
        mine = {name for name in client.leftovers() if name.startswith("repeated")}
        assert len(mine) == 2

    async def test_the_same_key_with_another_body_is_refused(self, client: Client) -> None:
        header = header_of("key_reused")
        header.idempotency_key = "key-2"
        await client.publish(header, *files())
        with pytest.raises(AlreadyExists, match="'key-2'") as caught:
            await client.publish(header, *files(2))
        assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
        header.source = "elsewhere"
        with pytest.raises(AlreadyExists):
            await client.publish(header, *files())

    async def test_the_same_request_twice_at_once_is_one_import(self, client: Client) -> None:
        header = header_of("doubled")
        header.idempotency_key = "key-3"
        answers = await asyncio.gather(*(client.publish(header, *files()) for _ in range(3)))
        assert answers[0] == answers[1] == answers[2]
        mine = {name for name in client.leftovers() if name.startswith("doubled")}
        assert len(mine) == 2

    async def test_a_refused_import_does_not_use_its_key_up(self, client: Client) -> None:
        header = header_of("key_kept")
        header.idempotency_key = "key-4"
        with pytest.raises(InvalidRequest):
            await client.publish(header, b"nonsense", b"nonsense")
        assert (await client.publish(header, *files())).dataset.version == 1


class TestPins:
    async def test_a_pinned_dataset_is_not_deleted(self, client: Client) -> None:
        await published(client, "pinned")
        run = str(uuid4())
        assert await pin(client, "pinned", run) == 1
        assert await pin(client, "pinned", run) == 1
        with pytest.raises(Conflict, match=f"is needed by the runs {run}: delete") as caught:
            await delete(client, "pinned")
        assert caught.value.reason == "DATASET_PINNED"
        await client.stub.UnpinVersion(pb.UnpinVersionRequest(holder=run))
        await client.stub.UnpinVersion(pb.UnpinVersionRequest(holder=run))
        await delete(client, "pinned")

    async def test_a_forced_delete_takes_the_pins_along(self, client: Client) -> None:
        await published(client, "forced")
        await pin(client, "forced", "somebody")
        await delete(client, "forced", force=True)
        await published(client, "forced")
        await delete(client, "forced")

    async def test_only_versions_that_are_there_can_be_pinned(self, client: Client) -> None:
        await published(client, "one_version")
        with pytest.raises(NotFound):
            await pin(client, "one_version", "somebody", version=2)
        with pytest.raises(InvalidRequest, match="holder is missing"):
            await pin(client, "one_version", "")

    async def test_a_pin_and_a_delete_at_once_never_both_succeed(self, client: Client) -> None:
        for attempt in range(5):
            slug = f"contended_{attempt}"
            await published(client, slug)
            pinned, deleted = await asyncio.gather(
                pin(client, slug, slug), delete(client, slug), return_exceptions=True
            )
            assert isinstance(pinned, NotFound) or isinstance(deleted, Conflict)


class TestDelete:
    async def test_a_deleted_dataset_is_gone_with_its_tables(self, client: Client) -> None:
        first = await published(client, "gone")
        await another_version(client, first, seed=2)
        await delete(client, "gone")
        with pytest.raises(NotFound):
            await client.bars("gone")
        with pytest.raises(NotFound):
            await delete(client, "gone")
        assert not {name for name in client.leftovers() if name.startswith("gone")}

    async def test_versions_of_a_slug_never_restart(self, client: Client) -> None:
        first = await published(client, "phoenix")
        await another_version(client, first, seed=2)
        await delete(client, first.dataset.dataset_id)
        reborn = await published(client, "phoenix")
        assert reborn.dataset.version == 3
        assert reborn.dataset.dataset_id != first.dataset.dataset_id
        assert reborn.dataset.manifest.ohlcv_measurement == "phoenix_v3_ohlcv_a1"
