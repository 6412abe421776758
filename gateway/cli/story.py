"""What the demo does with a running Stage1, and what it says. It prints what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.cli import output, tables, watch
from gateway.cli.api import Api
from gateway.cli.output import number
from gateway.cli.tables import datasets, runs, simulations
from gateway.cli.uploads import upload

SLUG: Final = "eurusd_1h_2017"
REAL: Final = "TGT_FWD6"
PLANTED: Final = "TGT_PLANTED"
HORIZON_BARS: Final = 6
WALK: Final = {"train_size": 1500, "test_size": 100, "train_test_gap": 9, "fold_step": 100}
SPREAD_SIDE_BPS: Final = 0.5
"""Half of a spread of about one pip (0.0001 of 1.13)."""

Found = Mapping[str, Any]


class Story:
    def __init__(self, api: Api, examples: Path, show: output.Show) -> None:
        self._api = api
        self._examples = examples
        self._drawing = show is output.drawn

    def tell(self) -> dict[str, Any]:
        """Everything that came out, for `-o json`."""
        dataset = self._import()
        plan = self._plan()
        real = self._train(REAL)
        simulated = self._simulate(real["run_id"])
        planted = self._compare(real)
        self._addresses(dataset, real, simulated)
        return {
            "dataset": dataset,
            "plan": {**plan, "folds": len(plan["folds"])},
            "run": real,
            "simulation": simulated,
            "planted_run": planted,
        }

    def _say(self, title: str, text: str) -> None:
        if self._drawing:
            output.heading(title)
            output.line(text)

    def _draw(self, draw: Callable[[Any], None], value: Any) -> None:
        if self._drawing:
            draw(value)

    def _import(self) -> Any:
        self._say(
            "Import",
            "EURUSD, hourly bars of 2017 (examples/README.md has their origin and licence), and "
            "22 indicators with 2 targets.\nPrices are ASK: what a buyer pays. A seller gets the "
            "bid, which the file does not have.",
        )
        fields = {
            "slug": SLUG,
            "symbol": "EURUSD",
            "granularity": "1h",
            "source": "gym-anytrading 2.0.0, FOREX_EURUSD_1H_ASK.csv",
            "calendar": "24x5_fx",
            "gap_policy": "mark",
            "targets": f'[{{"name": "{REAL}", "horizon_bars": {HORIZON_BARS}}},'
            f'{{"name": "{PLANTED}", "horizon_bars": {HORIZON_BARS}}}]',
        }
        files = {
            "ohlcv": self._examples / "eurusd_1h_2017_ask.csv",
            "indicators": self._examples / "eurusd_1h_2017_indicators.txt",
        }
        done = upload(self._api, "/api/datasets", fields, files)
        self._draw(datasets.report, done["report"])
        manifest = self._api.get(f"/api/datasets/{SLUG}/manifest")
        self._draw(datasets.manifest, manifest)
        return manifest

    def _plan(self) -> Any:
        self._say("Plan", "Nothing is stored yet; `stage1 run plan` lists every fold.")
        plan = self._api.post("/api/runs/plan", _spec(REAL))
        self._draw(runs.plan, plan)
        ends = [plan["folds"][0], plan["folds"][-1]]
        self._draw(runs.planned_folds, ends)
        return plan

    def _train(self, target: str) -> Any:
        self._say(f"Train on {target}", "Walk-forward XGBoost; every test row is out of sample.")
        ended = self._run(target)
        self._draw(lambda run: runs.folds(run["folds"]), ended)
        self._draw(runs.shown, ended)
        return ended

    def _run(self, target: str) -> Any:
        created = self._api.post("/api/runs", _spec(target) | {"name": f"demo {target}"})
        ended = watch.until_ended(self._api, f"/api/runs/{created['run_id']}", device="")
        watch.completed("run", ended)
        return ended

    def _simulate(self, run_id: str) -> Any:
        self._say(
            "Simulate",
            "Long and short by each fold's percentile thresholds, market orders at the next open, "
            "1000 per position.\nNo costs are taken in this table, not even the spread.",
        )
        free = self._simulation(run_id, {})
        self._draw(simulations.performance, free)
        self._draw(tables.warnings, free)
        costly = self._simulation(run_id, {"slippage_bps": SPREAD_SIDE_BPS})
        after = costly["performance"]["total_return_pct"]
        self._say(
            "And with a spread",
            f"At {SPREAD_SIDE_BPS} bps slippage per side, a spread of about one pip, the total "
            f"return is {after:.2f} % instead of {free['performance']['total_return_pct']:.2f} %; "
            f"buy & hold has {costly['buy_hold']['total_return_pct']:.2f} %.",
        )
        return {"without_costs": free, "with_spread": costly}

    def _simulation(self, run_id: str, costs: Found) -> Any:
        settings = {"mode": "dual", "threshold": "percentile", **costs}
        created = self._api.post("/api/simulations", {"run_id": run_id, "settings": settings})
        ended = watch.until_ended(
            self._api, f"/api/simulations/{created['simulation_id']}", device=""
        )
        watch.completed("simulation", ended)
        return ended

    def _compare(self, real: Found) -> Any:
        self._say(
            f"Control: train on {PLANTED}",
            f"{PLANTED} is {REAL} plus 0.2 standard deviations of an indicator: whoever looks must "
            "find something.\nIt is not simulated, since the bars do not contain what was planted: "
            "only the target does.",
        )
        planted = self._run(PLANTED)
        shown = {REAL: real["summary_metrics"], PLANTED: planted["summary_metrics"]}
        self._draw(runs.pooled, shown)
        self._draw(_verdict, {REAL: real, PLANTED: planted})
        return planted

    def _addresses(self, dataset: Found, real: Found, simulated: Found) -> None:
        self._say("Addresses", "The same figures by REST, while this Stage1 runs:")
        simulation = simulated["without_costs"]["simulation_id"]
        paths = [
            f"/api/datasets/{dataset['dataset_slug']}/manifest",
            f"/api/datasets/{dataset['dataset_slug']}/ohlcv?limit=5",
            f"/api/runs/{real['run_id']}",
            f"/api/runs/{real['run_id']}/predictions",
            f"/api/simulations/{simulation}",
            f"/api/simulations/{simulation}/trades",
            "/docs",
        ]
        self._draw(lambda _: output.line("\n".join(self._api.url + path for path in paths)), None)


def _spec(target: str) -> dict[str, Any]:
    return {"dataset": SLUG, "target_column": target, "walk_config": WALK}


def _verdict(found: Mapping[str, Found]) -> None:
    for target, run in found.items():
        summary = run["summary_metrics"]
        dual = summary["signals"]["percentile"]["dual"]
        always = summary["always"]["long"]
        output.line(
            f"{target}: {run['folds_learned_nothing']} of {run['fold_count']} folds learned "
            f"nothing; the signals' profit factor is {number(runs.profit_factor(dual))}, "
            f"always-long has {number(runs.profit_factor(always))}."
        )
