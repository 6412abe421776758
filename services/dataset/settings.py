"""Settings of the dataset service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.shared.settings import PostgresSettings, SeriesSettings, ServerSettings


class DatasetSettings(ServerSettings, PostgresSettings, SeriesSettings):
    listen: str = "127.0.0.1:7401"
    data_dir: Path = Path(".stage1")
    """Holds `dataset/series` (bars and indicators) and `dataset/spool` (uploads under way)."""
    max_upload_bytes: int = Field(default=4 << 30, ge=1)
    """Of one import, and of each of its files once unpacked."""
    import_slots: int = Field(default=2, ge=1, le=64)
    """Imports parsed and loaded at once; each holds its tables in memory, others wait."""
    collect_seconds: float = Field(default=30, gt=0)
    """How often appends that were interrupted are finished, and tables nobody needs dropped."""
    import_places: int = Field(default=16, ge=1, le=1024)
    """Imports, appends, verifications and sniffs with files under way at once, those that upload
    or wait included: the spool holds at most so many uploads. One more is refused, to come
    again."""
