"""QuestDB's HTTP interface: queries to rows or to Arrow, its refusals to ours.

http.client in threads: for bodies of megabytes httpx takes five times the CPU.
Everything that is asked here may be repeated, so what a lost connection leaves
open is asked again: at once where it was an old one, which the server may have
closed long ago, and then a few times within seconds.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from services.shared.errors import InvalidRequest, Unavailable, Violation
from services.shared.series.questdb.refusals import refusal

T = TypeVar("T")
SECONDS: Final = 30.0
"""Without a byte; a query that changes many rows may take `LONG_SECONDS`."""
LONG_SECONDS: Final = 600.0
THREADS: Final = 32
_PAUSES: Final = (0.05, 0.2, 0.8, 2.0)
_LONGEST_QUERY: Final = 32_000  # characters of the path; the server hangs up at 32,224
_PLAIN: Final = ',()"*'
_LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, kw_only=True)
class Address:
    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.parts.scheme not in ("http", "https") or not self.parts.hostname:
            raise InvalidRequest([Violation("questdb_url", f"is {self.url!r}, no http(s) URL")])

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        return self.parts.port or (443 if self.parts.scheme == "https" else 80)

    @property
    def headers(self) -> dict[str, str]:
        if not self.user:
            return {}
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {login}"}


class Wire:
    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: deque[HTTPConnection] = deque()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="questdb")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._close_idle()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """In threads of the store's own: a slow server must not keep others from theirs.

        Who is cancelled does not wait for it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def rows(
        self, query: str, *, table: str = "", seconds: float = SECONDS
    ) -> list[list[Any]]:
        """Of a query, or none of a statement. Raises NoSuchTable for `table`."""
        body = await self._asked("/exec", {"query": query}, table, seconds)
        rows: list[list[Any]] = json.loads(body).get("dataset", [])
        return rows

    async def arrow(self, query: str, *, table: str) -> pa.Table:
        """A bounded slice: all of it is in memory."""
        asked = {"query": query, "fmt": "parquet", "compression_codec": "uncompressed"}
        body = await self._asked("/exp", asked, table, SECONDS)
        return await self.in_thread(lambda: pq.read_table(pa.BufferReader(body), use_threads=False))

    async def _asked(self, path: str, asked: dict[str, str], table: str, seconds: float) -> bytes:
        target = f"{path}?{urlencode(asked, safe=_PLAIN, quote_via=quote_plus)}"
        if len(target) > _LONGEST_QUERY:
            raise InvalidRequest([Violation("columns", "are too many for one query of QuestDB")])
        for pause in (*_PAUSES, None):
            try:
                status, body = await self.in_thread(lambda: self._get(target, seconds))
            except TimeoutError as error:
                raise self._away(f"no answer within {seconds:.0f} s") from error
            except (OSError, HTTPException) as error:
                if pause is None:
                    raise self._away(str(error) or type(error).__name__) from error
            else:
                if status == HTTPStatus.OK:
                    return body
                if status not in _LATER or pause is None:
                    raise refusal(body.decode("utf-8", "replace"), table=table, status=status)
            await asyncio.sleep(pause)
        raise AssertionError("The last attempt returns or raises.")

    def _away(self, why: str) -> Unavailable:
        return Unavailable("QuestDB does not answer; the same call may work later.", cause=why)

    def _get(self, target: str, seconds: float) -> tuple[int, bytes]:
        connection = self._idle_connection()
        if connection is not None:
            try:
                return self._answer(connection, target, seconds)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                self._close_idle()  # one that hung up has hung up on all
        return self._answer(self._new_connection(), target, seconds)

    def _answer(self, connection: HTTPConnection, target: str, seconds: float) -> tuple[int, bytes]:
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        try:
            connection.request("GET", target, headers=self.address.headers)
            reply = connection.getresponse()
            body = reply.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return reply.status, body

    def _idle_connection(self) -> HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _close_idle(self) -> None:
        while (connection := self._idle_connection()) is not None:
            connection.close()

    def _new_connection(self) -> HTTPConnection:
        secure = self.address.parts.scheme == "https"
        kind = HTTPSConnection if secure else HTTPConnection
        return kind(str(self.address.parts.hostname), self.address.port)
