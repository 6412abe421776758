"""Valid files, damaged in every way that chance finds, and what may come of reading them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from examples.formats.make_formats import contents
from services.dataset.formats import Kind, Options, read
from services.shared.errors import Stage1Error
from tests.unit.dataset_formats.oracle import holds_what_the_text_says

Chance = random.Random
BINARY: Final = (".parquet", ".arrow", ".gz", ".zip")
GIVEN: Final[dict[str, dict[str, Any]]] = {
    "metatrader4.csv": {"zone": "Europe/Athens"},
    "metatrader5.txt": {"zone": "Europe/Athens"},
    "histdata.csv": {"zone": "Etc/GMT+5"},
    "kraken.zip": {"member": "kraken_ohlcvt/60.csv"},
}
FILES: Final = contents()
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
    kind = Kind.INDICATORS if "database" in name else Kind.OHLCV
    try:
        parsed = read(path, kind, Options(max_bytes=_MOST_BYTES, **GIVEN.get(name, {})))
    except Stage1Error as error:
        return _refused(str(error))
    keeps_every_rule(parsed.table)
    if kind is Kind.OHLCV:
        keeps_the_rules_of_bars(parsed.table)
    if not name.endswith(BINARY):
        holds_what_the_text_says(name, parsed, content)
    return "read"


def _refused(message: str) -> str:
    assert re.fullmatch(r"\S.*\.", message, re.DOTALL), f"no sentence: {message}"
    return "refused"


def keeps_every_rule(table: pa.Table) -> None:
    table.validate(full=True)
    assert (np.diff(table["timestamp_ms"].to_numpy()) > 0).all()
    for column in table.itercolumns():
        if pa.types.is_floating(column.type):
            assert np.isfinite(column.drop_null().to_numpy()).all()


def keeps_the_rules_of_bars(table: pa.Table) -> None:
    open_, high, low, close = (table[name].to_numpy() for name in ("open", "high", "low", "close"))
    assert (low > 0).all()
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()
