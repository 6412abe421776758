"""`stage1 simulate`: a run's predictions as trades."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli import output, watch
from gateway.cli.api import Api, url_option
from gateway.cli.exit_codes import table as exit_codes
from gateway.cli.named import run_path
from gateway.cli.numbers import FINITE
from gateway.cli.tables import simulations as drawing


@click.command(epilog=exit_codes())
@click.argument("run_name", metavar="RUN")
@click.option(
    "--mode",
    type=click.Choice(["long", "short", "dual"]),
    help="Sides that may be held [default: dual].",
)
@click.option(
    "--threshold",
    type=click.Choice(["percentile", "optimal", "zero", "own"]),
    help="Which of each fold's thresholds decide [default: percentile].",
)
@click.option("--long-threshold", type=FINITE, help="With --threshold own.")
@click.option("--short-threshold", type=FINITE, help="With --threshold own.")
@click.option(
    "--honor-signal-reversal/--no-honor-signal-reversal",
    default=None,
    help="An opposite signal closes, and opens the other side [default: yes].",
)
@click.option(
    "--exit-strength",
    type=FINITE,
    help="Close when the prediction is weaker than this part (0 to 1) of the entry's.",
)
@click.option("--stop-pct", type=FINITE, help="Stop, percent of the entry price.")
@click.option("--trailing-stop", is_flag=True, default=None, help="The stop follows the price.")
@click.option("--target-pct", type=FINITE, help="Target, percent of the entry price.")
@click.option("--max-holding-bars", type=int)
@click.option("--cooldown-bars", type=int, help="After a stop, in which nothing is entered.")
@click.option(
    "--intrabar",
    type=click.Choice(["stop_first", "target_first"]),
    help="When a bar touches both [default: stop_first].",
)
@click.option("--flat-between-folds", is_flag=True, default=None, help="Close at a fold's end.")
@click.option("--fee-bps", type=FINITE, help="Per side [default: 0].")
@click.option("--slippage-bps", type=FINITE, help="Per side, against the trade [default: 0].")
@click.option("--notional", type=FINITE, help="Money per position [default: 1000].")
@click.option(
    "--signals-when-learned-nothing",
    is_flag=True,
    default=None,
    help="Trade folds that learned nothing, too.",
)
@click.option("--detach", is_flag=True, help="Do not wait for the result.")
@click.option("--idempotency-key", help="The same request again gives the same simulation.")
@url_option
@output.option
def simulate(
    run_name: str,
    detach: bool,
    idempotency_key: str | None,
    url: str,
    show: output.Show,
    **settings: Any,
) -> None:
    """Simulate trading the predictions of RUN (a UUID or `latest`) on its bars.

    Signals are known at a bar's close and fill at the next open; buy & hold over
    the same bars stands beside. Costs are 0 unless given.
    """
    with Api(url) as api:
        run_id = run_path(api, run_name).rpartition("/")[2]
        given = {name: value for name, value in settings.items() if value is not None}
        body = {"run_id": run_id, "settings": given}
        created = api.post("/api/simulations", body, key=idempotency_key)
        if detach:
            show(created, drawing.shown)
            return
        simulation_id = created["simulation_id"]
        goes_on = f"The simulation goes on: `stage1 simulation show {simulation_id}` shows it."
        with output.told_when_interrupted(goes_on):
            ended = watch.until_ended(api, f"/api/simulations/{simulation_id}", device="")
    show(ended, drawing.shown)
    watch.completed("simulation", ended)
