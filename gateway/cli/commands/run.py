"""`stage1 run …`: walk-forward runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli import download, output, watch
from gateway.cli.api import Api, url_option
from gateway.cli.asking import confirm_removal
from gateway.cli.download import Form
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.named import run_path
from gateway.cli.numbers import FINITE
from gateway.cli.tables import runs as drawing
from gateway.cli.uploads import pair

_SIZES: Final = {
    "train_size": "Rows in the training window [default: 10000].",
    "test_size": "Rows in the test window [default: 200].",
    "train_test_gap": "Rows left out before test and validation; at least the horizon "
    "[default: 9].",
    "fold_step": "Rows from one fold's start to the next [default: 200].",
    "initial_offset": "First row used [default: 0].",
    "start_fold": "First fold run [default: 0].",
    "end_fold": "First fold not run [default: all].",
}
_SIGNAL_RULES: Final = (
    "own_long_threshold",
    "own_short_threshold",
    "signals_when_learned_nothing",
)
_Command = Callable[..., None]


def spec_options(command: _Command) -> _Command:
    """What is to be computed; `spec` makes the request of it."""
    options = [
        click.argument("dataset"),
        click.option("--version", type=click.IntRange(min=1), help="Newest without."),
        click.option("--target", "target_column", help="Needed when there are several."),
        click.option(
            "--feature", "feature_columns", multiple=True, help="Repeatable; all without."
        ),
        click.option(
            "--horizon",
            "horizon_bars",
            type=click.IntRange(min=1),
            help="Bars the target looks ahead; the column's own without.",
        ),
        *(
            click.option(f"--{name.replace('_', '-')}", type=int, help=text)
            for name, text in _SIZES.items()
        ),
        click.option(
            "--strict", is_flag=True, default=None, help="Warnings of the plan become errors."
        ),
        click.option(
            "-P",
            "parameters",
            multiple=True,
            metavar="NAME=VALUE",
            help="Of the learner; repeatable. num_boost_round, early_stopping_rounds, "
            "min_boost_rounds, val_split_ratio, seed, target_transform (none, "
            "standardize, tanh), tanh_k, or any parameter of XGBoost, as "
            "learning_rate=0.05.",
        ),
        click.option(
            "--device", type=click.Choice(["cpu", "cuda"]), help="What the trainer has without."
        ),
        click.option(
            "--own-long-threshold", type=FINITE, help="Judged beside the thresholds of the folds."
        ),
        click.option("--own-short-threshold", type=FINITE),
        click.option(
            "--signals-when-learned-nothing",
            is_flag=True,
            default=None,
            help="Folds that learned nothing give signals all the same.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def spec(given: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /api/runs/plan from the options above."""
    body = {
        **_given(given, "dataset", "version", "target_column", "horizon_bars", "device"),
        "feature_columns": list(given["feature_columns"]),
        "walk_config": _given(given, *_SIZES, "strict"),
        "hyperparameters": dict(pair(text, "-P") for text in given["parameters"]),
        "signal_rules": _given(given, *_SIGNAL_RULES),
    }
    return {name: value for name, value in body.items() if value}


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


@click.group(epilog=exit_codes())
def run() -> None:
    """Walk-forward runs. DATASET is a slug or UUID; RUN is a UUID or `latest`."""


@run.command(epilog=exit_codes())
@spec_options
@url_option
@output.option
def plan(url: str, show: output.Show, **given: Any) -> None:
    """What a run would do: folds, warnings, cost. Nothing is stored."""
    with Api(url) as api:
        found = api.post("/api/runs/plan", spec(given))
    show(found, drawing.plan, lambda p: drawing.planned_folds(p["folds"]))


@run.command(epilog=exit_codes())
@spec_options
@click.option("--name", help="For people.")
@click.option("--watch", "watched", is_flag=True, help="Stay until it ends.")
@click.option("--idempotency-key", help="The same request again gives the same run.")
@url_option
@output.option
def submit(
    name: str | None,
    watched: bool,
    idempotency_key: str | None,
    url: str,
    show: output.Show,
    **given: Any,
) -> None:
    """Queue a run."""
    body = spec(given) | ({"name": name} if name else {})
    with Api(url) as api:
        created = api.post("/api/runs", body, key=idempotency_key)
        if watched:
            output.note(f"Run {created['run_id']}")
            device = given["device"] or ""
            _show_ended(api, f"/api/runs/{created['run_id']}", show, device=device)
        else:
            hint = f"`stage1 run watch {created['run_id']}` follows it."
            show(created, drawing.shown, lambda _: output.note(hint))


@run.command("watch", epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@url_option
@output.option
def watch_(run_name: str, url: str, show: output.Show) -> None:
    """Follow a run until it ends, over lost connections. Ctrl-C leaves it running."""
    with Api(url) as api:
        _show_ended(api, run_path(api, run_name), show)


def _show_ended(api: Api, path: str, show: output.Show, *, device: str | None = None) -> None:
    run_id = path.rpartition("/")[2]
    goes_on = (
        f"The run goes on: `stage1 run watch {run_id}` follows it, "
        f"`stage1 run cancel {run_id}` ends it."
    )
    with output.told_when_interrupted(goes_on):
        ended = watch.until_ended(api, path, device=device)
    show(ended, *_EVERYTHING)
    watch.completed("run", ended)


def _pooled(found: Any) -> None:
    if found["summary_metrics"]:
        drawing.pooled({"out of sample, all folds": found["summary_metrics"]})


_EVERYTHING: Final = (
    lambda found: drawing.folds(found["folds"]),
    drawing.shown,
    _pooled,
)


@run.command(epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@url_option
@output.option
def cancel(run_name: str, url: str, show: output.Show) -> None:
    """End a run; folds that are stored stay."""
    with Api(url) as api:
        found = api.post(f"{run_path(api, run_name)}/cancel")
    show(found, lambda r: output.line(f"Run {r['run_id']} is {r['status']}."))


@run.command("list", epilog=exit_codes())
@click.option("--slug", help="Of the dataset.")
@click.option("--dataset-id", help="UUID or slug.")
@click.option(
    "--status",
    type=click.Choice(
        ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"], case_sensitive=False
    ),
)
@click.option("--target")
@click.option("--text", help="Part of name or slug.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@url_option
@output.option
def list_(url: str, show: output.Show, **filters: Any) -> None:
    """Runs, newest first."""
    with Api(url) as api:
        show(api.get("/api/runs", filters), drawing.listed)


@run.command("show", epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@url_option
@output.option
def show_(run_name: str, url: str, show: output.Show) -> None:
    """A run with its folds and figures."""
    with Api(url) as api:
        show(api.get(run_path(api, run_name)), *_EVERYTHING)


@run.command(epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@url_option
@output.option
def delete(run_name: str, yes: bool, url: str, show: output.Show) -> None:
    """Remove a run that has ended, with its predictions and simulations."""
    with Api(url) as api:
        path = run_path(api, run_name)
        run_id = path.rpartition("/")[2]
        if not yes:
            question = f"Remove run {run_id} with its predictions and simulations?"
            confirm_removal(api, path, question)
        api.delete(path)
    show({"deleted": run_id}, lambda _: output.line(f"Run {run_id} is gone."))


@run.command(epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@click.option(
    "--fold", "folds", multiple=True, type=click.IntRange(min=0), help="Repeatable; all without."
)
@click.option("--start-ts-ms", type=int, help="UTC milliseconds.")
@click.option("--end-ts-ms", type=int, help="UTC milliseconds, exclusive.")
@click.option("--columns", help="Names, separated by commas.")
@download.options
@url_option
def predictions(
    run_name: str,
    folds: Sequence[int],
    form: Form | None,
    into: Path | None,
    url: str,
    **ranges: Any,
) -> None:
    """Predictions of the stored folds, by fold, then time."""
    chosen = ",".join(map(str, folds)) or None
    with Api(url) as api:
        path = f"{run_path(api, run_name)}/predictions"
        download.rows(api, path, form=form, into=into, params={"folds": chosen, **ranges})
