"""Children of the console: commands of the shell that it runs for a page or a program.

The same command is run once for all who want it, and its answer is kept for a while; no more than
two run at the same time, so that pages cannot fill a machine with processes.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringback.console.problems import refuse
from ringback.console.surroundings import Surroundings

FRESH_SECONDS = 15.0
NUMBERS = ("connect", "--all", "--dry-run")
"""The command that says of each number what would have to change for its webhooks to come here."""
MOST = 2

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command has printed as JSON lines, the code that it ended with, and the last line of
    what it said besides, with all of these lines."""

    code: int
    rows: Rows
    said: str = ""
    complaints: tuple[str, ...] = ()


class Children:
    """The commands of one console."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._turn = asyncio.Semaphore(MOST)
        self._asked: dict[tuple[str, ...], tuple[float, asyncio.Task[Printed]]] = {}

    async def rows(self, words: Sequence[str]) -> Printed:
        """What `ringback WORDS` prints with `--json`, at most a quarter of a minute ago. Raises a
        Refusal: `slow` when it takes too long, `missing` where no command can be run."""
        key, now = tuple(words), time.monotonic()
        begun, task = self._asked.get(key, (0.0, None))
        if task is None or (task.done() and (now - begun > FRESH_SECONDS or task.exception())):
            task = asyncio.create_task(self._run(key))
            self._asked = {
                each: kept for each, kept in self._asked.items()
                if not kept[1].done() or now - kept[0] < FRESH_SECONDS
            } | {key: (now, task)}  # fmt: skip
        return await asyncio.shield(task)

    async def run(self, words: Sequence[str]) -> Printed:
        """What `ringback WORDS` prints with `--json`, run for this alone. Raises the same."""
        return await self._run(tuple(words))

    async def text(self, words: Sequence[str]) -> str:
        """What `ringback WORDS` prints as a text. Raises a Refusal, with its last line where it
        ended badly."""
        code, text = await self._child(words)
        if code:
            raise refuse("field", (text.strip().splitlines() or ["It ended badly."])[-1])
        return text

    async def _child(self, words: Sequence[str]) -> tuple[int, str]:
        run = self._surroundings.run_child
        if run is None:
            raise refuse("missing", "No command of the shell can be run from here.")
        async with self._turn:
            try:
                return await run(words)
            except TimeoutError:
                raise refuse("slow", f"`ringback {' '.join(words)}` took too long.") from None

    async def _run(self, words: tuple[str, ...]) -> Printed:
        code, text = await self._child([*words, "--json"])
        lines = text.splitlines()
        others = [line for line in lines if line.strip() and not line.startswith("{")]
        rows = [_row(line) for line in lines if line.startswith("{")]
        return Printed(
            code, [row for row in rows if row], others[-1] if others else "", tuple(others)
        )


def _row(line: str) -> dict[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(line)
    except ValueError:  # it was cut
        return {}
    return dict(found)
