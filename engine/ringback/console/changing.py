"""Changes of who may come in: people, tokens, sessions. Each is noted in the table `looks`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from starlette.requests import Request

from ringback.console.identity import identity_of, may
from ringback.console.page import access_of, console_of
from ringback.console.problems import refuse
from ringback.errors import UsageError
from ringback.runtime import REAL, iso
from ringback.store.console import passwords
from ringback.store.console.access import (
    Access,
    require_name,
    require_password,
    require_token_name,
)

T = TypeVar("T")

DAYS = 365
MOST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. Nobody can read its secret later. `others` are the ids of those
    that had its name before."""

    id: str
    name: str
    role: str
    scope: str
    ends_at: str
    secret: str
    others: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        """The same as JSON."""
        return {each: getattr(self, each) for each in self.__slots__}


async def put_person(
    request: Request, key: str, name: str, role: str, password: str
) -> dict[str, Any]:
    """Add a person, or give one another role and password."""
    name = _checked("name", require_name, name)
    _checked("password", require_password, password)
    kept = await asyncio.to_thread(passwords.kept, password)
    at = iso(REAL.now())

    def change(access: Access) -> dict[str, Any]:
        access.put_person(name, role, kept, at)
        return {"name": name, "role": role, "made_at": at}

    return dict(await _changed(request, key, f"person added, {role}", name, change))


async def drop_person(request: Request, key: str, name: str) -> None:
    """Let a person in no more."""
    at = iso(REAL.now())
    await _changed(
        request, key, "person removed", name, lambda access: access.drop_person(name, at)
    )


async def make_token(
    request: Request, key: str, name: str, role: str, days: int, *, whole: bool
) -> NewToken:
    """A token of the JSON API."""
    name = _checked("name", require_token_name, name)
    now = REAL.now()
    ends, scope = iso(now + timedelta(days=days)), "pii" if whole else ""

    def change(access: Access) -> NewToken:
        others = access.tokens_of(name)
        uid, secret = access.new_token(name, role, scope, iso(now), ends)
        return NewToken(uid, name, role, scope, ends, secret, others)

    found = await _changed(request, key, f"token made, {role}{' ' if scope else ''}{scope}", name,
                           change)  # fmt: skip
    assert isinstance(found, NewToken)
    return found


async def drop_token(request: Request, key: str, uid: str) -> None:
    """Let a token in no more."""
    await _changed(request, key, "token removed", uid, lambda access: access.drop_token(uid))


async def end_session(request: Request, key: str, short: str) -> None:
    """Sign somebody out of one session, by the short id of lists."""
    await _changed(
        request, key, "session ended", short, lambda access: access.end_session_of(short)
    )


def _checked(field: str, check: Callable[[str], T], given: str) -> T:
    """A value that was checked as the shell does it. Raises a Refusal with the same words."""
    try:
        return check(given)
    except UsageError as error:
        raise refuse("field", str(error), fields=((field, str(error)),)) from None


async def _changed(
    request: Request, key: str, what: str, subject: str, change: Callable[[Access], Any]
) -> Any:
    """Make a change once for its request, and note it. Raises a Refusal."""
    identity = identity_of(request)
    if not may(identity, "admin"):
        raise refuse("role", "Who may come in is decided by the role `admin`.")
    entry = access_of(request)

    async def work() -> Any:
        try:
            found = change(entry.access)
        except UsageError as error:
            raise refuse("missing", str(error)) from None
        entry.note(identity, what, subject)
        return found

    once = console_of(request).once
    return await once.do(identity.name, request.url.path, key, work)
