"""Facts about the journal itself: a small table of names and values."""

from sqlite3 import Connection

from ringback.store.database import Database


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

    async def note(self, key: str, value: str) -> None:
        """Set one value on which nothing in memory rests: a refusal restarts no worker."""
        await self._database.note(set_meta, key, value)


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
