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
    if settings.series == "arrow":
        return arrow_files(folder)
    from services.shared.series.questdb import questdb_store  # pandas takes 0.5 s to load

    password = settings.questdb_password
    return questdb_store(
        settings.questdb_url,
        settings.questdb_user,
        password.get_secret_value() if password else "",
    )
