"""HTTP/1.1 that refuses in the one envelope, also what is no request and reaches no application."""

from __future__ import annotations

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.http import errors, guards
from services.shared.errors import InvalidRequest, Violation
from services.shared.rpc.guards import new_request_id


class Protocol(H11Protocol):
    def send_400_response(self, msg: str) -> None:
        """uvicorn's own answer is plain text."""
        wrong = Violation("request", "is not HTTP/1.1 with readable headers and exactly one Host")
        request_id = new_request_id()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            refused = errors.answer(InvalidRequest([wrong]))
        guards.dress(refused.headers, request_id)
        refused.headers["connection"] = "close"
        for event in (
            h11.Response(status_code=refused.status_code, headers=refused.raw_headers),
            h11.Data(data=bytes(refused.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
