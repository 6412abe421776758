"""What a request passes through, as plain ASGI."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """Around requests only; start and stop of the application pass by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer if scope["type"] == "http" else self._app
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError
