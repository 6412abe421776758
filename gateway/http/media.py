"""A body of the wrong type is refused with 415 before anything reads it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response, params
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from gateway.http.errors import UnsupportedMedia

_FORM: Final = "multipart/form-data"
_JSON: Final = "application/json"


class OneMediaType(APIRoute):
    """A form takes multipart/form-data, any other body is JSON."""

    may_be_empty = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        is_form = isinstance(self.body_field.field_info, params.Form)
        wanted = _FORM if is_form else _JSON

        async def checked(request: Request) -> Response:
            if self.may_be_empty and _is_empty(request.headers):
                return await handle(_of_no_type(request))
            given = _media_type(request.headers)
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


class MayBeEmpty(OneMediaType):
    """A body is of one type, or not there."""

    may_be_empty = True


class JsonBeside(OneMediaType):
    """For a path whose other route, which comes after this one, takes a form."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and _media_type(Headers(scope=scope)) == _JSON:
            return super().matches(scope)
        return Match.NONE, {}


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _of_no_type(request: Request) -> Request:
    """A parser of forms would miss the parts of a body that is not there."""
    headers = [(name, value) for name, value in request.headers.raw if name != b"content-type"]
    return Request({**request.scope, "headers": headers}, request.receive)


def _is_empty(headers: Headers) -> bool:
    """Some clients state a type for the body that they do not send."""
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
