"""Portions: the pieces in which a long answer of a rule is planned, in turns with those of others.

An answer with more actions than a portion holds is kept in the journal at first. Each portion is
planned and written by itself, so that nobody else waits for all of them, and a worker that dies
between two goes on with the next one: the rule is not asked again, and might say something else.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.action_kinds import from_params
from ringback.actions import Action, Stop
from ringback.errors import UsageError
from ringback.rules.engine.admission import stop_reason
from ringback.rules.interpreter.machine import Progress, Wait
from ringback.worker.hosts.turns import Turns
from ringback.worker.run.plan import answers, checked, joined

PORTION = 100
"""So many actions are planned at once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How a run goes on behind the actions of a long answer: its progress without them, the row of
    the event that woke it, and the reason of a stop."""

    progress: Progress
    wake_id: int
    stop: str | None


class PortionTurns:
    """One portion at a time, and round robin by rule."""

    def __init__(self) -> None:
        self._turns: Turns[asyncio.Future[None]] = Turns(1)

    @asynccontextmanager
    async def of(self, rule: str) -> AsyncIterator[None]:
        """Wait for the turn of a portion of this rule."""
        await self._begin(rule)
        try:
            yield
        finally:
            self._turns.free(rule)
            self._next()

    async def _begin(self, rule: str) -> None:
        if not self._turns.taken and not self._turns.waits:
            self._turns.take(rule)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.wait(rule, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not self._turns.drop(rule, turn):  # its turn has come at the same moment
                self._turns.free(rule)
                self._next()
            raise

    def _next(self) -> None:
        found = self._turns.next()
        if found is not None:
            self._turns.take(found[0])
            found[1].set_result(None)


def split(actions: Sequence[Any]) -> list[Sequence[Any]]:
    """Actions in pieces that are short enough to be planned at once."""
    return [actions[at : at + PORTION] for at in range(0, len(actions), PORTION)]


async def bodies(
    rule: str,
    actions: Sequence[Action],
    progress: Progress,
    wake_id: int,
    waiting_call: str,
    turns: PortionTurns,
) -> list[str]:
    """A long answer as the journal keeps it. What answers the call that waits stands in the first
    portion. Raises UsageError for an action that cannot be written down."""
    found = joined(actions, waiting_call)
    stops = [stop_reason(rule, action) for action in found if isinstance(action, Stop)]
    first = [action for action in found if answers(action, waiting_call)]
    wanted = [action for action in found if not isinstance(action, Stop)]
    if first:
        wanted = [action for action in wanted if not answers(action, waiting_call)]
    size = max(0, PORTION - len(first))
    pieces = [[*first, *wanted[:size]], *split(wanted[size:])]
    written = [_head(progress, wake_id, stops[-1] if stops else None)]
    for piece in pieces:
        async with turns.of(rule):
            written.append(_body(piece))
            await asyncio.sleep(0)
    return written


def _head(progress: Progress, wake_id: int, stop: str | None) -> str:
    wait = progress.wait
    pause = None
    if wait is not None:
        due = wait.due_at.isoformat() if wait.due_at else None
        pause = [due, wait.event_types, wait.key]
    try:
        return json.dumps({
            "wait": pause, "state": progress.state, "end": progress.end, "wake": wake_id,
            "stop": stop,
        })  # fmt: skip
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"what the run keeps cannot be written down: {error}") from None


def read_head(body: str) -> Kept:
    """What stands before the portions of a kept answer."""
    data = json.loads(body)
    wait = None
    if data["wait"] is not None:
        due, types, key = data["wait"]
        wait = Wait(datetime.fromisoformat(due) if due else None, tuple(types), key)
    return Kept(Progress((), wait, data["state"], data["end"]), data["wake"], data["stop"])


def _body(actions: Sequence[Action]) -> str:
    """One portion. Its parameters are text in text, as they stand in the table of actions."""
    return json.dumps([[action.kind, action.policy, checked(action)] for action in actions])


def read_body(body: str) -> list[Action]:
    """The actions of one portion."""
    return [
        from_params(kind, json.loads(params), policy) for kind, policy, params in json.loads(body)
    ]
