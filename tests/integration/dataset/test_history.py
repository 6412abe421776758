"""Versions and imports page by page, and what is said of a dataset."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID, uuid4

import pytest
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from services.shared.errors import InvalidRequest, NotFound
from tests.integration.dataset.client import OHLCV, Client, bar_file, header_of
from tests.unit.dataset.bars import hourly

Import = import_pb2.Import


@pytest.fixture(scope="module", autouse=True)
async def five_versions(client: Client) -> None:
    dataset_id = ""
    for seed in range(5):
        header = header_of("five", OHLCV)
        header.dataset_id = dataset_id
        answer = await client.publish(header, bar_file(hourly(50), seed=seed))
        dataset_id = answer.dataset.dataset_id
    header = header_of("refused", OHLCV)
    with pytest.raises(InvalidRequest):
        await client.publish(header, b"nonsense")


async def versions(client: Client, **asked: Any) -> pb.ListDatasetVersionsResponse:
    request = pb.ListDatasetVersionsRequest(**{"dataset": "five", **asked})
    return await client.ask(client.stub.ListDatasetVersions(request))


async def imports(client: Client, **asked: Any) -> pb.ListImportsResponse:
    return await client.ask(client.stub.ListImports(pb.ListImportsRequest(**asked)))


async def update(client: Client, dataset: str = "five", **said: Any) -> pb.UpdateDatasetResponse:
    request = pb.UpdateDatasetRequest(dataset=dataset, **said)
    return await client.ask(client.stub.UpdateDataset(request))


class TestVersions:
    async def test_they_come_newest_first_and_whole(self, client: Client) -> None:
        answer = await versions(client)
        assert [manifest.version for manifest in answer.manifests] == [5, 4, 3, 2, 1]
        assert answer.next_page_token == ""
        request = pb.GetManifestRequest(dataset="five", version=3)
        assert answer.manifests[2] == (await client.stub.GetManifest(request)).manifest

    async def test_pages_follow_each_other_without_overlap(self, client: Client) -> None:
        found, token, pages = [], "", 0
        while token or not pages:
            answer = await versions(client, page_size=2, page_token=token)
            found.append([manifest.version for manifest in answer.manifests])
            token, pages = answer.next_page_token, pages + 1
        assert found == [[5, 4], [3, 2], [1]]

    async def test_a_dataset_that_is_not_there_is_named(self, client: Client) -> None:
        with pytest.raises(NotFound, match="nobody"):
            await versions(client, dataset="nobody")

    async def test_a_page_has_its_bounds(self, client: Client) -> None:
        strange = base64.urlsafe_b64encode(f"{2**40} {UUID(int=7)}".encode()).decode()
        for field, value in (("page_size", 1001), ("page_token", "%"), ("page_token", strange)):
            with pytest.raises(InvalidRequest) as caught:
                await versions(client, **{field: value})
            assert [violation.field for violation in caught.value.violations] == [field]


class TestImports:
    async def test_they_come_newest_first_with_what_became_of_them(self, client: Client) -> None:
        found = (await imports(client)).imports
        assert [record.slug for record in found[:6]] == ["refused", *["five"] * 5]
        refused, last = found[0], found[1]
        assert refused.state == Import.STATE_REJECTED
        assert "ohlcv" in refused.error
        assert not refused.HasField("version")
        assert (last.state, last.error, last.version) == (Import.STATE_CLEANED, "", 5)
        assert last.kind == Import.KIND_IMPORT
        assert last.created_at_ms <= last.updated_at_ms

    async def test_filters_are_exact(self, client: Client) -> None:
        of_five = (await imports(client, slug="five")).imports
        assert [record.version for record in of_five] == [5, 4, 3, 2, 1]
        rejected = (await imports(client, state=Import.STATE_REJECTED)).imports
        assert [record.slug for record in rejected] == ["refused"]
        assert not (await imports(client, slug="five", state=Import.STATE_REJECTED)).imports
        for state in (Import.STATE_PUBLISHED, Import.STATE_CLEANED):  # both have a version
            found = (await imports(client, slug="five", state=state)).imports
            assert [record.version for record in found] == [5, 4, 3, 2, 1]

    async def test_pages_follow_each_other_without_overlap(self, client: Client) -> None:
        found, token, pages = [], "", 0
        while token or not pages:
            answer = await imports(client, slug="five", page_size=2, page_token=token)
            found += [record.version for record in answer.imports]
            token, pages = answer.next_page_token, pages + 1
        assert (found, pages) == ([5, 4, 3, 2, 1], 3)

    async def test_one_is_found_by_its_id(self, client: Client) -> None:
        record = (await imports(client)).imports[0]
        answer = await client.ask(
            client.stub.GetImport(pb.GetImportRequest(import_id=record.import_id))
        )
        assert getattr(answer, "import") == record

    async def test_one_that_never_was_is_named(self, client: Client) -> None:
        unknown = str(uuid4())
        with pytest.raises(NotFound, match=unknown):
            await client.ask(client.stub.GetImport(pb.GetImportRequest(import_id=unknown)))
        for wrong in ("", "five"):
            with pytest.raises(InvalidRequest, match="import_id is"):
                await client.ask(client.stub.GetImport(pb.GetImportRequest(import_id=wrong)))


class TestUpdates:
    async def test_what_is_named_changes_and_no_row_does(self, client: Client) -> None:
        before = await client.ask(client.stub.GetDataset(pb.GetDatasetRequest(dataset="five")))
        rows = await client.bars("five")
        answer = await update(client, symbol=" ETHUSD ", metadata={"desk": "north"})
        dataset = answer.dataset
        assert (dataset.symbol, dataset.source) == ("ETHUSD", before.dataset.source)
        assert dict(dataset.metadata) == {"desk": "north"}
        assert dataset.manifest == before.dataset.manifest
        assert dataset.updated_at_ms > before.dataset.updated_at_ms
        after = await client.ask(client.stub.GetDataset(pb.GetDatasetRequest(dataset="five")))
        assert after.dataset == dataset
        assert (await client.bars("five")).equals(rows)

    async def test_metadata_is_taken_away_key_by_key(self, client: Client) -> None:
        await update(client, metadata={"a": "1", "b": "2"})
        answer = await update(client, metadata={"a": "3"}, removed_metadata=["b", "never"])
        assert answer.dataset.metadata["a"] == "3"
        assert "b" not in answer.dataset.metadata

    async def test_a_source_may_be_emptied_and_a_symbol_may_not(self, client: Client) -> None:
        assert (await update(client, source="")).dataset.source == ""
        with pytest.raises(InvalidRequest, match="symbol is missing"):
            await update(client, symbol=" ")

    async def test_saying_what_is_said_already_changes_nothing(self, client: Client) -> None:
        first = await update(client, source="again")
        assert (await update(client, source="again")).dataset == first.dataset

    async def test_an_update_that_says_nothing_is_refused(self, client: Client) -> None:
        with pytest.raises(InvalidRequest, match="names nothing that is to change"):
            await update(client)

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"symbol": "x" * 65}, "symbol"),
            ({"granularity": "5x"}, "granularity"),
            ({"granularity": " "}, "granularity"),
            ({"source": "x" * 201}, "source"),
            ({"metadata": {"k" * 65: "v"}}, "metadata"),
            ({"metadata": {"k": "v" * 1001}}, "metadata[k]"),
            ({"metadata": {f"k{i}": "v" for i in range(65)}}, "metadata"),
            ({"metadata": {"k": "v"}, "removed_metadata": ["k"]}, "removed_metadata"),
        ],
    )
    async def test_limits_are_those_of_an_import(
        self, client: Client, said: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await update(client, **said)
        assert [violation.field for violation in caught.value.violations] == [field]

    async def test_a_granularity_is_refused_with_the_rule_or_with_what_the_bars_say(
        self, client: Client
    ) -> None:
        header = header_of("hours", OHLCV)
        header.calendar = "24x7"
        await client.publish(header, bar_file(hourly(50)))
        with pytest.raises(InvalidRequest, match="granularity is '5x', and not a whole number"):
            await update(client, "hours", granularity="5x")
        with pytest.raises(InvalidRequest, match="granularity is 4h, and most bars are 1h apart"):
            await update(client, "hours", granularity="4h")
        for fitting in ("60m", "60min", "1h"):
            answer = await update(client, "hours", granularity=fitting)
            assert answer.dataset.granularity == fitting

    async def test_a_dataset_that_is_not_there_is_named(self, client: Client) -> None:
        with pytest.raises(NotFound, match="nobody"):
            await update(client, "nobody", source="x")

    async def test_the_next_version_goes_on_from_what_was_said(self, client: Client) -> None:
        header = header_of("renamed", OHLCV)
        first = await client.publish(header, bar_file(hourly(50)))
        await update(client, "renamed", symbol="NEW", granularity="60min", source="elsewhere")
        again = header_of("renamed", OHLCV)
        again.dataset_id, again.symbol, again.source = first.dataset.dataset_id, "", ""
        second = (await client.publish(again, bar_file(hourly(50), seed=2))).dataset
        said = (second.symbol, second.granularity, second.source)
        assert said == ("NEW", "60min", "elsewhere")
