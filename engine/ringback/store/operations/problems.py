"""Problems: what people said to groups of failures, by error code.

What is muted is open again after its time, or on a day with more failures than were named; what was
resolved comes back with the next failure. Nothing is written then: it follows from what was said
and what has happened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from ringback.store.connection import Connection, first_since, one_of, replacing
from ringback.store.database import Database
from ringback.store.meta import WITHOUT_SUCCESS
from ringback.store.operations.doings import Doing, carry_out

FAILED = ("message.failed", "message.undelivered", "call.failed")
"""The reports that a text or call has ended badly."""
STATES = ("open", "seen", "resolved", "muted")
"""What a person may say of a group."""
BACK = "came back"
"""A group that was resolved and has failed since."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said to a group (`key`: the error code, 0 for failures without one). `until`
    and `above` end a mute: at a time, and with more failures in 24 hours."""

    key: str
    state: str
    until: str | None
    above: int | None
    note: str
    by: str
    at: str


_NAMES = tuple(field.name for field in fields(Said))
ALL = f"select {', '.join(_NAMES)} from problems"


class Problems:
    """What people said to groups of failures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(self, said: Said, doing: Doing | None = None) -> None:
        """Write it in place of what was said before."""
        await self._database.write(carry_out, doing, _say, said)

    async def failed_since(self, code: int, since: str) -> int:
        """How many texts and calls failed with a code since then (a stored time)."""
        return await self._database.read(_failed_since, code, since)


def _say(connection: Connection, said: Said) -> None:
    connection.execute(replacing("problems", _NAMES), astuple(said))


def _failed_since(connection: Connection, code: int, since: str) -> int:
    """Each text or call once: those reported as failed, and those that were not accepted."""
    first = first_since(connection, "events", "received_at", since)
    found: set[str] = set()
    for kind in FAILED:
        rows = connection.execute(
            "select uid, subject_sid from events where type = ? and id >= ? and received_at >= ? "
            "and error_code = ? and trust <> 'claimed' and source not in ('replay', 'internal')",
            (kind, first, since, code),
        )
        found.update(row[1] or row[0] for row in rows)
    first = first_since(connection, "actions", "planned_at", since)
    rows = connection.execute(
        f"select uid from actions where {one_of(WITHOUT_SUCCESS)} and state = 'failed' "
        "and id >= ? and planned_at >= ? and error_code = ? and remote_sid = '' and effect <> ''",
        (first, since, code),
    )
    found.update(row[0] for row in rows)
    return len(found)


def state_of(said: Said, now: str, last_at: str, today: int) -> str:
    """How a group stands: `last_at` is its last failure, `today` how many it had in 24 hours."""
    if said.state == "resolved" and last_at > said.at:
        return BACK
    over = (said.until is not None and said.until <= now) or (
        said.above is not None and today > said.above
    )
    return "open" if said.state == "muted" and over else said.state


def with_problems(
    groups: Iterable[Mapping[str, Any]], said: Mapping[str, Said], now: str,
    today: Mapping[int, int],
) -> list[dict[str, Any]]:  # fmt: skip
    """Groups by code, each with its `problem`: how it stands (`state`), and what was said to it;
    None for a group that nobody has said anything to."""
    found = []
    for group in groups:
        known = said.get(str(group["code"]))
        told = None
        if known is not None:
            state = state_of(known, now, group["last_at"], today.get(group["code"], 0))
            told = {**asdict(known), "said": known.state, "state": state}
            del told["key"]
        found.append({**group, "problem": told})
    return found
