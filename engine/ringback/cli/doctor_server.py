"""Checks of the doctor: the PostgreSQL server of a node, where it has one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from ringback.cli.finding import BAD, OK, WARN, Finding, from_error
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.gateway.client import Gateway

if TYPE_CHECKING:
    from ringback.store.postgres.server_safety import Safety

_LOSES = "what was acknowledged can get lost"


async def server(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether the server can be used, and keeps what it has confirmed."""
    if not settings.database_url:
        return
    from ringback.store.postgres.server_safety import safety

    try:
        found = await asyncio.to_thread(safety, settings.database_url)
    except RingbackError as error:
        yield from_error("server", error)
        return
    wrong = list(_wrong(found))
    for finding in wrong:
        yield finding
    if not wrong:
        says = f"PostgreSQL {found.version}, {found.database}, {found.standbys} in step with it"
        yield Finding("server", OK, says)


def _wrong(found: "Safety") -> Iterator[Finding]:
    if found.old:
        says = f"PostgreSQL {found.version} is too old"
        yield Finding("server", BAD, says, "use PostgreSQL 15 or later")
    if found.pooled:
        says = "a pooler stands in front of the server"
        yield Finding("server", BAD, says, "name the server itself in RINGBACK_DATABASE_URL")
    for name in found.off:
        says = f"{name} is off: {_LOSES}, or damaged, in a crash"
        yield Finding("server", BAD, says, f"set {name} = on at the server")
    if not found.waits:
        says = f"synchronous_commit is {found.commit}: {_LOSES}"
        yield Finding("server", BAD, says, "set synchronous_commit = on, for this user too")
    if found.standbys is None:
        says = "this user may not see whether a standby is synchronous"
        yield Finding("server", WARN, says, "grant pg_monitor to the user of RINGBACK_DATABASE_URL")
    elif not found.standbys:
        says = f"no standby is synchronous: {_LOSES} with the server's disk"
        yield Finding("server", BAD, says, "set synchronous_standby_names: `ringback docs cluster`")
    if found.tables is None:
        says = f"{found.database} has no tables of Ringback"
        yield Finding("server", BAD, says, "make them: `ringback cluster create`")
    elif not found.fits:
        says = f"the tables of {found.database} are those of another version of Ringback"
        yield Finding("server", BAD, says, "use the program that made them")
