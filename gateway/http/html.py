"""Pages made of escaped text, with a style that the browser is told by its hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from starlette.responses import HTMLResponse, Response

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d9dee5;
  vertical-align: top; }
th { color: #5a6675; font-weight: 500; } a { color: #0b5cad; }
code { font: 13px/1.5 ui-monospace, monospace; }
.good { color: #14733b; } .bad { color: #b3261e; } .faint { color: #5a6675; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe5ec; background: #14181d; } a { color: #7fb8f5; }
  th, td { border-color: #2d353f; } th, .faint { color: #98a4b3; }
  .good { color: #6fce96; } .bad { color: #ff8a80; }
}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def page(title: str, body: str) -> Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return HTMLResponse(text, headers={"content-security-policy": _POLICY})


class Html(str):
    """Markup of ours; any other text is escaped."""


def link(path: str, text: str) -> Html:
    return Html(f'<a href="{escape(path)}">{escape(text)}</a>')


def marked(text: str, css_class: str) -> Html:
    return Html(f'<span class="{escape(css_class)}">{escape(text)}</span>')


def code(text: str) -> Html:
    return Html(f"<code>{escape(text)}</code>")


def shown(value: object) -> str:
    if isinstance(value, Html):
        return value
    return escape(str(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{shown(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def paragraph(*parts: object) -> Html:
    return Html(f"<p>{''.join(shown(part) for part in parts)}</p>")


def heading(text: str) -> Html:
    return Html(f"<h2>{escape(text)}</h2>")
