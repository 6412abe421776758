"""The places where a fault may strike a publication: between any two of its effects.

Tests kill the process, or make it fail or wait, at each of them (services.shared.failpoints).
"""

from __future__ import annotations

from typing import Final

FAILPOINTS: Final = (
    # An import or adoption: its row is there; all bytes; its version and tables have names.
    "import.received",
    "import.spooled",
    "import.reserved",
    # The last table is made, is written, can be read; all are equal to the files.
    "import.created",
    "import.written",
    "import.settled",
    "import.verified",
    # All statements of the publishing transaction are done, and then its COMMIT.
    "import.publishing",
    "import.published",
    "import.cleaned",
    # An append up to its intent: nothing that a reader can reach has changed.
    "append.received",
    "append.spooled",
    "append.reserved",
    "append.created",
    "append.written",
    "append.settled",
    "append.verified",
    "append.intending",
    # From here on there is only forward.
    "append.intended",
    "append.merged",
    "append.merge_settled",
    "append.reread",
    "append.publishing",
    "append.published",
    "append.dropped",
    "append.cleaned",
)
