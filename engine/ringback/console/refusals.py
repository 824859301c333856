"""Refusals for the role: noted among the looks, for the worker never hears of them."""

import contextlib

from starlette.requests import Request

from ringback.console.identity import SCOPE, Identity
from ringback.console.limits import Window
from ringback.console.problems import Problem
from ringback.errors import StorageError
from ringback.runtime import REAL, iso
from ringback.store.console.access import Access

MOST, SECONDS = 10, 60.0
"""So many refused changes of one person are noted in this time, and as many refused looks."""
SAFE = ("GET", "HEAD", "OPTIONS")
LONGEST = 200


class Refusals:
    """Notes what people were refused because of their role."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._looks, self._changes = Window(MOST, SECONDS), Window(MOST, SECONDS)

    def note(self, request: Request, problem: Problem) -> None:
        """Note an answer that is such a refusal, unless the worker has it on record. A file that
        takes no row changes nothing of the answer."""
        who: Identity | None = request.scope.get(SCOPE)
        if problem.slug != "role" or problem.on_record or who is None:
            return
        window = self._looks if request.method in SAFE else self._changes
        if window.wait(who.name):
            return
        subject = f"{request.method} {request.url.path}"[:LONGEST]
        with contextlib.suppress(StorageError):
            self._access.look(iso(REAL.now()), who.name, "refused", subject, who.peer)
