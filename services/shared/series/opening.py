"""The series store that the settings name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.shared.series import SeriesStore
from services.shared.series.arrow_files import arrow_files
from services.shared.settings import SeriesSettings


def series_store(
    settings: SeriesSettings, folder: Path
) -> AbstractAsyncContextManager[SeriesStore]:
    """`folder` is for Arrow files."""
    return arrow_files(folder)
