"""What requests and answers share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Index = Annotated[int, Field(ge=0, lt=2**63, description="Row, from 0.")]
Milliseconds = Annotated[int, Field(ge=-(2**63), lt=2**63, description="UTC milliseconds.")]
ColumnName = Annotated[str, Field(max_length=65536)]
ColumnNames = Annotated[
    list[ColumnName],
    Field(description="Names: repeated, or separated by commas. One with commas stands alone."),
]
Version = Annotated[int, Field(ge=1, lt=2**31)]
Iso = Annotated[str, Field(description="ISO 8601, UTC.", examples=["2026-01-31T12:00:00.000Z"])]
Percent = Annotated[float, Field(description="In percent.")]


class Asked(BaseModel):
    """Of a request: what is not known is refused, so that a misspelt name does not go unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Page(Asked):
    limit: int = Field(default=50, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=100_000, description="Items to pass over first.")
    page_token: str = Field(
        default="", max_length=1024, description="`next_page_token` of the last page."
    )


class FieldError(Answer):
    field: str
    message: str


class ErrorDetails(Answer):
    reason: str = Field(description="UPPER_SNAKE, for programs.", examples=["NOT_FOUND"])
    fields: list[FieldError]
    request_id: str
    cause: str | None = Field(
        default=None, description="What the series store's server said, in its own words."
    )


class Error(Answer):
    """Every refusal."""

    error: str = Field(description="One sentence for people.")
    details: ErrorDetails
