"""The REST API, as commands use it: answers as plain values, refusals as Failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click
import httpx
import orjson

from gateway.cli import refusals
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

DEFAULT_URL: Final = "http://127.0.0.1:7400"
Params = Mapping[str, Any]

_CODES: Final = {
    httpx.codes.NOT_FOUND: ExitCode.NOT_FOUND,
    httpx.codes.CONFLICT: ExitCode.CONFLICT,
    httpx.codes.TOO_MANY_REQUESTS: ExitCode.UNAVAILABLE,
    httpx.codes.SERVICE_UNAVAILABLE: ExitCode.UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT: ExitCode.UNAVAILABLE,
}
# Some answers come when a whole dataset was read or written; rows stream with pauses.
_TIMEOUT: Final = httpx.Timeout(60, connect=5)
_LONG_TIMEOUT: Final = httpx.Timeout(3600, connect=5)

url_option = click.option(
    "--url",
    envvar="STAGE1_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    help="Where Stage1 answers.",
)


class Api:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # Proxies are for other hosts: Stage1 is reached directly.
        self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def get(self, path: str, params: Params | None = None, *, is_long: bool = False) -> Any:
        return self._ask("GET", path, params=_given(params), timeout=_patience(is_long))

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, is_long: bool = False
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self._ask("POST", path, json=body, headers=headers, timeout=_patience(is_long))

    def patch(self, path: str, body: Any) -> Any:
        return self._ask("PATCH", path, json=body)

    def upload(self, path: str, fields: Params, files: Params, *, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self._ask(
            "POST", path, data=fields, files=files, headers=headers, timeout=_LONG_TIMEOUT
        )

    def delete(self, path: str, params: Params | None = None) -> None:
        self._ask("DELETE", path, params=_given(params))

    @contextmanager
    def streamed(
        self, path: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer, read as it comes."""
        with self._streaming("GET", path, params=_given(params), headers=headers) as response:
            yield response

    @contextmanager
    def reported(
        self, path: str, *, params: Params, data: Params, files: Params
    ) -> Iterator[httpx.Response]:
        """An upload that is answered with events."""
        form = {"data": data, "files": files} if files else {}
        with self._streaming(
            "POST",
            path,
            params=_given(params),
            headers={"accept": "text/event-stream"},
            timeout=_LONG_TIMEOUT,
            **form,
        ) as response:
            yield response

    @contextmanager
    def _streaming(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        with _reached(self.url), self._http.stream(method, path, **request) as response:
            if response.is_error:
                response.read()
                raise _refused(response)
            yield response

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        with _reached(self.url):
            response = self._http.request(method, path, **request)
        if response.is_error:
            raise _refused(response)
        return orjson.loads(response.content) if response.content else None


@contextmanager
def _reached(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Failure(f"{url!r} is no address of a Stage1: {error}.", ExitCode.USAGE) from error
    except httpx.ConnectError as error:
        raise Failure(
            f"Nothing answers at {url}: run `stage1 up` in another terminal, "
            "or name another address with --url or STAGE1_URL.",
            ExitCode.UNAVAILABLE,
        ) from error
    except httpx.TransportError as error:
        raise Failure(
            f"The connection to {url} was lost ({type(error).__name__}).", ExitCode.UNAVAILABLE
        ) from error


def _refused(response: httpx.Response) -> Failure:
    is_ours = response.headers.get("content-type", "").startswith("application/json")
    said = orjson.loads(response.content) if is_ours else None
    foreign = f"{response.url} answers {response.status_code}: it is no Stage1."
    fallback = ExitCode.REFUSED if response.is_client_error else ExitCode.INTERNAL
    return Failure(
        refusals.sentence(said) or foreign, _CODES.get(httpx.codes(response.status_code), fallback)
    )


def _patience(is_long: bool) -> httpx.Timeout:
    return _LONG_TIMEOUT if is_long else _TIMEOUT


def _given(params: Params | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}
