"""Secrets of one data directory: made at random once, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

_BYTES: Final = 32


def password(folder: Path, name: str) -> str:
    """The same at every start."""
    file = folder / name
    if not file.exists():
        write(file, secrets.token_urlsafe(_BYTES))
    return file.read_text("utf-8")


def write(file: Path, text: str) -> None:
    """Whole or not at all."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    aside.replace(file)
