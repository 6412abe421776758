"""The allocator's settings that make Arrow streams fast; read by glibc at process start.

Megabyte-sized messages come and go thousands of times a second. By default glibc
gives each back to the kernel and faults it in again, which costs more than
copying them (docs/BENCHMARKS.md). The price is a larger resident set.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MALLOC_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
)
