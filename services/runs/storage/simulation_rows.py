"""Rows of simulations and their buckets to domain values and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from services.runs.domain.simulations import (
    Bucket,
    Intrabar,
    Mode,
    Result,
    Settings,
    Simulation,
    Threshold,
)
from services.runs.storage.rows import Row, json, progression, progression_row


def simulation_row(simulation: Simulation) -> Row:
    metrics = simulation.result.metrics if simulation.result else None
    return {
        "simulation_id": simulation.simulation_id,
        "metrics": json(metrics),
        **progression_row(simulation.progression),
    }


def new_simulation_row(simulation: Simulation) -> Row:
    return {
        "run_id": simulation.run_id,
        "dataset_id": simulation.dataset_id,
        "dataset_slug": simulation.dataset_slug,
        "dataset_version": simulation.version,
        "settings": Jsonb(asdict(simulation.settings)),
        **simulation_row(simulation),
    }


def simulation(row: Row, buckets: Sequence[Row]) -> Simulation:
    has_result = row["metrics"] is not None
    return Simulation(
        simulation_id=row["simulation_id"],
        run_id=row["run_id"],
        dataset_id=row["dataset_id"],
        dataset_slug=row["dataset_slug"],
        version=row["dataset_version"],
        settings=_settings(row["settings"]),
        progression=progression(row),
        result=Result(metrics=row["metrics"], buckets=tuple(map(_bucket, buckets)))
        if has_result
        else None,
    )


def _settings(stored: Mapping[str, Any]) -> Settings:
    return Settings(
        **dict(stored)
        | {
            "mode": Mode(stored["mode"]),
            "threshold": Threshold(stored["threshold"]),
            "intrabar": Intrabar(stored["intrabar"]),
        }
    )


def bucket_row(simulation: Simulation, bucket: Bucket) -> Row:
    return vars(bucket) | {
        "simulation_id": simulation.simulation_id,
        "exit_reasons": Jsonb(dict(bucket.exit_reasons)),
    }


def _bucket(row: Row) -> Bucket:
    return Bucket(**{name: row[name] for name in Bucket.__dataclass_fields__})
