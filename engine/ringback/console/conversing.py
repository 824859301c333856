"""Conversations as the console finds them: by last activity, by name, by their last digits."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from ringback.console.problems import Problem, Refusal, refuse
from ringback.console.reading import Reading
from ringback.errors import RingbackError
from ringback.runtime import REAL, iso
from ringback.store.console.pairs import Pair, Pairs
from ringback.store.data_place import DataPlace
from ringback.store.queries import shapes
from ringback.store.queries.questions import Questions

T = TypeVar("T")
Now = Callable[[], datetime]

FOLLOW_SECONDS = 0.5
LOOKED_AT = 1000
"""So many conversations are looked at, at most, for one part of a list that is narrowed."""
_CHUNK = 100
WAYS = ("unanswered", "optedout", "failing")
SILENCE = timedelta(minutes=10)
"""A text that was not answered for so long is unanswered."""


@dataclass(frozen=True, slots=True)
class Part:
    """Conversations, the latest first; where the next part begins (0: nowhere), how far was looked,
    and whether the newest may be lacking, because they are still being put together."""

    rows: list[dict[str, Any]]
    before: int = 0
    looked_back_to: str = ""
    behind: bool = False


class Conversations:
    """The conversations of one place. `close` ends its thread. What `pairs.db` lacks is taken
    over into it; with `kept` false into memory alone."""

    def __init__(
        self, where: Path | DataPlace, reading: Reading, *, kept: bool = True, now: Now = REAL.now
    ) -> None:
        self._now = now
        self._reading = reading
        self._pairs = Pairs(where, kept=kept)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pairs")
        self._rest: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Wait for what is being asked, then end. A second time it is void."""
        with contextlib.suppress(RuntimeError):  # what has ended takes nothing more
            self._pool.submit(self._pairs.close)
        self._pool.shutdown()

    async def part(self, wanted: Mapping[str, bool], since: str, limit: int, before: int) -> Part:
        """The conversations that were active last, of those for which all that is `wanted` (some of
        `WAYS`) holds."""
        behind = not await self._followed()
        ways = [name for name in WAYS if wanted.get(name)]
        size = _CHUNK if ways else limit + 1
        found: list[dict[str, Any]] = []
        looked, last = 0, ""
        while looked < LOOKED_AT:
            rows = await self._stand(size, before)
            looked += len(rows)
            for row in rows:
                fits = all(_holds(row, way) for way in ways)
                over = row["last_at"] < since
                if over or (fits and len(found) == limit):
                    return Part(await self._shown(found), 0 if over else before, "", behind)
                before, last = row["turn"], row["last_at"]
                found += [row] if fits else []
            if len(rows) < size:
                return Part(await self._shown(found), 0, "", behind)
        return Part(await self._shown(found), before, last, behind)

    async def _stand(self, limit: int, before: int) -> list[dict[str, Any]]:
        """The conversations behind this turn, each with how it stands."""
        pairs = await self._asked(lambda: self._pairs.newest(limit, before))
        return await self._reading.ask(lambda asked: _stands(asked, pairs, self._now()))

    async def named(self, uid: str) -> Pair:
        """The conversation of this name, as it is now. Raises a Refusal when there is none."""
        await self._followed()
        found = await self._asked(lambda: self._pairs.named(uid))
        if found is None:
            raise refuse("missing", "There is no conversation of this name.")
        return found

    async def ending(self, digits: str, limit: int) -> list[dict[str, Any]]:
        """The conversations with a number that ends so."""
        await self._followed()
        pairs = await self._asked(lambda: self._pairs.ending(digits, limit))
        rows = await self._reading.ask(lambda asked: _stands(asked, pairs, self._now()))
        return await self._shown(rows)

    async def found(self, name: str) -> list[dict[str, Any]]:
        """The conversation of this name (`con_…`), as a list shows it; none without one."""
        await self._followed()
        pair = await self._asked(lambda: self._pairs.named(name))
        pairs = [pair] if pair else []
        rows = await self._reading.ask(lambda asked: _stands(asked, pairs, self._now()))
        return await self._shown(rows)

    async def of(self, conversation: str) -> Pair | None:
        """The conversation of these two sides (`ours/theirs`); None for one that is not known."""
        if not conversation:
            return None
        await self._followed()
        return next(iter(await self._asked(lambda: self._pairs.of([conversation]))), None)

    async def _shown(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        def ask(asked: Questions) -> list[dict[str, Any]]:
            return [
                shapes.conversation(row, next(iter(asked.chat(row["conversation"], 1)[0]), None))
                for row in rows
            ]

        return await self._reading.ask(ask)

    async def caught_up(self) -> None:
        """Wait until all that the journal holds is taken over."""
        while not await self._followed():
            await asyncio.sleep(0.01)

    async def _followed(self) -> bool:
        """Take over what has come. What takes longer goes on behind the answer."""
        if self._rest is not None and not self._rest.done():
            return False
        if await self._asked(lambda: self._pairs.follow(FOLLOW_SECONDS)):
            return True
        self._rest = asyncio.create_task(self._follow_on())
        return False

    async def _follow_on(self) -> None:
        while not await self._asked(lambda: self._pairs.follow(FOLLOW_SECONDS)):
            await asyncio.sleep(0)

    async def _asked(self, question: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        except RingbackError as error:
            raise Refusal(Problem("data", str(error))) from error


def sides(pair: Pair) -> dict[str, str]:
    """A conversation as the worker wants it named."""
    ours, _, theirs = pair.conversation.partition("/")
    return {"sender": ours, "recipient": theirs}


def one(asked: Questions, pair: Pair, now: datetime) -> dict[str, Any]:
    """A conversation with what is known of the person: consent, memory, what waits, who has taken
    it over."""
    contact, muted = asked.contact(pair.conversation), asked.muted(pair.conversation, iso(now))
    names = ("uid", "rule", "state", "reason", "due_at")
    words = ("sender", "recipient", "state", "source", "at")
    return {
        "uid": pair.uid, "conversation": pair.conversation, **sides(pair),
        "first_at": pair.first_at, "last_at": pair.last_at, "memory": contact["memory"],
        "waits": [{name: run[name] for name in names} for run in contact["waits"]],
        "consents": [
            {name: word[name] for name in words} for word in asked.words(*sides(pair).values())
        ],
        "mute": {name: muted[name] for name in ("until", "by", "reason", "at")} if muted else None,
    }  # fmt: skip


def _stands(asked: Questions, pairs: list[Pair], now: datetime) -> list[dict[str, Any]]:
    late = iso(now - SILENCE)
    rows = [asdict(pair) | asked.standing(pair.conversation) for pair in pairs]
    return [row | {"unanswered": row["wrote_at"] < row["heard_at"] <= late} for row in rows]


def _holds(row: Mapping[str, Any], way: str) -> bool:
    return bool(row["out" if way == "optedout" else way])
