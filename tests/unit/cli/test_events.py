from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import events
from gateway.cli.api import Api
from gateway.cli.events import Event, Followed, parse
from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from tests.unit.cli.scripted_server import Call, answering

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
some_events = st.builds(
    Event,
    kind=st.sampled_from(["progress", "fold_completed"]),
    data=st.dictionaries(words, st.integers(0, 9) | words, max_size=3),
    id=st.integers(1, 999).map(str) | st.just(""),
)


def written(event: Event) -> str:
    number = f"id: {event.id}\n" if event.id else ""
    return f"event: {event.kind}\ndata: {orjson.dumps(event.data).decode()}\n{number}\n"


def state(status: str, number: int) -> str:
    return written(Event(kind="state_changed", data={"status": status}, id=str(number)))


@given(st.lists(some_events))
def test_what_is_written_as_events_is_read_as_the_same(wanted: list[Event]) -> None:
    text = ": heartbeat\n\n" + "".join(written(event) for event in wanted)
    assert [e for e in parse(text.split("\n")) if e is not None] == wanted


def test_an_event_cut_off_before_its_end_is_left_out() -> None:
    lines = state("RUNNING", 1).splitlines()[:-1]
    assert list(parse(lines)) == []


def followed(answers: list[Any]) -> tuple[list[str], list[str | None]]:
    """The events of a server that answers so, and the Last-Event-ID of each request."""
    seen: list[str | None] = []

    def answer(call: Call) -> None:
        seen.append(call.headers.get("last-event-id"))
        answers[len(seen) - 1](call)

    with answering(answer) as url, Api(url) as api:
        found = [e.data["status"] for e in Followed(api, "/events", sleep=lambda _: None)]
    return found, seen


def test_a_watch_comes_back_after_the_last_event_it_saw() -> None:
    found, seen = followed(
        [
            lambda call: call.events(state("QUEUED", 1) + state("RUNNING", 2)),
            lambda call: call.json(503, {"error": "Not yet."}),
            lambda call: call.events(state("COMPLETED", 3)),
        ]
    )
    assert found == ["QUEUED", "RUNNING", "COMPLETED"]
    assert seen == ["0", "2", "2"]


def test_a_watch_of_what_has_ended_and_is_all_seen_ends() -> None:
    found, seen = followed([lambda call: call.nothing()])
    assert (found, seen) == ([], ["0"])


def test_a_watch_of_what_is_gone_ends_with_its_refusal() -> None:
    with pytest.raises(Failure, match=r"There is no run\.") as caught:
        followed([lambda call: call.json(404, {"error": "There is no run."})])
    assert caught.value.code == ExitCode.NOT_FOUND


def test_a_watch_gives_up_when_nobody_answers_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PATIENCE_SECONDS", -1)
    with Api("http://127.0.0.1:9") as api, pytest.raises(Failure) as caught:
        list(Followed(api, "/events", sleep=lambda _: None))
    assert caught.value.code == ExitCode.UNAVAILABLE
