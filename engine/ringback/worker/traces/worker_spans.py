"""Spans of a worker: the match of an event, its runs, the gate, requests, and what became of them.

Each says what it is about by uids, SIDs, names and codes. Nothing here does anything while tracing
is off.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ringback.actions import HttpRequest, Notify
from ringback.errors import RingbackError
from ringback.events import Event
from ringback.rules.model import Rule
from ringback.runtime import from_iso
from ringback.store.actions import StoredAction
from ringback.store.attempts import Opening, Verdict
from ringback.store.interface import Journal
from ringback.store.runs import RunStep
from ringback.tracing import spans as tracing
from ringback.tracing.span import Place
from ringback.tracing.spans import span_id

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

MOST_KNOWN = 10_000
"""Of so many events the trace is known without a look into the journal."""

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}").fullmatch
_known: dict[str, int] = {}
_step: ContextVar[list[RunStep] | None] = ContextVar("step", default=None)


class Found(Protocol):
    """A new event with the runs that it starts; see `ringback.worker.match.look.Found`."""

    @property
    def event(self) -> Event: ...
    @property
    def runs(self) -> Sequence[tuple[Rule, Any]]: ...


class Turn(Protocol):
    """A run that has a turn; see `ringback.worker.run.runner.Ready`."""

    @property
    def uid(self) -> str: ...
    @property
    def rule(self) -> Rule: ...
    @property
    def state(self) -> dict[str, Any] | None: ...


def matched(found: Iterable[Found]) -> None:
    """Events were matched and are on record. Each span begins when its event came in."""
    if not tracing.on():
        return
    for each in found:
        event = each.event
        trace = _trace(event)
        heard = span_id(trace, "receive") if event.source == "webhook" else 0
        tracing.span(
            f"match {event.type}",
            Place(trace, span_id(trace, "match"), heard),
            nanoseconds(event.received_at),
            _about(event) | {"ringback.rules": ", ".join(rule.name for rule, _ in each.runs)},
            kind="consumer",
        )


def as_run(
    method: Callable[Concatenate[S, Event, Any, P], Awaitable[R]],
) -> Callable[Concatenate[S, Event, Any, P], Awaitable[R]]:
    """A method that does one turn of a run, with a span around it."""

    @functools.wraps(method)
    async def turn(self: S, event: Event, run: Turn, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not tracing.on():
            return await method(self, event, run, *args, **kwargs)
        begun, steps = tracing.clock(), list[RunStep]()
        token = _step.set(steps)
        try:
            return await method(self, event, run, *args, **kwargs)
        finally:
            _step.reset(token)
            ran(event, run.rule, steps, begun, uid=run.uid, first=run.state is None)

    return turn


def stepped(step: RunStep) -> None:
    """A turn of a run is about to be written down."""
    steps = _step.get()
    if steps is not None:
        steps.append(step)


def ran(
    event: Event, rule: Rule, steps: Sequence[RunStep], begun: int, *, uid: str, first: bool = True
) -> None:
    """A run had a turn and is written down as these steps say."""
    if not begun:
        return
    trace = _trace(event)
    own, match = span_id(trace, "run", uid), span_id(trace, "match")
    state = next((step.state for step in reversed(steps) if step.state), "ended")
    tracing.span(
        f"run {rule.name}" if first else f"resume {rule.name}",
        Place(trace, own, match) if first else Place(trace, _later(trace, uid, begun), own),
        begun,
        {
            "ringback.run.uid": uid,
            "ringback.rule": rule.name,
            "ringback.rule.by": f"plugin {rule.plugin}" if rule.handler is not None else "yaml",
            "ringback.run.state": state,
            "ringback.actions": sum(len(step.actions) for step in steps),
        },
        error="run_failed" if state == "failed" else "",
    )


async def judged(
    journal: Journal, action: StoredAction, begun: int, look: tuple[str, str, str | None]
) -> None:
    """The gate has judged an action. Its words may name people: they stay in the journal."""
    if begun and (trace := await trace_of(journal, action.event_uid)):
        run = span_id(trace, "run", action.run_uid)
        verdict = "allowed" if look[0] == "planned" else look[0]
        said = _of(action) | {"ringback.gate.verdict": verdict}
        place = Place(trace, _later(trace, action.uid, begun), run)
        tracing.span(f"gate {action.kind}", place, begun, said)


async def attempt(
    journal: Journal, action: StoredAction, opening: Opening, make: Awaitable[Verdict]
) -> Verdict:
    """Make the request of an attempt, with a span around it."""
    begun = tracing.clock()
    trace = await trace_of(journal, action.event_uid) if begun else 0
    if not trace:
        return await make
    run = span_id(trace, "run", action.run_uid)
    place = Place(trace, span_id(trace, "attempt", opening.uid), run)
    with tracing.within(place):
        verdict = await make
    code, status = verdict.twilio_code, verdict.http_status
    bad = verdict.result not in ("accepted", "not_sent")
    wanted = action.action
    tracing.span(
        f"attempt {action.kind}",
        place,
        begun,
        _of(action)
        | {
            "messaging.operation.type": "send",
            "messaging.message.id": verdict.remote_sid,
            "http.request.method": wanted.method if isinstance(wanted, HttpRequest) else "",
            "http.response.status_code": status or None,
            "ringback.channel": wanted.via if isinstance(wanted, Notify) else "",
            "ringback.attempt.uid": opening.uid,
            "ringback.attempt.result": verdict.result,
            "ringback.attempt.number": action.tries + 1,
            "ringback.error_code": code or None,
        },
        kind="client",
        error=(str(code or status or "") or verdict.result) if bad else "",
    )
    return verdict


async def ended(journal: Journal, row: Mapping[str, Any], state: str) -> None:
    """An action has come to its end, which may be days after it was planned."""
    if not tracing.on() or not (trace := await trace_of(journal, row["event_uid"])):
        return
    until = from_iso(row["settled_at"]) if row["settled_at"] else None
    code = row["error_code"]
    tracing.span(
        f"outcome {row['kind']}",
        Place(trace, span_id(trace, "outcome", row["uid"], state),
              span_id(trace, "run", row["run_uid"])),
        nanoseconds(from_iso(row["planned_at"])),
        {
            "ringback.action.uid": row["uid"],
            "ringback.rule": row["rule"],
            "messaging.message.id": row["remote_sid"],
            "ringback.action.state": state,
            "ringback.outcome": _word(row["outcome"]),
            "ringback.error_code": code or None,
        },
        ended=nanoseconds(until) if until else 0,
        error="" if state == "settled" else str(code or state),
    )  # fmt: skip


async def trace_of(journal: Journal, event_uid: str) -> int:
    """The trace of the event that an action answers; 0 when it is not kept any more."""
    known = _known.get(event_uid)
    if known is not None:
        return known
    try:
        event = await journal.read(lambda session: session.event(event_uid))
    except RingbackError:
        return 0
    return _trace(event) if event is not None else 0


def nanoseconds(moment: datetime) -> int:
    """A moment as spans have it."""
    return round(moment.timestamp() * 1000) * 1_000_000


def _trace(event: Event) -> int:
    known = _known.get(event.uid)
    if known is None:
        if len(_known) >= MOST_KNOWN:
            del _known[next(iter(_known))]
        known = _known[event.uid] = tracing.event_trace(event)
    return known


def _word(text: str) -> str:
    """An outcome that is one word. What channels say of a notice may name people."""
    return text if text.replace("-", "").replace("_", "").isalpha() else ""


def _sid(text: str) -> str:
    return text if _SID(text) else ""


def _later(trace: int, uid: str, begun: int) -> int:
    return span_id(trace, uid, str(begun))


def _about(event: Event) -> dict[str, str | int | None]:
    return {
        "messaging.operation.type": "process",
        "messaging.message.id": _sid(event.subject_sid),
        "ringback.event.uid": event.uid,
        "ringback.event.type": event.type,
        "ringback.event.trust": event.trust,
        "ringback.event.source": event.source,
        "ringback.error_code": event.error_code or None,
    }


def _of(action: StoredAction) -> dict[str, str | int | None]:
    return {
        "ringback.action.uid": action.uid,
        "ringback.action.kind": action.kind,
        "ringback.rule": action.rule,
    }
