"""Ledger of the simulator: one line of canonical JSON per request, record, webhook and fault.

The same seed and the same steps of a stepped clock give the same bytes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from ringback.printed_json import printed_json

KEPT = 200_000

KINDS = (
    "request",
    "replied",
    "created",
    "updated",
    "deleted",
    "webhook",
    "answered",
    "fault",
    "note",
)


class Ledger:
    """Append-only. Keeps the last 200,000 entries, and writes all to a file if one is named.

    `request` is what the API was asked, `replied` how it answered; `created`, `updated`, `deleted`
    are records; `webhook` is a request that the simulator made, `answered` what came back; `fault`
    is a fault that was played; `note` is anything else worth knowing.
    """

    def __init__(self, date: Callable[[], datetime], file: Path | None = None) -> None:
        self._date = date
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._last = 0
        self._file: IO[str] | None = file.open("a", encoding="utf-8") if file else None

    def add(self, kind: str, /, **facts: Any) -> int:
        """Write one entry. Facts that are empty or None are left out. Answers its number."""
        self._last += 1
        moment = self._date().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        entry = {"n": self._last, "at": moment, "kind": kind}
        entry.update((name, value) for name, value in facts.items() if value not in (None, "", {}))
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(line(entry))
            self._file.flush()
        return self._last

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 while there is none."""
        return self._last

    def after(self, number: int = 0, kind: str = "", limit: int = 10_000) -> list[dict[str, Any]]:
        """Entries newer than `number`, oldest first, of one kind or of all."""
        found: list[dict[str, Any]] = []
        for entry in self._entries:
            if entry["n"] > number and (not kind or entry["kind"] == kind):
                found.append(entry)
                if len(found) >= limit:
                    break
        return found

    def lines(self) -> Iterator[str]:
        """The whole as canonical JSON lines."""
        return (line(entry) for entry in list(self._entries))

    def clear(self) -> None:
        """Forget all entries and count from one again."""
        self._entries.clear()
        self._last = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def line(entry: dict[str, Any]) -> str:
    """One entry as it is written: sorted names, no spaces, UTF-8, a line feed."""
    return printed_json(entry, sort_keys=True, separators=(",", ":")) + "\n"
