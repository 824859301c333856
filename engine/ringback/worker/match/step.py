"""Step: what one step of matching has done, and a matching that goes ahead of the log."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from ringback.events import REPLAY, Event
from ringback.runtime import Runtime
from ringback.store.matching import Matched, Moved
from ringback.store.operations.doings import Doing
from ringback.store.session import ReadSession
from ringback.worker.match.look import Found


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of matching did: how many rows it read, what was new, which actions moved,
    and which earlier claims (uid) a proven delivery has now caught up with (its trust). `last`:
    there was no more to be matched."""

    rows: int = 0
    found: tuple[Found, ...] = ()
    moved: tuple[Moved, ...] = ()
    twins: tuple[tuple[str, str], ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Ahead:
    """A matching of one event outside of the order of the log. `ask` gets what plugins say to it,
    which may take a while; `match` matches it then, alone."""

    ask: Callable[[], Awaitable[None]]
    match: Callable[[], Awaitable[Step]]


def copy_of(uid: str, runtime: Runtime) -> Callable[[ReadSession], Event]:
    """Makes the copy of a stored event. Raises UsageError when it is not kept."""

    def copy(session: ReadSession) -> Event:
        event = session.whole_event(uid)
        number = len(session.copies(uid)) + 1
        return replace(
            event, uid=runtime.uid("evt"), received_at=runtime.now(), source=REPLAY,
            tag="", dedupe_key=f"{REPLAY}:{uid}:{number}",
        )  # fmt: skip

    return copy


def told(made: Matched) -> dict[str, Any]:
    """What is answered when this event was made: its uid, the verdict of each rule, its runs."""
    runs = [{"run": run.uid, "rule": run.rule} for run in made.runs]
    verdicts = json.loads(made.verdicts)
    state = "replayed" if made.event.source == REPLAY else "started" if runs else "not started"
    return {"state": state, "uid": made.event.uid, "verdicts": verdicts, "runs": runs}


def answered(doing: Doing | None, made: Matched) -> Doing | None:
    """A doing with what is answered when it has made this event."""
    return None if doing is None else replace(doing, answer=told(made))
