"""Log lines of a process: the last ones, kept in memory for whoever looks at the node.

Each line is plain data: when, how grave, which logger, the message, and what a line about an action
says besides. Secrets of the settings are taken out before a line is kept.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ringback.runtime import iso

MOST = 2000
LONGEST = 600
FIELDS = (
    "action", "event_uid", "rule", "kind", "state", "outcome", "code", "error_class", "sid",
    "seconds", "key",
)  # fmt: skip
"""What a line about an action or a notice says besides its words."""
LEVELS = ("debug", "info", "warning", "error", "critical")
_LEAST_SECRET = 8
_HIDDEN = "•••"


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    """A record as plain data, with the words of its exception where it has one."""
    row: dict[str, Any] = {
        "at": iso(datetime.fromtimestamp(record.created, UTC)),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    return row | {name: value for name in FIELDS if (value := getattr(record, name, None))}


class KeptLines(logging.Handler):
    """The last lines of this process, the oldest of which make room. It may be used from any
    thread."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=most)
        self._secrets: tuple[str, ...] = ()
        self._guard = threading.Lock()

    def hide(self, secrets: Iterable[str]) -> None:
        """Take these texts out of every line from now on."""
        self._secrets = tuple(
            sorted({each for each in secrets if len(each) >= _LEAST_SECRET}, key=len, reverse=True)
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line. One that cannot be formatted is left to the handler that prints it."""
        try:
            row = line_of(record)
        except (TypeError, ValueError):
            return
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            row["error"] = f"{type(error).__name__}: {error}"
        kept = {name: self._plain(value) for name, value in row.items()}
        with self._guard:
            self._lines.append(kept)

    def lines(
        self, *, level: str = "", rule: str = "", event: str = "", text: str = "", limit: int = 200
    ) -> list[dict[str, Any]]:
        """The last lines, the newest first: at least so grave, about this rule, about this event or
        action, with this text in any case of its letters."""
        with self._guard:
            kept = list(self._lines)
        least = LEVELS.index(level) if level in LEVELS else 0
        wanted = (
            row for row in reversed(kept)
            if (row["level"] not in LEVELS or LEVELS.index(row["level"]) >= least)
            and rule in ("", row.get("rule"))
            and (not event or event in (row.get("event_uid"), row.get("action"))
                 or event in row["message"])
            and text.casefold() in f"{row['message']} {row.get('error', '')}".casefold()
        )  # fmt: skip
        return list(islice(wanted, limit))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, int | float):
            return value
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


KEPT = KeptLines()
"""Those of this process."""


def told(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a process answers to the operation `logs` on its socket."""
    words = {name: str(message.get(name) or "") for name in ("level", "rule", "event", "text")}
    limit = message.get("limit")
    most = min(max(limit, 1), MOST) if isinstance(limit, int) else 200
    return {"lines": KEPT.lines(**words, limit=most)}
