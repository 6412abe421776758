"""A batch of imports, one after the other; a bad one stops no other.

What was published from these very files is known by a key in the dataset's metadata, made of
their checksums and of how they are read: a second run passes over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from gateway.cli import output, progress
from gateway.cli.api import Api
from gateway.cli.batch_file import Entry
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.uploads import as_json, upload

KEY: Final = "reexport_key"
_PIECE_BYTES: Final = 1 << 20

Status = Literal["published", "skipped", "failed"]
Tell = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an entry."""

    slug: str
    status: Status
    error: str = ""
    dataset_id: str = ""
    version: int | None = None
    bars: int | None = None
    indicator_rows: int | None = None
    missing_slots: int | None = None
    warnings: int | None = None
    content_hash: str = ""


@dataclass(frozen=True)
class Checked:
    entry: Entry
    sha256: dict[str, str]

    @property
    def key(self) -> str:
        """Of content and reading, not of where the files lie."""
        entry = self.entry
        made_of = [entry.slug, sorted(entry.fields.items()), sorted(entry.metadata.items())]
        whole = as_json([*made_of, sorted(self.sha256.items())])
        return f"reexport-{hashlib.sha256(whole.encode()).hexdigest()}"


def run(api: Api, entries: Sequence[Entry]) -> Iterator[Outcome]:
    """Checksums of all first; then one outcome an entry, in their order."""
    for position, found in enumerate([*_checked(entries)], 1):
        if isinstance(found, Outcome):
            output.note(f"{position} of {len(entries)}: {found.slug} failed")
            yield found
        else:
            output.note(f"{position} of {len(entries)}: {found.entry.slug}")
            yield _outcome(api, found)


def _checked(entries: Sequence[Entry]) -> Iterator[Checked | Outcome]:
    with progress.bar() as bar:
        task = bar.add_task("Checking", total=_total_bytes(entries))
        for entry in entries:
            try:
                yield Checked(entry, _checksums(entry, lambda n: bar.advance(task, n)))
            except (Failure, OSError) as error:
                yield Outcome(slug=entry.slug, status="failed", error=_sentence(error))


def _total_bytes(entries: Sequence[Entry]) -> int:
    files = [path for entry in entries for path in entry.files.values()]
    return sum(path.stat().st_size for path in files if path.is_file())


def _sentence(error: Failure | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} cannot be read: {error.strerror}."
    return str(error)


def _checksums(entry: Entry, tell: Tell) -> dict[str, str]:
    found = {table: _sha256(path, tell) for table, path in entry.files.items()}
    for table, said in entry.sha256.items():
        if found[table] != said:
            sentence = f"{entry.files[table]} has the SHA-256 {found[table]}, and {said} is said."
            raise Failure(sentence, ExitCode.REFUSED)
    return found


def _sha256(path: Path, tell: Tell) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            tell(len(piece))
    return digest.hexdigest()


def _outcome(api: Api, checked: Checked) -> Outcome:
    try:
        return _skipped(api, checked) or _published(api, checked)
    except (Failure, OSError) as error:
        return Outcome(slug=checked.entry.slug, status="failed", error=_sentence(error))


def _skipped(api: Api, checked: Checked) -> Outcome | None:
    """None when there is no such dataset. Raises Failure when it was made of something else."""
    slug = checked.entry.slug
    try:
        found = api.get(f"/api/datasets/{slug}")
    except Failure as failure:
        if failure.code == ExitCode.NOT_FOUND:
            return None
        raise
    if found["metadata"].get(KEY) != checked.key:
        sentence = f"Dataset {slug} exists already, made of other files or read otherwise."
        raise Failure(sentence, ExitCode.CONFLICT)
    return _counted(found["manifest"], "skipped")


def _published(api: Api, checked: Checked) -> Outcome:
    entry = checked.entry
    fields = {
        "slug": entry.slug,
        **entry.fields,
        "metadata": as_json({**entry.metadata, KEY: checked.key}),
    }
    done = upload(api, "/api/datasets", fields, entry.files, key=checked.key)
    manifest = api.get(f"/api/datasets/{done['dataset_id']}/manifest")
    return replace(_counted(manifest, "published"), warnings=len(done["report"]["warnings"]))


def _counted(manifest: Any, status: Status) -> Outcome:
    return Outcome(
        slug=manifest["dataset_slug"],
        status=status,
        dataset_id=manifest["dataset_id"],
        version=manifest["version"],
        bars=manifest["ohlcv_rows"],
        indicator_rows=manifest["indicator_rows"],
        missing_slots=sum(gap["missing"] for gap in manifest["gaps"]),
        content_hash=manifest["content_hash"],
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """For `-o json` and for the report."""
    states = [one.status for one in outcomes]
    return {
        "datasets": [asdict(one) for one in outcomes],
        **{status: states.count(status) for status in ("published", "skipped", "failed")},
    }
