"""What is refused, with which words, and that nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1 import dataset_service_pb2 as pb

from services.shared.errors import InvalidRequest, NotFound, Stage1Error, TooLarge
from tests.integration.dataset.client import (
    INDICATORS,
    OHLCV,
    Client,
    arrow_file,
    bar_file,
    dataset_service,
    header_of,
    indicator_file,
    requests,
)
from tests.unit.dataset.bars import hourly

TIMES = hourly(300)
GOOD = bar_file(TIMES), indicator_file(TIMES[50:290])

BAD_ROWS = b"""Date,Open,High,Low,Close
2024-01-01 00:00,1,2,0.5,1.5
2024-01-01 01:00,1,0.4,0.5,1.5
2024-01-01 02:00,1,2,0.5,9
2024-01-01 02:00,1,2,0.5,1.5
2024-01-01 03:00,1,2,0.5,-1
"""


@pytest.fixture(autouse=True)
async def nothing_stays(client: Client) -> AsyncIterator[None]:
    yield
    assert client.leftovers() == set()
    assert not (await client.ask(client.stub.ListDatasets(pb.ListDatasetsRequest()))).datasets


async def refusal(
    client: Client, *parts: bytes, header: import_pb2.ImportHeader | None = None
) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await client.publish(header or header_of("refused"), *(parts or GOOD))
    return caught.value


def fields(error: InvalidRequest) -> list[str]:
    return [violation.field for violation in error.violations]


async def test_bad_rows_are_told_with_their_lines_and_rules(client: Client) -> None:
    error = await refusal(client, BAD_ROWS, header=header_of("refused", OHLCV))
    assert error.reason == "FILE_REFUSED"
    assert "high below low in 1 line: 3" in str(error)
    assert "close outside low to high in 2 lines: 4, 6" in str(error)


async def test_repeated_times_are_told_with_their_lines(client: Client) -> None:
    rows = BAD_ROWS.splitlines()
    file = b"\n".join([rows[0], rows[1], rows[1]])
    error = await refusal(client, file, header=header_of("refused", OHLCV))
    assert "ohlcv repeats the time of the row above it in 1 line: 3" in str(error)


async def test_both_files_are_judged_in_one_answer(client: Client) -> None:
    indicators = arrow_file({"timestamp_ms": TIMES, "RSI": np.full(300, np.inf)})
    error = await refusal(client, BAD_ROWS, indicators)
    assert {"ohlcv", "indicators"} == set(fields(error))


async def test_indicators_off_their_bars_are_refused(client: Client) -> None:
    shifted = indicator_file(TIMES[50:290] + 60_000)
    error = await refusal(client, GOOD[0], shifted)
    assert fields(error) == ["indicators"]
    assert "row 0 at 2024-01-03T02:01:00Z, where there is no bar" in str(error)


async def test_indicators_that_leave_out_a_bar_are_refused(client: Client) -> None:
    error = await refusal(client, GOOD[0], indicator_file(np.delete(TIMES[50:290], 100)))
    assert "leave out the bar at 2024-01-07T06:00:00Z" in str(error)


@pytest.mark.parametrize("name", ["index", "timestamp_MS", "ohlcv_index", "Close"])
async def test_names_the_system_uses_itself_are_refused(client: Client, name: str) -> None:
    indicators = arrow_file({"timestamp_ms": TIMES, "RSI": np.ones(300), name: np.ones(300)})
    error = await refusal(client, GOOD[0], indicators)
    assert name.lower() in str(error).lower()
    assert fields(error)[0].startswith("indicators")


async def test_a_name_in_both_files_is_refused(client: Client) -> None:
    bars = bar_file(TIMES, rsi=np.arange(300.0))
    error = await refusal(client, bars, GOOD[1])
    assert "has a column 'RSI', which the bars have too" in str(error)


async def test_gaps_are_refused_when_the_order_says_so(client: Client) -> None:
    header = header_of("refused", OHLCV)
    header.calendar = "24x7"
    header.gap_policy = dataset_pb2.GAP_POLICY_REJECT
    error = await refusal(client, bar_file(np.delete(TIMES, [7, 8])), header=header)
    assert fields(error) == ["gap_policy"]


async def test_a_target_that_is_no_column_is_refused(client: Client) -> None:
    header = header_of("refused")
    header.targets.append(import_pb2.Target(name="TGT_7"))
    assert fields(await refusal(client, header=header)) == ["header.targets[0].name"]


async def test_a_manifest_that_contradicts_the_files_is_refused(client: Client) -> None:
    header = header_of("refused")
    header.expected.lookback_rows = 49
    header.expected.indicator_rows = 240
    header.expected.content_hash = "0" * 64
    header.expected.calendar = "24x5_fx"
    header.expected.gaps.add(after_ms=1, before_ms=3, missing=1)
    header.expected.columns.add(name="RSI", role=dataset_pb2.Column.ROLE_TARGET)
    header.expected.columns.add(name="MACD")
    error = await refusal(client, header=header)
    assert error.reason == "MANIFEST_CONTRADICTED"
    assert sorted(fields(error)) == [
        "header.expected.calendar",
        "header.expected.columns",
        "header.expected.columns",
        "header.expected.content_hash",
        "header.expected.gaps",
        "header.expected.lookback_rows",
    ]
    assert "header.expected.lookback_rows is 49, but the files say 50" in str(error)


async def test_every_field_of_a_malformed_order_is_named_at_once(client: Client) -> None:
    header = header_of("9 lives", INDICATORS, INDICATORS)
    header.symbol = ""
    header.granularity = "hourly"
    header.calendar = "XNYZ"
    header.dataset_id = "Seven!"
    header.parts[0].zone = "Europe/Atlantis"
    header.parts[1].separator = "::"
    header.targets.add(name="T", horizon_bars=0)
    error = await refusal(client, header=header)
    assert set(fields(error)) == {
        "header.slug",
        "header.granularity",
        "header.calendar",
        "header.dataset_id",
        "header.parts",
        "header.parts[0].zone",
        "header.parts[1].separator",
        "header.targets[0].horizon_bars",
    }


async def test_every_text_and_list_of_an_order_has_its_bound(client: Client) -> None:
    header = header_of("refused")
    part = header.parts[1]
    part.file_name, part.timestamp_column, part.market = "f" * 256, "t" * 128, "m" * 201
    part.rename["RSI"] = "r" * 128
    part.rename[""] = "ADX"
    header.targets.extend([import_pb2.Target(name="T")] * 2001)
    header.expected.source = "s" * 201
    header.expected.content_hash = "h" * 65
    header.expected.gaps.extend([dataset_pb2.Gap(missing=1)] * 50_001)
    header.expected.columns.extend([dataset_pb2.Column(name="T")] * 4001)
    header.expected.columns[7].name = "c\0"
    assert set(fields(await refusal(client, header=header))) == {
        "header.parts[1].file_name",
        "header.parts[1].timestamp_column",
        "header.parts[1].market",
        "header.parts[1].rename",
        "header.parts[1].rename[RSI]",
        "header.targets",
        "header.expected.source",
        "header.expected.content_hash",
        "header.expected.gaps",
        "header.expected.columns",
        "header.expected.columns[7].name",
    }


async def test_a_new_dataset_needs_a_symbol(client: Client) -> None:
    header = header_of("refused")
    header.symbol = " "
    assert fields(await refusal(client, header=header)) == ["header.symbol"]


async def test_an_unknown_dataset_gets_no_new_version(client: Client) -> None:
    header = header_of("refused")
    header.dataset_id = "00000000-0000-0000-0000-000000000001"
    with pytest.raises(NotFound):
        await client.publish(header, *GOOD)


async def test_a_part_without_bytes_is_refused(client: Client) -> None:
    error = await refusal(client, GOOD[0])
    assert fields(error) == ["header.parts[1]"]


async def sent(client: Client, *messages: pb.ImportDatasetRequest) -> InvalidRequest:
    async def stream() -> AsyncIterator[pb.ImportDatasetRequest]:
        for message in messages:
            yield message

    with pytest.raises(InvalidRequest) as caught:
        await client.ask(client.stub.ImportDataset(stream()))
    return caught.value


def piece(part: int, data: bytes = b"x") -> pb.ImportDatasetRequest:
    return pb.ImportDatasetRequest(bytes=pb.PartBytes(part=part, data=data))


async def test_the_stream_has_its_header_first_and_its_parts_in_order(client: Client) -> None:
    header = pb.ImportDatasetRequest(header=header_of("refused"))
    assert fields(await sent(client, piece(0))) == ["header"]
    assert fields(await sent(client)) == ["header"]
    assert fields(await sent(client, header, header)) == ["header"]
    assert fields(await sent(client, header, piece(1), piece(0))) == ["bytes.part"]
    assert fields(await sent(client, header, piece(2))) == ["bytes.part"]
    assert fields(await sent(client, header, piece(0, bytes(3 << 20)))) == ["bytes.data"]


async def test_an_upload_over_the_limit_is_cut_off(
    dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("small")
    async with dataset_service(dsn, folder, max_upload_bytes=20_000) as small:
        with pytest.raises(TooLarge, match="over its limit of 20000 bytes") as caught:
            await small.publish(header_of("refused"), *GOOD, cut=5_000)
        assert caught.value.reason == "UPLOAD_TOO_LARGE"
        assert small.leftovers() == set()


async def test_a_client_that_goes_away_mid_upload_leaves_nothing(
    dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken = asyncio.Event()

    async def endless() -> AsyncIterator[pb.ImportDatasetRequest]:
        async for request in requests(header_of("refused"), GOOD, 1000):
            yield request
        taken.set()
        await asyncio.Event().wait()

    async with dataset_service(dsn, tmp_path_factory.mktemp("away")) as service:
        call = service.stub.ImportDataset(endless())
        await taken.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert service.leftovers() == set()  # the service has ended, and its calls with it


async def test_a_refused_slug_can_be_imported_afterwards(
    dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with dataset_service(dsn, tmp_path_factory.mktemp("after")) as service:
        with pytest.raises(Stage1Error):
            await service.publish(header_of("second_try"), BAD_ROWS, GOOD[1])
        answer = await service.publish(header_of("second_try"), *GOOD)
        assert answer.dataset.version == 1
        assert service.leftovers() == {"second_try_v1_ohlcv_a1", "second_try_v1_ind_a1"}
        delete = pb.DeleteDatasetRequest(dataset="second_try")
        await service.ask(service.stub.DeleteDataset(delete))


async def test_refused_uploads_give_their_place_back(client: Client) -> None:
    for _ in range(40):  # more than may be open at a time
        error = await refusal(client, header=import_pb2.ImportHeader())
        assert "header.slug" in fields(error)
