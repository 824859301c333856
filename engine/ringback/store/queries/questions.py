"""Questions of people to the log and the journal: read-only, each one short.

Every answer is plain data under the names of the columns, ready for a table, for JSON or for a
template. Nothing here needs a running node, and nothing here can change a file. A question costs
what it returns, and not what lies in the files: `tests/unit/test_query_plans.py` looks at its plan.
"""

from ringback.store.consents import OptOuts, opt_outs
from ringback.store.incidents import OPEN
from ringback.store.meta import get_meta
from ringback.store.queries.files import Row
from ringback.store.queries.rule_counts import RuleActivity
from ringback.store.sqlite import translated


class Questions(RuleActivity):
    """The questions to one data folder. Raises StorageError when no node of this program has run
    on it, and DataError for the journal of a newer one."""

    def meta(self, key: str) -> str:
        """A fact about the journal itself; empty when it is not there."""
        with translated(self._path):
            return get_meta(self._connection, key)

    def open_incidents(self, kind: str = "") -> list[Row]:
        """The incidents that are not over, oldest first."""
        return self._all(f"select * from {OPEN} and ? in (kind, '') order by id", (kind,))

    def opt_outs(self, since: str) -> OptOuts:
        """Who has left whom. Those of whom only a refused send told are counted since then."""
        with translated(self._path):
            return opt_outs(self._connection, since)
