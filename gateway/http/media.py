"""A body of the wrong type is refused with 415 before anything reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response, params
from fastapi.routing import APIRoute

from gateway.http.errors import UnsupportedMedia


class OneMediaType(APIRoute):
    """A form takes multipart/form-data, any other body is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        is_form = isinstance(self.body_field.field_info, params.Form)
        wanted = "multipart/form-data" if is_form else "application/json"

        async def checked(request: Request) -> Response:
            given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if given != wanted:
                raise UnsupportedMedia(
                    f"The body is {given or 'of no stated type'}; this path takes {wanted}."
                )
            if packing := request.headers.get("content-encoding"):
                raise UnsupportedMedia(
                    f"The body is packed ({packing}); pack the files in it instead."
                )
            return await handle(request)

        return checked
