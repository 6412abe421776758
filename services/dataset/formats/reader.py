"""One file to one checked table: recognise, read, judge. The whole file or nothing.

The file is read block by block and its columns are put aside on disk; what only a whole column
can tell (is it text, what do its times mean) is gathered from the blocks and decided after them.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from services.dataset.formats import zone_names
from services.dataset.formats.aside import Aside
from services.dataset.formats.blocks import Cook
from services.dataset.formats.columnar import (
    ARROW_FILE,
    ARROW_STREAM,
    PARQUET,
    arrow_source,
    parquet_source,
)
from services.dataset.formats.columns import BARS, UNNAMED
from services.dataset.formats.content import Content, content_of
from services.dataset.formats.decimals import odd_columns
from services.dataset.formats.delimited import text_source
from services.dataset.formats.gathering import Gathered, TimesDiffer
from services.dataset.formats.instancing import put_instants
from services.dataset.formats.numbers import Judge
from services.dataset.formats.options import Format, Kind, Options, Parsed
from services.dataset.formats.ordered import in_order
from services.dataset.formats.raw import Source
from services.dataset.formats.refusal import FILE, FileAmbiguous, FileRefused, named, refused
from services.dataset.formats.timestamps import Clock, clock_of


def read(path: Path, kind: Kind, options: Options, *, aside: Path | None = None) -> Parsed:
    """The file as a table that keeps every rule of DOMAIN §2.

    `aside` is a folder with room for what the file holds, by default one of the system's; when
    this returns, nothing is left in it under a name. Raises FileRefused (its subclass
    FileAmbiguous when an option would help; the violation's field then ends in that option's
    name) and TooLarge for files beyond the limits.
    """
    try:
        with tempfile.TemporaryDirectory(dir=aside) as folder:
            return _parsed(content_of(path, options, Path(folder)), kind, options, Path(folder))
    except FileRefused as error:
        part = [
            replace(v, field=kind.value if v.field == FILE else f"{kind.value}.{v.field}")
            for v in error.violations
        ]
        kind_of = FileAmbiguous if isinstance(error, FileAmbiguous) else FileRefused
        raise kind_of(part) from error


def _parsed(content: Content, kind: Kind, options: Options, folder: Path) -> Parsed:
    source = _source(content, kind, options)
    if source.columns.market is None and options.market is not None:
        raise refused(f"is {options.market!r}, but the file has no market column", field="market")
    if not [ours for ours, _ in source.columns.values if ours != UNNAMED]:
        raise refused("has no columns besides the time")
    found = _gathered(source, kind, options, folder)
    clock = clock_of(
        found.look,
        found.stamp.alias(source.columns.timestamp),
        source.used,
        has_time=source.columns.time is not None,
        no_zone=source.no_zone or zone_names.foreign(source.columns.times),
    )
    times = Aside(folder / "times")
    rules = put_instants(clock, source.columns.timestamp, found.stamps, found.noun, times)
    rules.note(found.wrong.broken)
    rules.close()
    if kind is Kind.INDICATORS:
        found.edges.close()
    format_, why = source.label(dates_only_digits=clock.dates_only_digits)
    table = pa.table(
        [times.mapped()["timestamp_ms"], *found.values.columns],
        ["timestamp_ms", *found.values.column_names],
    )
    head, tail = found.edges.head, found.edges.tail
    return Parsed(
        table=table.slice(head, table.num_rows - head - tail),
        used=_used(source, clock, format_, found, content),
        notes=(*content.notes, why, *source.notes, *clock.notes, *_told(found, options)),
        null_counts=found.null_counts,
        trimmed_head=head,
        trimmed_tail=tail,
    )


def _source(content: Content, kind: Kind, options: Options) -> Source:
    """Parquet and Arrow are known by their first bytes; everything else must be text."""
    binary = {PARQUET: Format.PARQUET, ARROW_FILE: Format.ARROW, ARROW_STREAM: Format.ARROW}
    found = next((f for magic, f in binary.items() if content.data[: len(magic)] == magic), None)
    asked = options.format
    if asked is not Format.AUTO and asked is not found and (found or asked in binary.values()):
        raise refused(f"is {asked}, but the file is {found or 'text'}", field="format")
    if found is Format.PARQUET:
        return parquet_source(content, kind, options)
    if found is Format.ARROW:
        return arrow_source(content, kind, options)
    return text_source(content, kind, options)


def _gathered(source: Source, kind: Kind, options: Options, folder: Path) -> Gathered:
    """In a second pass when a column turns out not to be what its first rows look like."""
    prices = {name for ours, name in source.columns.values if kind is Kind.OHLCV and ours in BARS}
    kept = source.text_columns - prices
    judge = Judge(prices=prices, kept=kept, decimals=source.decimals)
    sample = source.sample
    odd = odd_columns(sample.frame.select([theirs for _, theirs in source.columns.values]))
    texts = judge.judged(sample.frame.select(odd), sample.places, frozenset()).seen.texts()
    times: frozenset[str] = frozenset()
    while True:
        words = texts | judge.kept | times
        cook = Cook(source=source, kind=kind, options=options, judge=judge, texts=words)
        found = Gathered(kind, Aside(folder / "stamps"), Aside(folder / "values"))
        try:
            for block in in_order(cook, source.pieces()):
                found.add(block, options.market)
        except TimesDiffer:
            times = frozenset(source.columns.times)
            continue
        found.unsplit.close()
        if found.seen.texts() == texts:
            break
        texts = found.seen.texts()
    _must_hold_rows(found, options)
    found.unread.close()
    return found


def _must_hold_rows(found: Gathered, options: Options) -> None:
    if found.markets and options.market is not None and options.market not in found.markets:
        held = named([*found.markets])
        raise refused(f"is {options.market!r}, but the file holds {held}", field="market")
    if not found.rows:
        raise refused("has a header, but no rows")


def _told(found: Gathered, options: Options) -> list[str]:
    notes = []
    if found.markets:
        market = options.market or next(iter(found.markets))
        notes.append(f"The market is {market!r} ({found.rows} rows).")
    if found.is_numbered:
        notes.append("The column without a name numbers the rows and was left out.")
    if found.kind is Kind.OHLCV and found.nulls["volume"] == found.rows:
        notes.append("There is no volume: it is null in every row.")
    texts = [field.name for field in found.values.schema if pa.types.is_string(field.type)]
    if texts:
        notes.append(f"Columns of text: {named(texts)}.")
    return notes


def _used(
    source: Source, clock: Clock, format_: Format, found: Gathered, content: Content
) -> Options:
    return replace(
        clock.used,
        format=format_,
        timestamp_column=source.columns.timestamp or None,
        columns=source.columns.renames,
        market=clock.used.market or next(iter(found.markets), None),
        member=content.member,
    )
