"""What was verified, and what was found."""

from __future__ import annotations

from pydantic import Field

from gateway.http.schemas.common import Answer, Asked, Version


class Finding(Answer):
    """One thing that is not as it should be."""

    reason: str = Field(description="UPPER_SNAKE, for programs.", examples=["MISSING_TABLE"])
    message: str
    subject: str = Field(description="The table, slug or column it is about.")


class VerifyReport(Answer):
    is_sound: bool
    findings: list[Finding]
    rows: int = Field(description="Read back, of both tables.")
    content_hash: str
    compared_rows: int = Field(description="Compared with the files.")


class VerifyQuery(Asked):
    version: Version | None = Field(default=None, description="Newest without.")
    sample_rows: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="Rows compared with the files, spread evenly; 0 for all.",
    )
    partial: bool = Field(
        default=False,
        description="The files cover a part of the version: rows before their first and after "
        "their last are not missed.",
    )


class StoreCheck(Answer):
    is_sound: bool
    findings: list[Finding]
    datasets: int
    versions: int
    tables: int
