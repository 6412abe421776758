"""Forms as the first messages of uploads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter
from stage1.dataset.v1 import dataset_service_pb2 as pb
from stage1.dataset.v1 import import_pb2

from gateway.http.schemas.uploads import (
    AdoptedTables,
    AppendForm,
    ClaimedColumn,
    SniffForm,
    Target,
    VersionForm,
)
from gateway.http.uploading.claims import claimed, convention, expected, policy
from gateway.http.uploading.parts import Part, parsed

_TEXTS: Final = TypeAdapter(dict[str, str])
_TARGETS: Final = TypeAdapter(list[Target])


@dataclass(frozen=True, kw_only=True)
class Destination:
    """What becomes of an upload: a new dataset, or with an id a new version of one."""

    slug: str
    dataset_id: str = ""
    idempotency_key: str = ""


async def of_import(
    form: VersionForm, into: Destination, parts: Sequence[Part]
) -> import_pb2.ImportHeader:
    claims = await claimed(form.manifest)
    named: list[Target] = parsed(_TARGETS, "targets", form.targets or "[]")
    return import_pb2.ImportHeader(
        idempotency_key=into.idempotency_key,
        slug=into.slug or claims.dataset_slug or "",
        dataset_id=into.dataset_id,
        symbol=form.symbol or claims.symbol or "",
        granularity=form.granularity or claims.granularity or "",
        source=form.source or claims.source or "",
        parts=[part.options for part in parts],
        calendar=form.calendar or claims.calendar or "",
        gap_policy=policy(form.gap_policy or claims.gap_policy),
        timestamp_convention=convention(form.timestamp_convention or claims.timestamp_convention),
        metadata=parsed(_TEXTS, "metadata", form.metadata or "{}"),
        targets=_targets(named or claims.targets),
        expected=expected(claims, slug=into.slug),
    )


def of_adoption(asked: AdoptedTables, into: Destination) -> pb.AdoptTablesRequest:
    return pb.AdoptTablesRequest(
        header=import_pb2.ImportHeader(
            idempotency_key=into.idempotency_key,
            slug=into.slug,
            dataset_id=into.dataset_id,
            symbol=asked.symbol,
            granularity=asked.granularity,
            source=asked.source,
            calendar=asked.calendar,
            gap_policy=policy(asked.gap_policy or None),
            timestamp_convention=convention(asked.timestamp_convention or None),
            metadata=asked.metadata,
            targets=_targets(asked.targets),
        ),
        ohlcv_measurement=asked.ohlcv_measurement,
        indicator_measurement=asked.indicator_measurement,
    )


def of_append(
    form: AppendForm, dataset: str, key: str, parts: Sequence[Part]
) -> import_pb2.AppendHeader:
    return import_pb2.AppendHeader(
        idempotency_key=key,
        dataset=dataset,
        parts=[part.options for part in parts],
        gap_policy=policy(form.gap_policy or None),
        expected_version=form.expected_version or 0,
    )


def of_sniff(form: SniffForm, part: Part) -> import_pb2.SniffHeader:
    return import_pb2.SniffHeader(
        part=part.options,
        calendar=form.calendar,
        timestamp_convention=convention(form.timestamp_convention or None),
    )


def _targets(targets: Iterable[Target | ClaimedColumn]) -> list[import_pb2.Target]:
    return [import_pb2.Target(name=t.name, horizon_bars=t.horizon_bars) for t in targets]
