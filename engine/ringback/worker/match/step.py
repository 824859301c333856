"""Step: what one step of matching has done, and a matching that goes ahead of the log."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ringback.store.matching import Matched, Moved
from ringback.store.operations.doings import Doing
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


def replayed(doing: Doing | None, copy: Matched) -> Doing | None:
    """A doing with what is answered when it has made this copy of an event."""
    if doing is None:
        return None
    verdicts = json.loads(copy.verdicts)
    return replace(doing, answer={"state": "replayed", "uid": copy.event.uid, "verdicts": verdicts})
