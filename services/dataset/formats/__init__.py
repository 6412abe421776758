"""The importers of the dataset service: a file of bars or indicators becomes a checked table."""

from services.dataset.formats.options import (
    DateOrder,
    Format,
    Kind,
    Options,
    Parsed,
    TimeLayout,
    Unit,
)
from services.dataset.formats.reader import read
from services.dataset.formats.refusal import FileAmbiguous, FileRefused
from services.dataset.formats.report import Description, describe

__all__ = [
    "DateOrder",
    "Description",
    "FileAmbiguous",
    "FileRefused",
    "Format",
    "Kind",
    "Options",
    "Parsed",
    "TimeLayout",
    "Unit",
    "describe",
    "read",
]
