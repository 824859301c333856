"""Questions of decisions that wait for a person: drafts, sends in doubt, doubles, claims."""

from ringback.rules.model import WAITS_FOR_YES
from ringback.store.incidents import OPEN
from ringback.store.queries.bounded_lists import BoundedLists
from ringback.store.queries.files import Row
from ringback.store.queries.run_lists import with_params

COUNTED = 1000
"""What waits is counted so far."""
_WAITS = "state in ('parked', 'unknown')"


class Undecided(BoundedLists):
    """What only a person can decide."""

    def undecided(self, limit: int, after: str = "") -> list[Row]:
        """Actions that are parked or unknown, the oldest first, those after that one (uid): see
        `decidable`."""
        rows = self._all(
            f"select * from actions where {_WAITS} and +id > "
            "coalesce((select id from actions where uid = ?), 0) order by id limit ?",
            (after, limit),
        )
        return [self._decidable(row) for row in rows]

    def decidable(self, uid: str) -> Row | None:
        """An action with its `attempts`. `draft` says that it waits for its first yes or no."""
        row = self._one("select * from actions where uid = ?", (uid,))
        return self._decidable(row) if row else None

    def _decidable(self, row: Row) -> Row:
        draft = row["state"] == "parked" and row["reason"] == WAITS_FOR_YES
        return with_params(row) | {"attempts": self.attempts(row["uid"]), "draft": draft}

    def undecided_count(self) -> int:
        """How many of those there are, `COUNTED` at most."""
        found = self._one(
            f"select count(*) as n from (select 1 from actions where {_WAITS} limit ?) as few",
            (COUNTED,),
        )
        return int(found["n"]) if found else 0

    def in_quarantine(self) -> list[Row]:
        """The rules that do not run until a person says otherwise."""
        return [row for row in self.strikes() if row["quarantined_at"]]

    def made_twice(self) -> list[Row]:
        """The open incidents of actions that were carried out twice, the oldest first."""
        return self._all(f"select * from {OPEN} and kind = 'duplicate' order by id limit 100")

    def claimed(self, limit: int) -> list[Row]:
        """Events that nobody has proven, the newest first."""
        return self._all(
            "select uid, type, received_at, sender, recipient, verdicts from events "
            "where trust = 'claimed' order by id desc limit ?",
            (limit,),
        )
