from __future__ import annotations

import base64
import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.http import html
from gateway.http.app import create_app
from gateway.http.reference import reference
from gateway.http.settings import GatewaySettings


@given(st.text())
def test_text_from_elsewhere_never_becomes_markup(text: str) -> None:
    cell = html.table(["a"], [[text]]).partition("<td>")[2].rpartition("</td>")[0]
    assert not set(cell) & {"<", ">", '"'}


def test_the_browser_is_told_the_hash_of_the_style_and_nothing_else_may_load() -> None:
    answer = html.page("t", "")
    style = re.search(rb"<style>(.*)</style>", bytes(answer.body), re.DOTALL)
    assert style is not None
    named = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{named}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_of_the_api_names_every_path() -> None:
    document = create_app(GatewaySettings()).openapi()
    page = reference(document)
    assert all(f" {path}" in page for path in document["paths"])
    assert "ohlcv_timestamp_column" in page
    assert "walk_config.train_size" in page
    assert not re.search(r"(src|href)=.(https?:)?//", page)
