"""HTTP protocol of a console's own port: what cannot be read is a problem of the API too."""

import h11
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from ringback.console.problems import Problem

_API = (b" /api/", b" /api ")
_FIRST = 512
"""So much of what comes is looked at for where it goes."""


class ConsoleProtocol(H11Protocol):
    """One connection to the console."""

    _begun = b""

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.conn.their_state is h11.IDLE:
            self._begun = (self._begun + data)[:_FIRST]
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._begun = b""

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, or has a head beyond the limit."""
        line = self._begun.partition(b"\r\n")[0]
        if not any(part in line for part in _API):
            super().send_400_response(msg)
            return
        detail = "This is no HTTP request, or its head is larger than it may be."
        problem = Problem("field", detail)
        answer = JSONResponse(problem.shown(), 400, media_type="application/problem+json")
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers), h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):  # fmt: skip
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
