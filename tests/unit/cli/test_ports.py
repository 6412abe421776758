from __future__ import annotations

import socket
from dataclasses import astuple

import pytest

from gateway.cli.exit_codes import ExitCode
from gateway.cli.failure import Failure
from gateway.cli.supervisor import ports


def test_ports_follow_their_base() -> None:
    assert astuple(ports.from_base(7400)) == (7400, 7401, 7402, 7403, 7404, 7405)


def test_free_ports_differ_and_are_free() -> None:
    found = ports.free()
    assert len(set(astuple(found))) == 6
    found.require_free(with_questdb=True)


def test_a_taken_port_is_named() -> None:
    found = ports.free()
    with socket.socket() as other:
        other.bind((ports.HOST, found.runs))
        other.listen()
        with pytest.raises(Failure) as caught:
            found.require_free(with_questdb=False)
    assert caught.value.code == ExitCode.PORT_TAKEN
    assert f"port {found.runs} of 127.0.0.1 (taken by another program)" in str(caught.value)


def test_the_port_of_questdb_matters_only_where_it_is_started() -> None:
    found = ports.free()
    with socket.socket() as other:
        other.bind((ports.HOST, found.questdb))
        other.listen()
        found.require_free(with_questdb=False)
        with pytest.raises(Failure, match=f"port {found.questdb}"):
            found.require_free(with_questdb=True)
