"""Action ends: that an action has come to its end, noted until the event of it is recorded."""

from collections.abc import Iterable
from sqlite3 import Connection

from ringback.events import Event
from ringback.store.database import Database
from ringback.store.events import record_internal


class ActionEnds:
    """The ends of actions whose events are still to be recorded, of the states subscribed to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(self, states: Iterable[str]) -> None:
        """From now on note these ends of actions, and no others."""
        await self._database.write(_subscribe, states)

    async def pending(self) -> list[tuple[str, str]]:
        """The ends that have no event yet: the action and the state that it came to."""
        rows = await self._database.all("select action_uid, state from ends order by id")
        return [(row[0], row[1]) for row in rows]

    async def record(self, event: Event, action_uid: str, state: str) -> bool:
        """Record the event of an action's end, which is pending no longer. False when the event is
        known."""
        return await self._database.write(_record, event, action_uid, state)


def _subscribe(connection: Connection, states: Iterable[str]) -> None:
    connection.execute("delete from listens")
    connection.executemany("insert into listens (state) values (?)", [(each,) for each in states])
    connection.execute("delete from ends where state not in (select state from listens)")


def _record(connection: Connection, event: Event, action_uid: str, state: str) -> bool:
    connection.execute("delete from ends where action_uid = ? and state = ?", (action_uid, state))
    return record_internal(connection, event)
