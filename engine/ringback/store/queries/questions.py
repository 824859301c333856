"""Questions of people to the log and the journal: read-only, each one short.

Every answer is plain data under the names of the columns, ready for a table, for JSON or for a
template. Nothing here needs a running node, and nothing here can change a file. A question costs
what it returns, and not what lies in the files: `tests/unit/test_query_plans.py` looks at its plan.
"""

from ringback.store.consents import OptOuts, opt_outs
from ringback.store.console.chats import Chats
from ringback.store.incidents import OPEN
from ringback.store.meta import get_meta
from ringback.store.queries.files import Row


class Questions(Chats):
    """The questions to one data folder. Raises StorageError when no node of this program has run
    on it, and DataError for the journal of a newer one."""

    def meta(self, key: str) -> str:
        """A fact about the journal itself; empty when it is not there."""
        with self._translated():
            return get_meta(self._connection, key)

    def open_incidents(self, kind: str = "") -> list[Row]:
        """The incidents that are not over, oldest first."""
        return self._all(f"select * from {OPEN} and ? in (kind, '') order by id", (kind,))

    def incidents(
        self, *, open_only: bool = True, kind: str = "", since: str = "", limit: int = 50
    ) -> list[Row]:
        """Incidents, the newest first: those that are open, or all; of a kind, begun since then."""
        return self._all(
            f"select * from {OPEN if open_only else 'incidents where true'} "
            "and ? in (kind, '') and opened_at >= ? order by id desc limit ?",
            (kind, since, limit),
        )

    def incident(self, name: str) -> Row | None:
        """The incident of this id, or the last one of this key; None when there is none."""
        found = self._all(
            "select * from incidents where uid = ? or key = ? order by id desc limit 1",
            (name, name),
        )
        return found[0] if found else None

    def opt_outs(self, since: str) -> OptOuts:
        """Who has left whom. Those of whom only a refused send told are counted since then."""
        with self._translated():
            return opt_outs(self._connection, since)
