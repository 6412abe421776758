"""Requests about simulations, and simulations as answers."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from stage1.runs.v1 import simulation_pb2
from stage1.runs.v1 import simulation_service_pb2 as pb

from services.runs.app.once import Once
from services.runs.clients import messages
from services.runs.convert.checks import Checks
from services.runs.convert.runs import once
from services.runs.domain.simulations import Intrabar, Mode, Settings, Simulation, Threshold
from services.runs.storage.protocol import Page, SimulationFilter

_Message = simulation_pb2.SimulationSettings
_MODES: Final = {_Message.MODE_UNSPECIFIED: Mode.DUAL} | {
    _Message.Mode.Value(f"MODE_{mode}"): mode for mode in Mode
}
_THRESHOLDS: Final = {_Message.THRESHOLD_UNSPECIFIED: Threshold.PERCENTILE} | {
    _Message.Threshold.Value(f"THRESHOLD_{kind}"): kind for kind in Threshold
}
_INTRABARS: Final = {_Message.INTRABAR_UNSPECIFIED: Intrabar.STOP_FIRST} | {
    _Message.Intrabar.Value(f"INTRABAR_{first}"): first for first in Intrabar
}
_OPTIONAL: Final = (
    *(
        "long_threshold",
        "short_threshold",
        "honor_signal_reversal",
        "exit_strength",
        "stop_fraction",
    ),
    *(
        "trailing_stop",
        "target_fraction",
        "max_holding_bars",
        "cooldown_bars",
        "flat_between_folds",
    ),
    *("fee_bps", "slippage_bps", "notional", "signals_when_learned_nothing"),
)
_MOST_BARS: Final = 10_000_000


def creation(request: pb.CreateSimulationRequest) -> tuple[UUID, Settings, Once | None]:
    checks = Checks()
    run_id = checks.uuid("run_id", request.run_id)
    settings = _settings(request.settings, checks)
    body = pb.CreateSimulationRequest(run_id=request.run_id, settings=request.settings)
    repeatable = once("CreateSimulation", request.idempotency_key, body, checks)
    checks.done()
    return run_id, settings, repeatable


def _settings(message: simulation_pb2.SimulationSettings, checks: Checks) -> Settings:
    for field, known in (("mode", _MODES), ("threshold", _THRESHOLDS), ("intrabar", _INTRABARS)):
        if getattr(message, field) not in known:
            checks.refuse(f"settings.{field}", f"is {getattr(message, field)}, none that is known")
    settings = Settings(
        mode=_MODES.get(message.mode, Mode.DUAL),
        threshold=_THRESHOLDS.get(message.threshold, Threshold.PERCENTILE),
        intrabar=_INTRABARS.get(message.intrabar, Intrabar.STOP_FIRST),
        **{name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)},
    )
    _check_thresholds(settings, checks)
    _check_exits(settings, checks)
    for name in ("fee_bps", "slippage_bps"):
        checks.number(f"settings.{name}", getattr(settings, name), 0, 1000)
    checks.number("settings.notional", settings.notional, 0, above=True)
    return settings


def _check_thresholds(settings: Settings, checks: Checks) -> None:
    own = {
        name: value
        for name in ("long_threshold", "short_threshold")
        if (value := getattr(settings, name)) is not None
    }
    for name, value in own.items():
        checks.number(f"settings.{name}", value)
        if settings.threshold is not Threshold.OWN:
            checks.refuse(f"settings.{name}", f"counts with OWN only, not {settings.threshold}")
    if settings.threshold is Threshold.OWN and not own:
        checks.refuse(
            "settings.threshold", "is OWN, and needs a long_threshold, a short_threshold or both"
        )


def _check_exits(settings: Settings, checks: Checks) -> None:
    if settings.exit_strength is not None:
        checks.number("settings.exit_strength", settings.exit_strength, 0, 1)
    if settings.stop_fraction is not None:
        checks.number(
            "settings.stop_fraction", settings.stop_fraction, 0, 1, above=True, below=True
        )
    elif settings.trailing_stop:
        checks.refuse("settings.trailing_stop", "needs a stop_fraction to trail by")
    if settings.target_fraction is not None:
        checks.number("settings.target_fraction", settings.target_fraction, 0, above=True)
    if settings.max_holding_bars is not None:
        bars = settings.max_holding_bars
        checks.between("settings.max_holding_bars", bars, 1, _MOST_BARS)
    checks.between("settings.cooldown_bars", settings.cooldown_bars, 0, _MOST_BARS)


def listing(request: pb.ListSimulationsRequest) -> tuple[SimulationFilter, Page]:
    checks = Checks()
    wanted = SimulationFilter(
        run_id=checks.uuid_or_any("run_id", request.run_id),
        dataset_id=checks.uuid_or_any("dataset_id", request.dataset_id),
        state=checks.state(request.state),
    )
    page = checks.page(request.page_size, request.page_token, request.skip)
    checks.done()
    return wanted, page


def simulation(simulation: Simulation) -> simulation_pb2.Simulation:
    progression, result = simulation.progression, simulation.result
    return simulation_pb2.Simulation(
        simulation_id=str(simulation.simulation_id),
        run_id=str(simulation.run_id),
        dataset_id=str(simulation.dataset_id),
        dataset_slug=simulation.dataset_slug,
        version=simulation.version,
        state=simulation_pb2.Simulation.State.Value(f"STATE_{simulation.state}"),
        error=progression.error,
        settings=messages.settings(simulation.settings),
        result=messages.simulation_result(result) if result else None,
        attempt=progression.attempt,
        created_at_ms=progression.created_at_ms,
        started_at_ms=progression.started_at_ms,
        completed_at_ms=progression.completed_at_ms,
    )
