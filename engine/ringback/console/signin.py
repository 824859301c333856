"""Signing in: whether a name and a password belong together, and how often that may be tried.

The check takes the same time for a name that is not known. Tries are counted for each address, and
a name that many tries failed for is answered later and later, but never locked: a stranger cannot
keep the owner out.
"""

import asyncio
import logging
from datetime import UTC, datetime

from ringback.config import Settings
from ringback.console.limits import Window
from ringback.console.origins import block_of
from ringback.console.problems import refuse
from ringback.runtime import iso
from ringback.store.console import passwords
from ringback.store.console.access import Access

OWNER = "console"
"""The person whose password is a setting."""
TRIES_OF_ADDRESS = 5
TRIES_OF_NAME = 20
MINUTE = 60.0
LONGEST_PAUSE = 8.0
MOST_WAITING = 32

_logger = logging.getLogger("ringback.console")


class SignIn:
    """The people of one console."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._settings = settings
        self._access = access
        self._addresses = Window(TRIES_OF_ADDRESS, MINUTE)
        self._failed = Window(10_000, MINUTE)
        self._one = asyncio.Lock()
        self._waiting = 0
        self._none = ""

    async def role(self, name: str, password: str, peer: str) -> str:
        """The role of whoever signs in so; empty for a wrong name or password. Raises a Refusal
        when it is tried too often."""
        wait = self._addresses.wait(block_of(peer))
        if wait:
            raise refuse(
                "limit", "Five tries a minute, then a pause.",
                headers={"retry-after": str(int(wait) + 1)},
            )  # fmt: skip
        if self._waiting >= MOST_WAITING:
            raise refuse("busy", "Many sign in at once.", headers={"retry-after": "5"})
        self._waiting += 1
        try:
            over = self._failed.count(name) - TRIES_OF_NAME
            if over > 0:
                await asyncio.sleep(min(LONGEST_PAUSE, 0.5 * over))
            async with self._one:  # each takes 32 MB
                found = await asyncio.to_thread(self._checked, name, password)
        finally:
            self._waiting -= 1
        if not found:
            self._failed.wait(name)
            _logger.warning("a sign-in from %s failed", peer)
        what = "sign-in" if found else "sign-in failed"
        self._access.look(iso(datetime.now(UTC)), name[:80] if found else "", what, "", peer)
        return found

    def _checked(self, name: str, password: str) -> str:
        person = self._access.person(name)
        if name == OWNER and self._settings.console_password:
            person = ("admin", self._owner())
        stored = person[1] if person else self._nobody()
        right = passwords.is_right(password, stored)
        return person[0] if person and right else ""

    def _owner(self) -> str:
        if not hasattr(self, "_kept"):
            self._kept = passwords.kept(self._settings.console_password)
        return self._kept

    def _nobody(self) -> str:
        self._none = self._none or passwords.kept("nobody")
        return self._none
