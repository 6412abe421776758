"""Uploaded forms as the streams that the dataset service takes."""
