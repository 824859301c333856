"""Facts about the journal itself: names with values, and what the rules said at which time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ringback.errors import ConfigError
from ringback.store.connection import Connection, one_of
from ringback.store.database import Database
from ringback.store.operations.doings import Doing, carry_out

ACCOUNT = "account"
"""The account of the settings, which actions and events of our own do not name."""

MOVING_FROM, MOVED_TO = "moving_from", "moved_to"
"""Of a journal to which data has not come whole yet, and of one whose data went elsewhere."""


class Meta:
    """The facts about the journal itself, such as a pause that outlasts a restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str, default: str = "") -> str:
        """One value."""
        return await self._database.read(get_meta, key, default)

    async def set(self, key: str, value: str) -> None:
        """Set one value."""
        await self._database.write(set_meta, key, value)

    async def note(self, key: str, value: str, doing: Doing | None = None) -> None:
        """Set one value on which nothing in memory rests: a refusal restarts no worker."""
        await self._database.note(carry_out, doing, set_meta, key, value)


FORGOTTEN = "case when memory is not null then '{}' end"
"""The memory of a run that is cancelled: that it had begun stays, and nothing that was said."""


OPEN_STATES = ("pending", "running", "waiting")
IS_OPEN = one_of(OPEN_STATES)
"""Of a run that has not ended. In these words, beside any narrower ones: they prove to SQLite that
the index of open runs has all that is wanted. Without them it reads all runs that ever were."""

WITHOUT_SUCCESS = ("failed", "refused", "cancelled", "captured")
"""Of an action that has ended."""

RARE_SOURCES = ("repair", "replay", "internal")
"""Of an event that no webhook brought."""

LAST_TURN = f"""
insert into turns (run_uid, event_uid, question, ordinal, at)
select r.uid, :event, '', (
    select coalesce(max(a.ordinal), -1) + 1 from actions a
    where a.event_uid = r.event_uid and a.rule = r.rule
), :at from runs r
where r.uid = :run and r.event_uid <> :event and {one_of(OPEN_STATES, "r.state")}
"""
"""The event that ends a run, which began with another one, is its last turn."""


def get_meta(connection: Connection, key: str, default: str = "") -> str:
    """One value, within a unit of work."""
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return str(row[0]) if row else default


def set_meta(connection: Connection, key: str, value: str) -> None:
    """Set one value, within a unit of work."""
    connection.execute(
        "insert into meta (key, value) values (?, ?) "
        "on conflict (key) do update set value = excluded.value",
        (key, value),
    )


def refuse_moved(journal: Connection, name: str) -> None:
    """Raise ConfigError for a journal whose data has moved elsewhere, and for one to which it has
    not come whole yet: two engines would send the same plan."""
    gone, coming = get_meta(journal, MOVED_TO), get_meta(journal, MOVING_FROM)
    if gone:
        raise ConfigError([f"{name}: its data has moved to {gone}; start the node on that"])
    if coming:
        raise ConfigError(
            [f"{name}: the move from {coming} has not ended; run `ringback db migrate-to` again"]
        )


def in_account(connection: Connection, told: str, action_account: str) -> bool:
    """Whether what is told in one account can be about an action that is done in another or the
    same one (empty: that of the settings). A SID alone is no proof of that."""
    if not told or told == action_account:
        return True
    return not action_account and get_meta(connection, ACCOUNT, told) in ("", told)


@dataclass(frozen=True, slots=True)
class Revision:
    """What a rule says: the digest of it, the lines of its `if`, and the whole of it as JSON."""

    rule: str
    rev: str
    lines: Sequence[str]
    text: str


GONE = "gone"
"""The revision of a rule that is there no more."""
PASSED_OVER = "passed over"
"""In `meta`: the first event of which rules for other addresses have no verdict on record."""


def note_rules(connection: Connection, revisions: Sequence[Revision], now: str) -> None:
    """`Runs.note_rules`, within a unit of work."""
    latest = dict(
        connection.execute(
            "select rule, rev from revisions where id in (select max(id) from revisions "
            "group by rule)"
        ).fetchall()
    )
    since = connection.execute("select coalesce(max(id), 0) + 1 from events").fetchone()[0]
    there = {each.rule for each in revisions}
    left = [name for name, rev in latest.items() if rev != GONE and name not in there]
    connection.executemany(
        "insert into revisions (rule, rev, lines, text, since, at) values (?, ?, ?, ?, ?, ?)",
        [
            (each.rule, each.rev, json.dumps(list(each.lines)), each.text, since, now)
            for each in (*revisions, *(Revision(name, GONE, (), "") for name in left))
            if latest.get(each.rule) != each.rev
        ],
    )
    connection.execute(
        "insert into meta (key, value) values (?, ?) on conflict do nothing", (PASSED_OVER, since)
    )


def rules_at(connection: Connection, event_id: int) -> dict[str, Revision]:
    """What each rule said when this row of the events was matched."""
    rows = connection.execute(
        "select rule, rev, lines, text from revisions where since <= ? order by id", (event_id,)
    )
    found = {row[0]: Revision(row[0], row[1], json.loads(row[2]), row[3]) for row in rows}
    return {name: each for name, each in found.items() if each.rev != GONE}
