"""Decisions of people about failures: seen, resolved, muted, or open again, with a note."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.errors import UsageError
from ringback.ipc import Message
from ringback.runtime import Runtime, iso
from ringback.store.operations.doings import Doing
from ringback.store.operations.problems import BACK, STATES, Said
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import until_of

LONGEST = timedelta(days=400)
LONGEST_NOTE = 500
MOST = 1_000_000


class FailureDecisions:
    """Carries out what a person says to a group of failures. Their counts stay as they are."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def problem(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Say how a group of failures stands."""
        key, state = doing.subject, str(message.get("state") or "")
        if not (key.isascii() and key.isdecimal() and len(key) < 8):
            raise UsageError(f"a group of failures is named by its error code, not {key[:40]!r}")
        if state == BACK:
            raise UsageError(
                f"state: {BACK!r} is set by itself, when what was resolved fails again; say "
                f"{', '.join(STATES)}"
            )
        if state not in STATES:
            raise UsageError(f"a group of failures is {', '.join(STATES)}; not {state!r}")
        until = until_of(message.get("until"), self._runtime.now(), LONGEST)
        above = _above(message.get("above"))
        if state != "muted" and (until is not None or above is not None):
            raise UsageError("`until` and `above` are for a group that is muted")
        if above is not None:
            await self._require_room(int(key), above)
        note = str(message.get("note") or "").strip()[:LONGEST_NOTE]
        by, at = doing.by.who, iso(self._runtime.now())
        said = Said(str(int(key)), state, until, above, note, by, at)
        done = replace(doing, subject=said.key, reason=note, answer={"state": state})
        await self._engine.journal.problems.say(said, done)
        return {"state": state}

    async def _require_room(self, code: int, above: int) -> None:
        """Raise UsageError for a mute that would be over at once."""
        day = iso(self._runtime.now() - timedelta(days=1))
        failed = await self._engine.journal.problems.failed_since(code, day)
        if failed > above:
            raise UsageError(
                f"above: {failed:,} have failed with {code} in 24 hours already, so that a mute up "
                f"to {above:,} would be over at once; name {failed:,} or more"
            )


def _above(given: Any) -> int | None:
    if given in (None, ""):
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= MOST:
        raise UsageError(f"above: {given!r} is no number from 1 to {MOST:,}")
    return given
