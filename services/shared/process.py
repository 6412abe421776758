"""A program of ours from start to end: settings, logs, SIGTERM, one sentence if it cannot start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from pydantic import ValidationError

from services.shared import logging
from services.shared.errors import Stage1Error
from services.shared.rpc.server import terminated
from services.shared.settings import PREFIX, Settings

S = TypeVar("S", bound=Settings)


def run(name: str, kind: type[S], serve: Callable[[S], Coroutine[Any, Any, None]]) -> None:
    try:
        settings = kind()
    except ValidationError as error:
        sys.exit(_sentences(error))
    except OSError as error:
        sys.exit(f"A secret's file cannot be read: {error.filename}: {error.strerror}.")
    logging.configure(process=name, format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(serve(settings))
    except Stage1Error as error:
        sys.exit(str(error))


def run_service(
    name: str, kind: type[S], running: Callable[[S], AbstractAsyncContextManager[object]]
) -> None:
    """Until SIGTERM or SIGINT; leaving `running` is the drain."""

    async def serve(settings: S) -> None:
        async with running(settings):
            await terminated()

    run(name, kind, serve)


def _sentences(error: ValidationError) -> str:
    said = []
    for problem in error.errors():
        name = "".join(f"{PREFIX}{part}".upper() for part in problem["loc"][:1])
        said.append(f"{name}: {problem['msg']}" if name else problem["msg"])
    return "\n".join(said)
