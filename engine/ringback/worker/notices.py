"""How are people and machines told? By the log, or by a request to an address that they gave."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from ringback.actions import HttpRequest, Notify
from ringback.errors import UsageError
from ringback.gateway.outbound import Outbound

log = logging.getLogger("ringback.notice")

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR,
           "critical": logging.CRITICAL}  # fmt: skip


class Notices:
    """Gives notices. Raises UsageError for a channel that is not there, GatewayError when the
    other side did not take it."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def give(self, wish: Notify | HttpRequest, event_uid: str) -> None:
        """Carry out one notice or web request."""
        if isinstance(wish, HttpRequest):
            body = b"" if wish.json is None else json.dumps(wish.json).encode()
            headers = {"Content-Type": "application/json", **wish.headers} if body else wish.headers
            await self._outbound.request(wish.method, wish.url, body=body, headers=headers)
            return
        if wish.via == "log":
            level = _LEVELS.get(wish.severity, logging.WARNING)
            log.log(level, "%s", wish.text, extra={"event_uid": event_uid, "key": wish.key})
        elif wish.via == "webhook":
            await self._outbound.deliver(
                wish.url, _payload(wish, event_uid), message_id=wish.key or event_uid
            )
        else:
            raise UsageError(f"notify: no channel is called {wish.via!r}; use log or webhook")


def _payload(wish: Notify, event_uid: str) -> Mapping[str, Any]:
    return {
        "type": "ringback.notice", "text": wish.text, "key": wish.key, "severity": wish.severity,
        "event": event_uid,
    }  # fmt: skip
