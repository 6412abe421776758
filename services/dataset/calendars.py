"""Trading hours of exchanges, from exchange-calendars.

The only module that speaks to that library, which brings pandas along: it is
loaded when an exchange is first asked for, since that takes some seconds and
some 60 MB that a service without exchanges never needs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from threading import Lock
from typing import Any, Final
from warnings import catch_warnings, simplefilter

import numpy as np

from services.dataset.domain.sessions import Sessions
from services.dataset.domain.times import Times, iso
from services.shared.errors import InvalidRequest, Violation

_EPOCH: Final = datetime(1970, 1, 1)
_NONE: Final = timedelta()
# A session can begin on the date before its own, and before a weekend or holiday.
_MARGINS: Final = tuple(product((timedelta(days=2), _NONE), (timedelta(days=4), _NONE)))
_library = Lock()  # its cache of calendars is not made for threads


def exchange_sessions(code: str, first_ms: int, last_ms: int) -> Sessions:
    """Every session that may hold times from first to last. Blocks, the first time for seconds.

    Raises InvalidRequest when the exchange's hours are not known for all of them.
    """
    first, last = _date(first_ms), _date(last_ms)
    with _library, catch_warnings():
        simplefilter("ignore", DeprecationWarning)  # it speaks to pandas as to an older one
        from exchange_calendars.errors import NoSessionsError

        # The years an exchange is known for may begin or end with the bars.
        for before, after in _MARGINS:
            try:
                return _sessions(_schedule(code, first - before, last + after))
            except NoSessionsError:
                return Sessions.none()
            except ValueError:
                continue
        raise InvalidRequest([Violation("calendar", _unknown_years(code, first_ms, last_ms))])


def _date(ms: int) -> datetime:
    return datetime.combine(_EPOCH + timedelta(milliseconds=ms), datetime.min.time())


def _schedule(code: str, start: datetime, end: datetime) -> Any:
    from exchange_calendars import get_calendar

    return get_calendar(code, start=start, end=end).schedule


def _sessions(schedule: Any) -> Sessions:
    """Lunch breaks part a session in two."""
    opens, closes = _ms(schedule["open"]), _ms(schedule["close"])
    has_break = schedule["break_start"].notna().to_numpy()
    breaks = schedule[has_break]
    return Sessions(
        starts=np.sort(np.concatenate((opens, _ms(breaks["break_end"])))),
        ends=np.sort(np.concatenate((closes, _ms(breaks["break_start"])))),
        dates=_ms(schedule.index),
    )


def _ms(stamps: Any) -> Times:
    times: Times = stamps.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return times


def _unknown_years(code: str, first_ms: int, last_ms: int) -> str:
    bars = f"the bars reach from {iso(first_ms)} to {iso(last_ms)}"
    return f"is {code}, whose trading hours are known {_known_years(code)}, and {bars}"


def _known_years(code: str) -> str:
    from exchange_calendars import get_calendar

    try:
        calendar = get_calendar(code)
    except ValueError:  # it cannot even be had for the last twenty years
        return "for fewer years than these"
    earliest, latest = calendar.bound_min(), calendar.bound_max()
    from_ = f"from {earliest:%Y-%m-%d}" if earliest else ""
    to = f"to {latest:%Y-%m-%d}" if latest else "on"
    return f"{from_} {to}".strip()
