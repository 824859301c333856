"""Locks of runs: which run came first to a key. One is held until its run has ended, and longer
where it says so."""

from dataclasses import dataclass
from hashlib import sha256

from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.meta import IS_OPEN


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run asks for: its uid, the key, and until when the lock is held at least. A rule in
    `shadow` has locks of its own."""

    run_uid: str
    key: str
    until: str
    shadow: str = ""


class RunLocks:
    """The locks of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, claim: Claim, now: str) -> str:
        """Take a lock for a run, unless another one holds it: the uid of that one, else empty.
        Durable when it returns."""
        return await self._database.write(_take, claim, now)


_TAKE = f"""
insert into run_locks (key, shadow, run_uid, at, until)
select :key, :shadow, uid, :now, :until from runs where uid = :run and {IS_OPEN}
on conflict (key, shadow) do update set run_uid = excluded.run_uid, at = excluded.at, until =
    case when run_locks.run_uid = excluded.run_uid then max(run_locks.until, excluded.until)
    else excluded.until end
where run_locks.run_uid = excluded.run_uid or (
    run_locks.until <= excluded.at
    and not exists (select 1 from runs where uid = run_locks.run_uid and {IS_OPEN})
)
"""
"""A run that has ended takes none, and has none that was for its time alone."""

GONE = """
delete from run_locks where not exists (select 1 from runs where uid = run_locks.run_uid)
"""
"""What forgets the locks of runs that were erased: their keys may name the person."""


def _take(connection: Connection, claim: Claim, now: str) -> str:
    place = {"key": key_of(claim.key), "shadow": claim.shadow}
    given = {**place, "run": claim.run_uid, "now": now, "until": claim.until}
    connection.execute(_TAKE, given)
    held = "select run_uid from run_locks where key = :key and shadow = :shadow"
    row = connection.execute(held, place).fetchone()
    return "" if row is None or row[0] == claim.run_uid else str(row[0])


def key_of(key: str) -> str:
    """The key as it is kept: it may name a person, so it cannot be read back."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def sweep(connection: Connection, before: str) -> None:
    """Forget the locks of runs that have ended that were held until before that moment."""
    connection.execute(
        "delete from run_locks where until < ? "
        f"and not exists (select 1 from runs where uid = run_locks.run_uid and {IS_OPEN})",
        (before,),
    )
