"""The file of a batch of imports, read with the line of everything that is wrong in it.

defaults:                       # options of every dataset; may be left out
  calendar: 24x7
datasets:
  - slug: btc_4h
    symbol: BTCUSD
    granularity: 4h
    ohlcv: bars/BTC4H.TXT       # from this file's folder
    ohlcv_sha256: 9f86d081…     # may be left out
    indicators: ind/BTC4H.TXT   # may be left out, and so its checksum
    options:
      ohlcv_format: tssb_market
      targets: [TGT_FWD6:6]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import yaml

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.uploads import PART_OPTIONS, as_json, target

TABLES: Final = ("ohlcv", "indicators")
_FILES: Final = tuple(name for table in TABLES for name in (table, f"{table}_sha256"))
_TEXTS: Final = ("symbol", "granularity", "source")
_ENTRY: Final = ("slug", *_TEXTS, *_FILES, "options")
_PLAIN_OPTIONS: Final = {
    *_TEXTS,
    *("calendar", "gap_policy", "timestamp_convention"),
    *(f"{table}_{name}" for table in TABLES for name in PART_OPTIONS),
}
_MAPPINGS: Final = {"metadata", *(f"{table}_rename" for table in TABLES)}
_NAMES: Final = {f"{table}_text_columns" for table in TABLES}
_OPTIONS: Final = _PLAIN_OPTIONS | _MAPPINGS | {"targets"}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A dataset that is to be made."""

    slug: str
    files: Mapping[str, Path]
    sha256: Mapping[str, str]
    """As the batch says; not of every file."""
    fields: Mapping[str, str]
    """Of the form."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def load(path: Path) -> list[Entry]:
    """Raises Failure that names the line and the key."""
    return list(_Reading(path).entries())


class _Reading:
    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[Entry]:
        top = self._mapping(self._document(), ("defaults", "datasets"))
        if "datasets" not in top:
            raise Failure(f"{self._path}: datasets is missing.", ExitCode.REFUSED)
        nodes = self._sequence(top["datasets"], "datasets")
        if not nodes:
            raise self._wrong(top["datasets"], "datasets is an empty list: nothing is to import")
        defaults = self._options(top["defaults"]) if "defaults" in top else {}
        seen: set[str] = set()
        for node in nodes:
            entry = self._entry(node, defaults)
            if entry.slug in seen:
                raise self._wrong(node, f"slug {entry.slug} is there twice")
            seen.add(entry.slug)
            yield entry

    def _document(self) -> yaml.Node:
        try:
            node = yaml.compose(self._path.read_text("utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = f", line {mark.line + 1}" if mark else ""
            raise Failure(f"{self._path}{line}: {error.problem}.", ExitCode.REFUSED) from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Failure(f"{self._path} cannot be read: {error}.", ExitCode.REFUSED) from error
        if node is None:
            raise Failure(f"{self._path} is empty: datasets is missing.", ExitCode.REFUSED)
        return node

    def _entry(self, node: yaml.Node, defaults: Mapping[str, Any]) -> Entry:
        found = self._mapping(node, _ENTRY)
        for name in ("slug", "ohlcv"):
            if name not in found:
                raise self._wrong(node, f"{name} is missing")
        own = self._options(found["options"]) if "options" in found else {}
        said: dict[str, Any] = {
            name: self._text(found[name], name) for name in _TEXTS if name in found
        }
        options: dict[str, Any] = {**defaults, **own, **said}
        metadata = options.pop("metadata", {})
        return Entry(
            slug=self._text(found["slug"], "slug"),
            files={t: self._file(found[t], t) for t in TABLES if t in found},
            sha256=dict(self._checksums(found)),
            fields={n: as_json(v) if isinstance(v, dict) else v for n, v in options.items()},
            metadata=metadata,
        )

    def _file(self, node: yaml.Node, key: str) -> Path:
        return self._path.parent / self._text(node, key)

    def _checksums(self, found: Mapping[str, yaml.Node]) -> Iterator[tuple[str, str]]:
        for table in TABLES:
            name = f"{table}_sha256"
            if name not in found:
                continue
            digest = self._text(found[name], name).lower()
            if table not in found:
                raise self._wrong(found[name], f"{name} is there, and {table} is not")
            if not _SHA256.fullmatch(digest):
                raise self._wrong(found[name], f"{name} is {digest!r}, which is no SHA-256")
            yield table, digest

    def _options(self, node: yaml.Node) -> dict[str, Any]:
        found = self._mapping(node, _OPTIONS)
        return {name: self._option(value, name) for name, value in found.items()}

    def _option(self, node: yaml.Node, name: str) -> str | dict[str, str]:
        if name in _MAPPINGS:
            return {key: self._text(value, name) for key, value in self._mapping(node).items()}
        if name in _NAMES:
            return as_json([self._text(one, name) for one in self._sequence(node, name)])
        if name == "targets":
            texts = [self._text(one, name) for one in self._sequence(node, name)]
            try:
                return as_json([target(text) for text in texts])
            except click.BadParameter as error:
                raise self._wrong(node, f"targets: {error.message.rstrip('.')}") from error
        return self._text(node, name)

    def _mapping(
        self, node: yaml.Node, known: tuple[str, ...] | set[str] | None = None
    ) -> dict[str, yaml.Node]:
        """By key, without those that have no value. Any key without `known`."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, "names with values are expected here")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key, "a name")
            if known is not None and name not in known:
                raise self._wrong(key, f"{name} is not known; there are {', '.join(sorted(known))}")
            if name in found:
                raise self._wrong(key, f"{name} is there twice")
            found[name] = value
        return {n: v for n, v in found.items() if not v.tag.endswith(":null")}

    def _sequence(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, f"{key} is a list")
        nodes: list[yaml.Node] = node.value
        return nodes

    def _text(self, node: yaml.Node, key: str) -> str:
        """As it is written: a checksum of digits is no number."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, f"{key} is one text")
        return str(node.value)

    def _wrong(self, node: yaml.Node, what: str) -> Failure:
        line = node.start_mark.line + 1
        return Failure(f"{self._path}, line {line}: {what}.", ExitCode.REFUSED)
