"""Why a command ended: one sentence for people, one code for scripts."""

from __future__ import annotations

from gateway.cli.exit_codes import ExitCode


class Failure(Exception):
    def __init__(self, sentence: str, code: ExitCode) -> None:
        super().__init__(sentence)
        self.code = code
