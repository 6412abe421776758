"""Valid files, damaged in every way that chance finds, and what may come of reading them."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from examples.formats.make_formats import contents
from services.dataset.formats import Format, Kind, Options, Parsed, read
from services.shared.errors import Stage1Error

Chance = random.Random
BINARY: Final = (".parquet", ".arrow", ".gz", ".zip")
GIVEN: Final[dict[str, dict[str, Any]]] = {
    "metatrader4.csv": {"zone": "Europe/Athens"},
    "metatrader5.txt": {"zone": "Europe/Athens"},
    "histdata.csv": {"zone": "Etc/GMT+5"},
    "kraken.zip": {"member": "kraken_ohlcvt/60.csv"},
}
FILES: Final = {name: content for name, content in contents().items() if "database" not in name}
_ODD: Final = (
    *(b",", b"\n", b"\r", b'"', b"\0", b"-", b".", b"e", b"9", b" ", b"\xff", b"inf", b"nan", b";"),
    *(b"\t", b"1e999", b"0x10", b"1_0", b"\xd9\xa3", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"=1+1"),
    *(b"99999999999999999999", b"\x1a", b"#N/A", b"''", b'""', b"\\", b"\xff\xff\xff\xff"),
)
_MOST_BYTES: Final = 1 << 24


def mutants(name: str, count: int, seed: int = 0) -> Iterator[bytes]:
    chance = Chance(f"{name} {seed}")
    content = FILES[name]
    ways = [_of_bytes, _of_bits] if name.endswith(BINARY) else [_of_bytes, _of_lines, _of_fields]
    for _ in range(count):
        mutant = content
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            mutant = chance.choice(ways)(mutant, chance) or content
        yield mutant


def _of_bytes(content: bytes, chance: Chance) -> bytes:
    at = chance.randrange(len(content))
    length = chance.choice([0, 1, 1, 2, 8, 60])
    piece = chance.choice(
        [b"", chance.choice(_ODD), chance.randbytes(length), content[at : at + length] * 2]
    )
    return content[:at] + piece + content[at + length :]


def _of_bits(content: bytes, chance: Chance) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice([1, 3, 20])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _of_lines(content: bytes, chance: Chance) -> bytes:
    lines = content.splitlines(keepends=True)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case 3:
            lines[one] = lines[one][: chance.randrange(len(lines[one]) + 1)]
        case _:
            lines = [line.rstrip(b"\r\n") + b"\r\n" for line in lines]
    return b"".join(lines)


def _of_fields(content: bytes, chance: Chance) -> bytes:
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    fields = re.split(rb"([,;\t ])", lines[at])
    one, other = (chance.randrange(0, len(fields), 2) for _ in range(2))
    match chance.randrange(3):
        case 0:
            fields[one], fields[other] = fields[other], fields[one]
        case 1:
            fields[one] = chance.choice([b"", b'"' + fields[one] + b'"', *_ODD])
        case _:
            fields[one] = fields[one].replace(b".", b",")
    return b"".join([*lines[:at], *fields, *lines[at + 1 :]])


def outcome(path: Path, name: str, content: bytes) -> str:
    """`read` or `refused`; raises for everything else, and for what was read wrong."""
    path.write_bytes(content)
    try:
        parsed = read(path, Kind.OHLCV, Options(max_bytes=_MOST_BYTES, **GIVEN.get(name, {})))
    except Stage1Error as error:
        return _refused(str(error))
    keeps_every_rule(parsed.table)
    if not name.endswith(BINARY):
        holds_what_the_text_says(parsed, content)
    return "read"


def _refused(message: str) -> str:
    assert re.fullmatch(r"\S.*\.", message, re.DOTALL), f"no sentence: {message}"
    return "refused"


def keeps_every_rule(table: pa.Table) -> None:
    table.validate(full=True)
    open_, high, low, close = (table[name].to_numpy() for name in ("open", "high", "low", "close"))
    assert (np.diff(table["timestamp_ms"].to_numpy()) > 0).all()
    assert (low > 0).all()
    assert np.isfinite(high).all()
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()


def holds_what_the_text_says(parsed: Parsed, content: bytes) -> None:
    """By a reader of our own that knows Python's `csv` and `float` and nothing else."""
    rows = _rows(content.decode("utf-8-sig"), parsed.used.separator or ",")
    names = _names(rows, parsed)
    if parsed.used.market is not None:
        return
    assert len(rows) == parsed.table.num_rows
    number = _comma_number if parsed.used.decimal == "," else float
    for name, place in names.items():
        said = [number(row[place]) for row in rows]
        assert said == parsed.table[name].to_pylist(), name


def _rows(text: str, separator: str) -> list[list[str]]:
    lines = re.split(r"\r*\n", text) if "\n" in text else text.split("\r")
    whole = [line for line in lines if any(ord(sign) > 32 for sign in line)]
    if separator == " ":
        return [line.split() for line in whole]
    split = csv.reader(whole, delimiter=separator)
    return [[field.strip() for field in row] for row in split]


_PLACES: Final = {
    Format.TSSB_MARKET: -5,
    Format.KRAKEN_OHLCVT: 1,
    Format.METATRADER: 2,
    Format.HISTDATA: 1,
    Format.BINANCE_KLINES: 1,
}


def _names(rows: list[list[str]], parsed: Parsed) -> dict[str, int]:
    """Where the prices stand; the header, if there is one, is taken away."""
    prices = ("open", "high", "low", "close")
    first = [name.lower().strip("<>") for name in rows[0]]
    if not re.match(r"[+-]?\d", next(filter(None, rows[0]))):
        del rows[0]
        return {name: first.index(name) for name in prices if name in first}
    begin = _PLACES[parsed.format]
    if begin < 0:
        begin = len([f for f in rows[0] if f]) + begin
    return {name: begin + place for place, name in enumerate(prices)}


def _comma_number(text: str) -> float:
    return float(text.replace(".", "").replace(",", "."))
