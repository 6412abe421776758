"""Runs, their plans and their folds on a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli import output
from gateway.cli.output import Column, day, instant, number, percent, text
from gateway.cli.tables import Record, rest, warnings


def plan(found: Record) -> None:
    walk = found["walk_config"]
    output.facts(
        {
            "dataset": f"{found['dataset_slug']} version {found['version']}",
            "target": f"{found['target_column']}, {found['horizon_bars']} bars ahead",
            "features": len(found["feature_columns"]),
            "windows": f"train {walk.get('train_size')}, gap {walk.get('train_test_gap')}, "
            f"test {walk.get('test_size')}, step {walk.get('fold_step')}",
            "folds": found["fold_count"],
            "rows": f"{found['predicted_rows']:,} of {found['indicator_rows']:,} get a prediction",
            "estimated": f"{found['estimated_seconds']:.0f} s on one worker",
        }
    )
    warnings(found)


def planned_folds(found: Sequence[Record]) -> None:
    columns: list[Column] = [
        ("fold", "fold_number", text),
        ("train from", "train_start_idx", text),
        ("fit to", "fit_end_idx", text),
        ("validate from", "validation_start_idx", text),
        ("train to", "train_end_idx", text),
        ("test from", "test_start_idx", text),
        ("test to", "test_end_idx", text),
        ("test starts (UTC)", "test_start_ts_ms", instant),
    ]
    output.table(found, columns)


def listed(found: Record) -> None:
    columns: list[Column] = [
        ("run", "run_id", text),
        "status",
        ("folds", "progress", text),
        ("dataset", "dataset_slug", text),
        ("target", "target_column", text),
        ("PF dual", "pf_dual", number),
        ("created", "created_at", text),
        "name",
    ]
    output.table([{**run, **_of_run(run)} for run in found["runs"]], columns)
    rest(found)


def _of_run(run: Record) -> dict[str, Any]:
    return {
        "progress": f"{run['folds_completed']}/{run['fold_count']}",
        "pf_dual": run["summary_metrics"].get("pf_dual"),
        "created_at": run["created_at"][:16].replace("T", " "),
    }


def shown(found: Record) -> None:
    output.facts(
        {
            "run": found["run_id"],
            "name": found["name"],
            "status": found["status"],
            "error": found["error"],
            "dataset": f"{found['dataset_slug']} version {found['version']}, "
            f"content {found['content_hash'][:12]}…",
            "target": f"{found['target_column']}, {found['horizon_bars']} bars ahead",
            "features": len(found["feature_columns"]),
            "folds": f"{found['folds_completed']} of {found['fold_count']}, "
            f"{found['folds_learned_nothing']} learned nothing",
            "took": _took(found["duration_ms"]),
        }
    )
    warnings(found)


def _took(ms: int | None) -> str:
    return output.NOTHING if ms is None else f"{ms / 1000:.1f} s"


def folds(found: Sequence[Record]) -> None:
    """Of folds that are stored: windows, learning, and the test window's figures."""
    columns: list[Column] = [
        ("fold", "fold_number", text),
        ("test from", "test_start_ts_ms", day),
        ("trees", "trees", text),
        ("learned", "learned", text),
        ("IC", "ic", _short),
        ("signals", "signals", text),
        ("hits", "hit_rate", _share),
        ("PF", "profit_factor", _short),
        ("PF long", "always_long", _short),
        ("s", "seconds", _short),
    ]
    output.table([{**fold, **_of_fold(fold)} for fold in found if fold["stored"]], columns)
    output.line(
        "IC: rank correlation. hits, PF: hit rate and profit factor of the percentile signals of "
        "both sides.\nPF long: of being long on every row. s: seconds of training."
    )


def _short(value: float | None) -> str:
    return number(value, 3)


def _share(value: float | None) -> str:
    return output.NOTHING if value is None else f"{value:.0%}"


def _of_fold(fold: Record) -> dict[str, Any]:
    metrics = fold["metrics"]
    dual = metrics["signals"]["percentile"]["dual"]
    return {
        "trees": fold["best_iteration"] + 1,
        "learned": "nothing" if fold["learned_nothing"] else "yes",
        "ic": metrics["errors"]["spearman"],
        "signals": dual["n_signals"],
        "hit_rate": dual["hit_rate"],
        "profit_factor": profit_factor(dual),
        "always_long": profit_factor(metrics["always"]["long"]),
    }


def profit_factor(side: Record) -> float | None:
    return math.inf if side["profit_factor_is_infinite"] else side["profit_factor"]


def pooled(summaries: Mapping[str, Record]) -> None:
    """Out-of-sample figures of runs side by side; `summaries`: title → summary_metrics."""
    lines: dict[str, list[str]] = {}
    for summary in summaries.values():
        for name, value in _pooled(summary).items():
            lines.setdefault(name, []).append(value)
    titles = list(summaries)
    table_rows = [
        {"figure": name, **dict(zip(titles, values, strict=True))} for name, values in lines.items()
    ]
    output.table(table_rows, ["figure", *titles])


def _pooled(summary: Record) -> dict[str, str]:
    errors, means = summary["errors"], summary["errors_mean_over_folds"]
    figures = {
        "folds (without signals)": f"{summary['n_folds']} ({summary['n_folds_without_signals']})",
        "rows judged": text(summary["n_judged"]),
        "IC (Spearman), pooled": number(errors["spearman"]),
        "IC, mean over folds": number(means["spearman"]),
        "r2 against the fitted mean": number(errors["r2"]),
        "rmse": number(errors["rmse"]),
    }
    for kind, signals in summary["signals"].items():
        for side in ("long", "short", "dual"):
            figures[f"{kind} {side}: PF (hit rate, signals)"] = _side(signals[side])
    for side in ("long", "short"):
        figures[f"always {side}: PF (hit rate, rows)"] = _side(summary["always"][side])
    return figures


def _side(side: Record) -> str:
    return f"{number(profit_factor(side))} ({percent(side['hit_rate'])}, {side['n_signals']})"
