"""Where the rows of a version stand in time: bars on slots, indicator rows on bars.

Checks take times batch by batch, in the order of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from services.dataset.domain.calendars import Gap, calendar_for, gaps
from services.dataset.domain.findings import Finding, Places
from services.dataset.domain.manifest import Manifest
from services.dataset.domain.sessions import SessionSource, Slots
from services.dataset.domain.timeline import MAX_GAPS, TimestampConvention
from services.dataset.domain.times import Times, outside_years
from services.shared.errors import InvalidRequest


class SlotCheck:
    """Bars on the slots of their calendar, and the gaps between them."""

    def __init__(self, manifest: Manifest, sessions: SessionSource) -> None:
        self._manifest = manifest
        self._sessions = sessions
        self._last: Times = np.empty(0, np.int64)
        self._off_slot = Places()
        self._gaps: list[Gap] = []
        self._unknown: InvalidRequest | None = None

    def update(self, times: Times) -> None:
        """In order; each batch is counted together with the bar before it."""
        strange = outside_years(times)
        self._off_slot.add(times[strange])
        joined = np.concatenate((self._last, times[~strange]))
        known = len(self._last)
        self._last = joined[-1:]
        if len(joined) == known:
            return
        try:
            ordinals, on_slot = self._slots(joined)
        except InvalidRequest as error:
            self._unknown = error
            return
        self._off_slot.add(joined[known:][~on_slot[known:]])
        if len(self._gaps) <= MAX_GAPS:
            self._gaps += gaps(ordinals, joined)

    def _slots(self, times: Times) -> Slots:
        manifest = self._manifest
        interval_ms = manifest.bar_interval_ms
        calendar = calendar_for(manifest.calendar, times, interval_ms, self._sessions)
        # The slots of 24x7 are where the first bar has them, in every batch.
        calendar = replace(calendar, phase_ms=manifest.first_ohlcv_timestamp_ms % interval_ms)
        at_close = manifest.timestamp_convention is TimestampConvention.CLOSE
        return calendar.slots(times, interval_ms, at_close=at_close)

    def finish(self) -> Iterator[Finding]:
        table, calendar = self._manifest.ohlcv_measurement, self._manifest.calendar
        if self._unknown:
            yield Finding(reason="CALENDAR", message=str(self._unknown), subject=table)
        if self._off_slot:
            message = f"{self._off_slot.told('bars')} are on no slot of {calendar}."
            yield Finding(reason="OFF_SLOT", message=message, subject=table)
        recorded = self._manifest.gaps
        if not self._unknown and tuple(self._gaps) != recorded:
            pairs = zip(self._gaps, recorded, strict=False)
            same = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
            first = min(len(self._gaps), len(recorded)) if same is None else same
            message = (
                f"The bars leave {len(self._gaps)} gaps under {calendar}, and the manifest lists "
                f"{len(recorded)}; the first difference is gap {first}."
            )
            yield Finding(reason="GAPS", message=message, subject=table)


class AlignmentCheck:
    """Indicator row i stands at the time of bar i + lookback_rows, for every i."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._wrong = Places()

    def update(self, indicators: Times, bars: Times) -> None:
        self._wrong.add(indicators[indicators != bars])

    def finish(self) -> Iterator[Finding]:
        if self._wrong:
            lookback = self._manifest.lookback_rows
            message = (
                f"{self._wrong.told('indicator rows')} are not at the time of the bar "
                f"{lookback} rows on."
            )
            subject = self._manifest.indicator_measurement or ""
            yield Finding(reason="ALIGNMENT", message=message, subject=subject)
