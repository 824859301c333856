"""Reading of the journal for pages: two threads with a set of questions each, and a limit of time.

A question that takes too long is interrupted, so that a page never holds a snapshot of the
write-ahead log for long. The files are opened when first asked, and again after an error or when
another file lies in their place, as after a restore.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ringback.console.problems import Problem, Refusal
from ringback.errors import RingbackError, UsageError
from ringback.store.data_place import DataPlace
from ringback.store.queries.questions import Questions

T = TypeVar("T")

LONGEST_SECONDS = 2.0
THREADS = 2


class Slow(Refusal):
    """A question that took longer than it may."""

    def __init__(self) -> None:
        super().__init__(Problem("slow"))


class Reading:
    """The questions of the console to one place. `close` ends its threads."""

    def __init__(
        self, where: Path | DataPlace, *, seconds: float = LONGEST_SECONDS, threads: int = THREADS
    ) -> None:
        self._where = where
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="questions")
        self._own = threading.local()
        self._opened: set[Questions] = set()

    async def ask(self, question: Callable[[Questions], T]) -> T:
        """The answer to a question, which gets the questions and must not keep them.

        Raises Slow when it takes too long, and a Refusal of the kind `data` when the files cannot
        be read. What the question itself raises leaves as it is.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._asked, question)

    def close(self) -> None:
        """Wait for what is being asked, then end."""
        self._pool.shutdown()
        for questions in self._opened:
            questions.close()

    def _asked(self, question: Callable[[Questions], T], again: bool = True) -> T:
        try:
            questions = self._questions()
        except RingbackError as error:
            raise Refusal(Problem("data", str(error))) from error
        end = time.monotonic() + self._seconds
        try:
            questions.end_at(end)
            return question(questions)
        except UsageError:
            raise
        except RingbackError as error:
            if time.monotonic() > end:
                raise Slow from error
            lost = not questions.current()
            self._let_go()
            if lost and again:  # a server that has restarted since answers a new connection
                return self._asked(question, again=False)
            raise Refusal(Problem("data", str(error))) from error

    def _questions(self) -> Questions:
        opened: Questions | None = getattr(self._own, "opened", None)
        if opened is not None and opened.current():
            return opened
        self._let_go()
        questions = Questions(self._where)
        self._opened.add(questions)
        self._own.opened = questions
        return questions

    def _let_go(self) -> None:
        opened: Questions | None = getattr(self._own, "opened", None)
        self._own.opened = None
        if opened is not None:
            self._opened.discard(opened)
            opened.close()
