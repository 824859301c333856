"""Decisions about actions that are not sent: refused, put off, or over their time.

What stands behind such an action in its conversation often has the same fate: it is judged at once,
and all of it is written in one commit.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from ringback.action_kinds import is_outgoing, kind_named, known_kind
from ringback.errors import RingbackError
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import Decision, StoredAction
from ringback.store.facts import JournalGateFacts
from ringback.store.interface import Journal
from ringback.store.session import ReadSession
from ringback.tracing import spans as tracing
from ringback.worker.send.rounds import Rounds
from ringback.worker.signals import Signals
from ringback.worker.traces import worker_spans as traces

LOT = 100
"""So many actions are decided about at once."""
LATE = "it was not sent in time and is not wanted late"

Look = tuple[str, str, str | None]
"""The state, the reason, and for `deferred` the time until which it waits."""


class Gate(Protocol):
    """What stands before every action: allow ("planned"), or another state with the reason."""

    def look(self, action: StoredAction, facts: JournalGateFacts) -> Look:
        """What becomes of it."""

    def back(self, action: StoredAction, *, tried: bool) -> None:
        """What was allowed did not leave, or was tried and Twilio did not take it."""


class Decisions:
    """Writes what becomes of actions without a request."""

    def __init__(
        self, journal: Journal, runtime: Runtime, gate: Gate, signals: Signals,
        refused: Callable[[str, str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._refused = refused
        self._journal = journal
        self._runtime = runtime
        self._gate = gate
        self._signals = signals

    def expired(self, action: StoredAction) -> bool:
        """Whether its time is over."""
        return bool(action.send_by) and iso(self._runtime.now()) > str(action.send_by)

    async def look(self, action: StoredAction, *, ahead: bool = False) -> Look:
        """What the gate says now. `ahead` of the event on record: raises LookupError when the gate
        wants to know what was said."""
        begun = tracing.clock()
        look = await self._journal.read(
            lambda session: self._gate.look(action, session.gate_ahead if ahead else session.gate)
        )
        if begun:
            await traces.judged(self._journal, action, begun, look)
        return look

    async def one(
        self, action: StoredAction, state: str, reason: str, until: str | None = None
    ) -> None:
        """Decide about one action."""
        await self._write([(action, (state, reason, until))])

    async def lot(
        self, action: StoredAction, look: Look, rounds: Rounds, forget: Callable[[str], None]
    ) -> None:
        """Decide about an action, and about those behind it that are not sent either. `forget`
        gets the uid of each of these."""
        behind = await self._journal.read(self._behind, action, rounds)
        try:
            await self._write([(action, look), *behind])
        finally:
            for each, _ in behind:
                forget(each.uid)

    def _behind(
        self, session: ReadSession, action: StoredAction, rounds: Rounds
    ) -> list[tuple[StoredAction, Look]]:
        found: list[tuple[StoredAction, Look]] = []
        while len(found) < LOT and (behind := rounds.behind(action)) is not None:
            look = self._fate(behind, session)
            if look is None:
                break
            rounds.skip(behind)
            found.append((behind, look))
        return found

    def _fate(self, action: StoredAction, session: ReadSession) -> Look | None:
        """None for one that is to have a turn of its own."""
        if known_kind(action.kind) is None:
            return None
        if self.expired(action):
            return "failed", LATE, None
        try:
            look = self._gate.look(action, session.gate)
        except (RingbackError, ValueError, TypeError, LookupError):  # it is damaged
            return None
        if look[0] == "planned":
            self._gate.back(action, tried=False)
            return None
        return look

    async def _write(self, decided: list[tuple[StoredAction, Look]]) -> None:
        written = [(action.uid, self._decision(action, *look)) for action, look in decided]
        await self._journal.actions.decide_all(written, iso(self._runtime.now()))
        for action, (state, _, until) in decided:
            if until:
                self._signals.due(until)
            if state in ("failed", "refused"):
                self._signals.ended(action.uid, state)
        for action, (state, reason, _) in decided:
            if state == "refused":
                await self._refused(action.rule, reason)

    def _decision(
        self, action: StoredAction, state: str, reason: str, until: str | None
    ) -> Decision:
        send_by = self._wanted(action, until) if state == "deferred" and until else None
        return Decision(("planned", "deferred"), state, reason, until, send_by)

    def _wanted(self, action: StoredAction, until: str) -> str | None:
        """What quiet hours hold back is as welcome in the morning as it was in the evening, unless
        its author said for how long it is good."""
        wanted = action.action
        if not is_outgoing(wanted) or wanted.send_by:
            return None
        return iso(from_iso(until) + timedelta(seconds=kind_named(action.kind).lifetime))
