"""The file of a batch: what it says, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.batch_file import load
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure

WHOLE = """\
defaults:
  calendar: 24x7
  source: the old desk
datasets:
  - slug: btc_4h
    symbol: BTCUSD
    granularity: 4h
    ohlcv: bars/BTC4H.TXT
    ohlcv_sha256: 1234567890123456789012345678901234567890123456789012345678901e55
    indicators: ind/BTC4H.TXT
    options:
      source: elsewhere
      ohlcv_format: tssb_market
      ohlcv_rename: {close: Adj Close}
      ohlcv_text_columns: [code, 007]
      metadata: {desk: no}
      targets: [TGT_A:6, TGT_B]
  - slug: eth_4h
    ohlcv: bars/ETH4H.TXT
    indicators:
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "batch.yaml"
    path.write_text(text, "utf-8")
    return path


def test_an_entry_is_what_is_said_of_it_and_else_the_defaults(tmp_path: Path) -> None:
    first, second = load(written(tmp_path, WHOLE))
    assert first.files == {
        "ohlcv": tmp_path / "bars" / "BTC4H.TXT",
        "indicators": tmp_path / "ind" / "BTC4H.TXT",
    }
    assert first.sha256 == {"ohlcv": "1234567890" * 6 + "1e55"}
    assert first.metadata == {"desk": "no"}
    assert first.fields == {
        "calendar": "24x7",
        "source": "elsewhere",
        "ohlcv_format": "tssb_market",
        "ohlcv_rename": '{"close":"Adj Close"}',
        "ohlcv_text_columns": '["code","007"]',
        "targets": '[{"name":"TGT_A","horizon_bars":6},{"name":"TGT_B"}]',
        "symbol": "BTCUSD",
        "granularity": "4h",
    }
    assert (second.slug, set(second.files), second.sha256) == ("eth_4h", {"ohlcv"}, {})
    assert second.fields == {"calendar": "24x7", "source": "the old desk"}


ENTRY = "datasets:\n  - slug: a\n    ohlcv: a.csv\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: datasets is missing"),
        ("defaults: {}", "datasets is missing"),
        ("defaults: {}\ndatasets: []", "line 2: datasets is an empty list"),
        ("datasets:", "datasets is missing"),
        ("datasets: 7", "line 1: datasets is a list"),
        ("- a", "line 1: names with values are expected"),
        ("datasets:\n  - slug: a", "line 2: ohlcv is missing"),
        ("datasets:\n  - ohlcv: a", "line 2: slug is missing"),
        (ENTRY + "    colour: red", "line 4: colour is not known"),
        (ENTRY + "    slug: b", "line 4: slug is there twice"),
        (ENTRY + "    symbol: [a]", "line 4: symbol is one text"),
        (ENTRY + "    options: {colour: red}", "line 4: colour is not known"),
        (ENTRY + "    options:\n      targets: TGT", "line 5: targets is a list"),
        (ENTRY + "    options:\n      targets: ['TGT:x']", "line 5: targets: 'TGT:x'"),
        (ENTRY + "    ohlcv_sha256: abc", "line 4: ohlcv_sha256 is 'abc', which is no SHA-256"),
        (ENTRY + f"    indicators_sha256: {'a' * 64}", "line 4: indicators_sha256 is there, and"),
        (ENTRY + "  - slug: a\n    ohlcv: b", "line 4: slug a is there twice"),
        ("datasets: [", "line 1"),
        ("datasets:\n\t- slug: a", "line 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        load(written(tmp_path, text))
    assert said in str(caught.value)
    assert caught.value.code == ExitCode.REFUSED


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match="cannot be read"):
        load(path)
