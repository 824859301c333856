"""Actions: what runs want done, each with its state and its reason."""

from ringback.store.attempts import COLUMNS, StoredAction
from ringback.store.database import Database


class Actions:
    """The actions of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, uid: str) -> StoredAction | None:
        """One action by its uid."""
        row = await self._database.one(f"select {COLUMNS} from actions where uid = ?", (uid,))
        return StoredAction(*row) if row else None

    async def result(self, uid: str) -> tuple[int, int]:
        """Twilio's code for what went wrong with an action, 0 when nothing did; and how many
        requests were made for it."""
        row = await self._database.one(
            "select error_code, (select count(*) from attempts where action_uid = a.uid) "
            "from actions a where uid = ?",
            (uid,),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)
