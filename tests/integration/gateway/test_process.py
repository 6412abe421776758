"""The gateway as a process: its memory, its end, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway.house import NOWHERE
from tests.integration.gateway.scripted import ROWS, ManyBars, bars, example, peer

MIB = 1 << 20
GROWTH_BYTES = 80 * MIB
BARS = "/api/datasets/a/ohlcv"
OPEN = "everyone-who-reaches-this-port-may-do-everything"


@asynccontextmanager
async def process(
    listen: str, dataset_address: str = NOWHERE, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        **settings,
        "STAGE1_LISTEN": listen,
        "STAGE1_DATASET_ADDRESS": dataset_address,
        "STAGE1_RUNS_ADDRESS": NOWHERE,
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.http"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def gateway_process(
    dataset_address: str = NOWHERE,
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    async with process("127.0.0.1:0", dataset_address) as running:
        assert running.stderr is not None
        url = None
        while url is None:
            line = (await running.stderr.readline()).decode()
            assert line, "The gateway ended."
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
        drained = asyncio.create_task(running.stderr.read())
        async with httpx.AsyncClient(base_url=url[0], timeout=120, trust_env=False) as client:
            yield client, running
        drained.cancel()


def anonymous_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024


@dataclass(frozen=True)
class Measured:
    """A gateway process over a dataset service with more rows than fit."""

    client: httpx.AsyncClient
    pid: int
    bars: ManyBars

    @asynccontextmanager
    async def grows_little(self) -> AsyncIterator[Callable[[], None]]:
        """Gives what is to be called now and then; fails when memory has grown."""
        before = most = anonymous_bytes(self.pid)

        def look() -> None:
            nonlocal most
            most = max(most, anonymous_bytes(self.pid))

        yield look
        assert most - before < GROWTH_BYTES


@pytest.fixture(scope="module")
async def measured() -> AsyncIterator[Measured]:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    servicer = example(ManyBars)
    async with (
        peer(bars(servicer)) as address,
        gateway_process(address) as (client, running),
    ):
        for form in ("json", "arrow"):  # what is loaded and kept from the first use on
            await client.get(BARS, params={"limit": 10_000, "format": form})
        yield Measured(client, running.pid, servicer)


@pytest.mark.parametrize("form", ["json", "arrow"])
async def test_a_large_table_streams_in_bounded_memory(measured: Measured, form: str) -> None:
    received = 0
    async with (
        measured.grows_little() as look,
        measured.client.stream("GET", BARS, params={"format": form}) as answer,
    ):
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            look()
    assert received > ROWS * 80


async def test_a_slow_reader_holds_little_memory(measured: Measured) -> None:
    begun = measured.bars.sent_rows
    async with (
        measured.grows_little() as look,
        measured.client.stream("GET", BARS, params={"format": "arrow"}) as answer,
    ):
        await anext(answer.aiter_raw())
        last = -1
        while last != measured.bars.sent_rows:  # until nothing moves any more
            last = measured.bars.sent_rows
            await asyncio.sleep(0.3)
            look()
    assert measured.bars.sent_rows - begun < ROWS


async def test_a_large_upload_is_never_whole_in_memory(measured: Measured) -> None:
    size = 200 * MIB

    async def form() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="ohlcv"; filename="a"\r\n\r\n'
        for _ in range(size // MIB):
            yield bytes(MIB)
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    posted = measured.client.post("/api/datasets", content=form(), headers=headers)
    async with measured.grows_little() as look:
        posting = asyncio.create_task(posted)
        while not posting.done():
            look()
            await asyncio.wait([posting], timeout=0.05)
    assert (await posting).status_code == 201
    assert measured.bars.uploaded_bytes == size


async def test_it_ends_in_order_when_told_to() -> None:
    async with gateway_process() as (client, running):
        assert (await client.get("/livez")).status_code == 200
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            code = await running.wait()
    assert code in (0, -signal.SIGTERM)


async def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with process(address) as ended:
            _, said = await ended.communicate()
    assert ended.returncode == 1
    assert said.decode().strip() == (
        f"Cannot listen on {address}: the port is taken or the address is not ours."
    )


async def test_a_public_address_is_refused_at_start() -> None:
    async with process("0.0.0.0:7400") as ended:
        _, said = await ended.communicate()
    assert ended.returncode == 1
    assert "the gateway has no access tokens yet and binds to 127.0.0.1 only" in said.decode()
    assert f"STAGE1_BIND_WITHOUT_TOKENS={OPEN}." in said.decode()


async def test_whoever_says_what_it_means_may_bind_elsewhere() -> None:
    async with process("0.0.0.0:0", STAGE1_BIND_WITHOUT_TOKENS=OPEN) as running:
        assert running.stderr is not None
        lines = [(await running.stderr.readline()).decode() for _ in range(2)]
    assert "gateway_listening" in lines[0]
    assert "gateway_without_tokens" in lines[1]


@pytest.mark.parametrize("value", ["1", "true", "yes"])
async def test_an_open_bind_is_not_had_by_a_shorter_word(value: str) -> None:
    async with process("0.0.0.0:0", STAGE1_BIND_WITHOUT_TOKENS=value) as ended:
        _, said = await ended.communicate()
    assert ended.returncode == 1
    assert f"STAGE1_BIND_WITHOUT_TOKENS: Input should be '{OPEN}'" in said.decode()


@pytest.mark.parametrize("host", ["*", "a,b", "http://a", "a:b", ""])
async def test_allowed_hosts_are_plain_names(host: str) -> None:
    async with process("127.0.0.1:0", STAGE1_ALLOWED_HOSTS=json.dumps([host])) as ended:
        _, said = await ended.communicate()
    assert ended.returncode == 1
    assert said.decode().startswith("STAGE1_ALLOWED_HOSTS: String should match pattern")
