"""Mutes: conversations that a person has taken over from the rules, until a time."""

from dataclasses import astuple, dataclass, fields

from ringback.store.connection import Connection, replacing
from ringback.store.database import Database
from ringback.store.operations.doings import Doing, carry_out


@dataclass(frozen=True, slots=True)
class Mute:
    """Until then no rule is offered the texts of a conversation, which has the outside id `uid`."""

    conversation: str
    uid: str
    until: str
    by: str
    reason: str
    at: str


_NAMES = tuple(field.name for field in fields(Mute))
OF = f"select {', '.join(_NAMES)} from mutes where conversation = ? and until > ?"


class Mutes:
    """The conversations that persons have taken over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(self, mute: Mute, doing: Doing | None = None) -> None:
        """Keep rules from a conversation; what was said of it before is over."""
        await self._database.write(carry_out, doing, _give, mute)

    async def end(self, conversation: str, now: str, doing: Doing | None = None) -> bool:
        """Give a conversation back to the rules. False when they have it already."""
        return bool(await self._database.write(carry_out, doing, _end, conversation, now))


def mute_of(connection: Connection, conversation: str, now: str) -> Mute | None:
    """The mute of a conversation that holds at this moment."""
    row = connection.execute(OF, (conversation, now)).fetchone()
    return Mute(*row) if row else None


def _give(connection: Connection, mute: Mute) -> None:
    connection.execute("delete from mutes where until <= ?", (mute.at,))
    connection.execute(replacing("mutes", _NAMES), astuple(mute))


def _end(connection: Connection, conversation: str, now: str) -> int:
    return connection.execute(
        "delete from mutes where conversation = ? and until > ?", (conversation, now)
    ).rowcount
