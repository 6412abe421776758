"""An uploaded form as the stream of ImportDataset; files lie on disk and move in pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final, Literal, TypeVar

from fastapi import Request, UploadFile
from pydantic import TypeAdapter, ValidationError
from stage1.dataset.v1 import dataset_pb2, import_pb2
from stage1.dataset.v1.dataset_service_pb2 import ImportDatasetRequest, PartBytes
from starlette.concurrency import iterate_in_threadpool

from gateway.http import gzip_files
from gateway.http.schemas.datasets import ClaimedManifest, ImportForm, Target
from gateway.http.shapes.words import number
from services.shared.errors import InvalidRequest, Violation

_MANIFEST_BYTES: Final = 1 << 20
_AUTO: Final = "auto"
_TEXTS: Final = TypeAdapter(dict[str, str])
_TARGETS: Final = TypeAdapter(list[Target])
_MANIFEST: Final = TypeAdapter(ClaimedManifest)

Parsed = TypeVar("Parsed")
TableName = Literal["ohlcv", "indicators"]


async def each_once(request: Request) -> None:
    """Of two parts of one name the form would keep the last, and say nothing."""
    named = Counter(name for name, _ in (await request.form()).multi_items())
    if twice := [name for name, count in named.items() if count > 1]:
        raise InvalidRequest([Violation(name, "is given more than once") for name in twice])


async def header(form: ImportForm, key: str) -> import_pb2.ImportHeader:
    claimed = await _claimed(form.manifest)
    targets = _parsed(_TARGETS, "targets", form.targets or "[]")
    return import_pb2.ImportHeader(
        idempotency_key=key,
        slug=form.slug or claimed.dataset_slug or "",
        dataset_id=form.dataset_id,
        symbol=form.symbol or claimed.symbol or "",
        granularity=form.granularity or claimed.granularity or "",
        source=form.source or claimed.source or "",
        parts=[_part(form, table, file) for table, file in _files(form)],
        calendar=form.calendar or claimed.calendar or "",
        gap_policy=_policy(form.gap_policy or claimed.gap_policy),
        timestamp_convention=_convention(form.timestamp_convention or claimed.timestamp_convention),
        metadata=_parsed(_TEXTS, "metadata", form.metadata or "{}"),
        targets=[
            import_pb2.Target(name=t.name, horizon_bars=t.horizon_bars)
            for t in targets or claimed.targets
        ],
        expected=_expected(claimed),
    )


async def messages(
    first: import_pb2.ImportHeader, form: ImportForm, max_bytes: int
) -> AsyncIterator[ImportDatasetRequest]:
    """The header, then every file, unpacked, in pieces."""
    yield ImportDatasetRequest(header=first)
    for part, (table, upload) in enumerate(_files(form)):
        pieces = gzip_files.pieces(upload.file, table, max_bytes)
        async for piece in iterate_in_threadpool(pieces):
            yield ImportDatasetRequest(bytes=PartBytes(part=part, data=piece))


def _files(form: ImportForm) -> list[tuple[TableName, UploadFile]]:
    bars: list[tuple[TableName, UploadFile]] = [("ohlcv", form.ohlcv)]
    return [*bars, ("indicators", form.indicators)] if form.indicators else bars


def _part(form: ImportForm, table: TableName, upload: UploadFile) -> import_pb2.ImportPart:
    def asked(option: str) -> str:
        return str(getattr(form, f"{table}_{option}"))

    def guessed(option: str) -> str | None:
        return None if asked(option) == _AUTO else asked(option)

    kind = import_pb2.ImportPart
    return import_pb2.ImportPart(
        table=number(dataset_pb2.Table, table, "TABLE_"),
        file_name=(upload.filename or "").removesuffix(".gz"),
        format=number(kind.Format, guessed("format"), "FORMAT_"),
        zone=asked("zone"),
        unit=number(kind.Unit, guessed("unit"), "UNIT_"),
        date_order=number(kind.DateOrder, guessed("date_order"), "DATE_ORDER_"),
        time_layout=number(kind.TimeLayout, guessed("time_layout"), "TIME_LAYOUT_"),
        separator=asked("separator"),
        timestamp_column=asked("timestamp_column"),
        rename=_parsed(_TEXTS, f"{table}_rename", asked("rename") or "{}"),
        market=asked("market"),
    )


def _parsed(adapter: TypeAdapter[Parsed], field: str, text: str | bytes) -> Parsed:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise InvalidRequest(
            [
                Violation(
                    ".".join([field, *map(str, problem["loc"])]), f"is wrong: {problem['msg']}"
                )
                for problem in error.errors()
            ]
        ) from error


async def _claimed(manifest: UploadFile | str | None) -> ClaimedManifest:
    if not manifest:
        return ClaimedManifest()
    text = manifest if isinstance(manifest, str) else await manifest.read(_MANIFEST_BYTES + 1)
    if len(text) > _MANIFEST_BYTES:
        raise InvalidRequest([Violation("manifest", f"has more than {_MANIFEST_BYTES} bytes")])
    return _parsed(_MANIFEST, "manifest", text)


def _expected(claimed: ClaimedManifest) -> dataset_pb2.Manifest:
    figures = claimed.model_dump(
        exclude={"columns", "gaps", "gap_policy", "timestamp_convention"}, exclude_none=True
    )
    return dataset_pb2.Manifest(
        **figures,
        columns=[
            dataset_pb2.Column(name=c.name, role=number(dataset_pb2.Column.Role, c.role, "ROLE_"))
            for c in claimed.columns
        ],
        gaps=[dataset_pb2.Gap(**gap.model_dump()) for gap in claimed.gaps],
        gap_policy=_policy(claimed.gap_policy),
        timestamp_convention=_convention(claimed.timestamp_convention),
    )


def _policy(word: str | None) -> dataset_pb2.GapPolicy.ValueType:
    found: dataset_pb2.GapPolicy.ValueType = number(dataset_pb2.GapPolicy, word, "GAP_POLICY_")
    return found


def _convention(word: str | None) -> dataset_pb2.TimestampConvention.ValueType:
    found: dataset_pb2.TimestampConvention.ValueType = number(
        dataset_pb2.TimestampConvention, word, "TIMESTAMP_CONVENTION_"
    )
    return found
