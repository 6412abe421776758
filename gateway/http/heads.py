"""HEAD, wherever there is a GET: its answer without the body."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gateway.http.guard import Guard


class Heads(Guard):
    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = False

        async def without_body(message: Message) -> None:
            nonlocal answered
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": message["type"], "body": b""})
            answered = True
            if message.get("more_body"):
                raise OSError("Nobody takes the rest.")  # ends a stream as a caller who left does

        try:
            await self._app({**scope, "method": "GET"}, receive, without_body)
        except (OSError, ClientDisconnect):
            if not answered:
                raise
