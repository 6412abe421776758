from __future__ import annotations

from uuid import UUID

import pytest

from services.shared.uuids import uuid_of

TEXT = "0190a0b1-1111-7222-8333-44445555abcd"


def test_a_uuid_is_written_with_its_hyphens_in_either_case() -> None:
    assert uuid_of(TEXT) == uuid_of(TEXT.upper()) == UUID(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seven",
        TEXT.replace("-", ""),
        f"{{{TEXT}}}",
        f"urn:uuid:{TEXT}",
        f"{TEXT}\n",
        f" {TEXT}",
        TEXT.replace("-", "_"),
        TEXT.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        TEXT.replace("-1111-", "1111--"),
    ],
)
def test_what_python_takes_besides_is_none(text: str) -> None:
    assert uuid_of(text) is None
