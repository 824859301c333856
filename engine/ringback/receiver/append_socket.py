"""Append socket: takes what the worker has fetched back from Twilio into the log, whose only writer
is the receiver."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from ringback.errors import UsageError
from ringback.ipc import Message
from ringback.runtime import REAL, iso
from ringback.store.log import Entry, Log

ROUTES = frozenset({"message", "message/status", "call/status"})


class AppendSocket:
    """Answers the worker's `append`. `on_append` gets the id of each new row."""

    def __init__(self, log: Log, on_append: Callable[[int], None]) -> None:
        self._log = log
        self._on_append = on_append

    async def handle(self, message: Message) -> dict[str, Any]:
        """One request. Raises UsageError for one that cannot be meant, StorageError for a disk
        that refuses; the worker gets either as its answer."""
        route = str(message.get("route") or "")
        if message.get("op") != "append" or route not in ROUTES:
            raise UsageError(f"the receiver appends {', '.join(sorted(ROUTES))}, nothing else")
        try:
            body = base64.b64decode(str(message.get("body") or ""), validate=True)
        except binascii.Error:
            raise UsageError("the body is not base64") from None
        entry = Entry(
            iso(REAL.now()), route, "confirmed", "repair", str(message.get("tag") or ""),
            "application/x-www-form-urlencoded", body,
        )  # fmt: skip
        log_id = await self._log.append(entry)
        self._on_append(log_id)
        return {"id": log_id}
