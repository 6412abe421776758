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
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import SHUT_RDWR
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from services.shared.errors import InvalidRequest, Unavailable, Violation
from services.shared.series.questdb.buffers import Buffers
from services.shared.series.questdb.refusals import refusal
from services.shared.threads import ended

T = TypeVar("T")
SECONDS: Final = 30.0
"""Without a byte; a query that changes many rows may take `LONG_SECONDS`."""
LONG_SECONDS: Final = 600.0
THREADS: Final = 32
DECODING_THREADS: Final = 2
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


class Answer:
    """Rows as the server sent them, all in memory, none of them decoded yet."""

    def __init__(self, body: pa.Buffer) -> None:
        self.size: int = body.size
        self.file = pq.ParquetFile(pa.BufferReader(body), pre_buffer=False)
        self.rows: int = self.file.metadata.num_rows


@dataclass(frozen=True, kw_only=True)
class Question:
    target: str
    seconds: float
    read: Callable[[HTTPResponse], pa.Buffer]


class Call:
    """A question on its way; whoever no longer waits for it ends it, in whichever thread it is."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._connection: HTTPConnection | None = None
        self._is_given_up = False

    def answer(self, connection: HTTPConnection, headers: dict[str, str]) -> tuple[int, pa.Buffer]:
        """Blocks. The connection can be used again, or is closed where this raises."""
        self._connection = connection
        try:
            self._open(connection)
            connection.request("GET", self.question.target, headers=headers)
            reply = connection.getresponse()
            return reply.status, self.question.read(reply)
        except BaseException:
            connection.close()
            raise
        finally:
            self._connection = None

    def _open(self, connection: HTTPConnection) -> None:
        connection.timeout = self.question.seconds
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(self.question.seconds)
        if self._is_given_up:  # before there was a socket to shut down
            raise ConnectionAbortedError("Nobody waits for the answer any more.")

    def give_up(self) -> None:
        self._is_given_up = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(SHUT_RDWR)


class Wire:
    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: deque[HTTPConnection] = deque()
        self._buffers = Buffers()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="questdb")
        self._decoding = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decoding")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._decoding.shutdown(wait=False, cancel_futures=True)
        self._close_idle()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """In threads of the store's own: a slow server must not keep others from theirs.

        Who is cancelled does not wait for it; a question to the server is given up then.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def decoded(self, work: Callable[[], T]) -> T:
        """In few threads: each keeps some of the memory that it allocates.

        Who is cancelled waits for its end: what it decodes is in memory until then.
        """
        return await ended(asyncio.get_running_loop().run_in_executor(self._decoding, work))

    async def rows(
        self, query: str, *, table: str = "", seconds: float = SECONDS
    ) -> list[list[Any]]:
        """Of a query, or none of a statement. Raises NoSuchTable for `table`."""
        body = await self._asked("/exec", {"query": query}, table, seconds, _read)
        rows: list[list[Any]] = json.loads(body.to_pybytes()).get("dataset", [])
        return rows

    async def slice(
        self, query: str, *, table: str, likely: int, most: int | None = None
    ) -> Answer:
        """`likely` so many bytes long. Raises AnswerTooLong beyond `most` bytes."""

        def read(reply: HTTPResponse) -> pa.Buffer:
            return self._buffers.read(reply, likely, most)

        asked = {"query": query, "fmt": "parquet", "compression_codec": "uncompressed"}
        body = await self._asked("/exp", asked, table, SECONDS, read)
        return await self.in_thread(lambda: Answer(body))

    async def _asked(
        self,
        path: str,
        asked: dict[str, str],
        table: str,
        seconds: float,
        read: Callable[[HTTPResponse], pa.Buffer],
    ) -> pa.Buffer:
        target = f"{path}?{urlencode(asked, safe=_PLAIN, quote_via=quote_plus)}"
        if len(target) > _LONGEST_QUERY:
            raise InvalidRequest([Violation("columns", "are too many for one query of QuestDB")])
        question = Question(target=target, seconds=seconds, read=read)
        for pause in (*_PAUSES, None):
            try:
                status, body = await self._answered(Call(question))
            except TimeoutError as error:
                raise self._away(f"no answer within {seconds:.0f} s") from error
            except (OSError, HTTPException) as error:
                if pause is None:
                    raise self._away(str(error) or type(error).__name__) from error
            else:
                if status == HTTPStatus.OK:
                    return body
                if status not in _LATER or pause is None:
                    raise refusal(
                        body.to_pybytes().decode("utf-8", "replace"), table=table, status=status
                    )
            await asyncio.sleep(pause)
        raise AssertionError("The last attempt returns or raises.")

    def _away(self, why: str) -> Unavailable:
        return Unavailable("QuestDB does not answer; the same call may work later.", cause=why)

    async def _answered(self, call: Call) -> tuple[int, pa.Buffer]:
        try:
            return await self.in_thread(lambda: self._get(call))
        except asyncio.CancelledError:
            call.give_up()
            raise

    def _get(self, call: Call) -> tuple[int, pa.Buffer]:
        connection = self._idle_connection()
        if connection is not None:
            try:
                return self._answer(connection, call)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                self._close_idle()  # one that hung up has hung up on all
        return self._answer(self._new_connection(), call)

    def _answer(self, connection: HTTPConnection, call: Call) -> tuple[int, pa.Buffer]:
        answer = call.answer(connection, self.address.headers)
        self._idle.append(connection)
        return answer

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


def _read(reply: HTTPResponse) -> pa.Buffer:
    return pa.py_buffer(reply.read())
