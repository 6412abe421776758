"""The allocator's settings that make Arrow streams fast; read by glibc at process start.

Megabyte-sized messages come and go thousands of times a second. By default glibc
gives each back to the kernel and faults it in again, which costs more than
copying them (docs/BENCHMARKS.md). The price is a larger resident set: so all threads
share one heap, as each would keep its own, and `give_back` makes that small again after
work that took much.
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

MALLOC_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    }
)


def give_back() -> None:
    """To the kernel, what is free.

    Every thread that allocates waits meanwhile, as all share one heap: 29 ms were seen for
    400 MiB. So call it seldom, after work that took much, and not in the event loop's thread.
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
