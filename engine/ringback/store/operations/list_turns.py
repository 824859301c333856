"""Turns of lists: whose turn it was last, in the journal and among the runs that are under way."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from ringback.store.connection import Connection
from ringback.store.meta import get_meta

DRAW_KEY = "draw_key"
"""The secret of a journal from which choices by chance are made."""
_PREFIX = "turn "
_MOST_PLACES = 2_000
"""So many runs under way are known by the turns that they took."""


class ListTurns:
    """The turns that runs took which are not written yet: no two runs get the same one, and a run
    that is worked out once more gets its own again."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._taken: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = Lock()

    def take(self, name: str, place: str, before: int) -> int:
        """The next turn of a list for this place of a run, behind `before`."""
        with self._lock:
            known = self._taken.get((name, place))
            if known is not None:
                return known
            number = max(before, self._last.get(name, -1)) + 1
            self._last[name] = self._taken[name, place] = number
            if len(self._taken) > _MOST_PLACES:
                self._taken.popitem(last=False)
            return number


def last_turn(connection: Connection, name: str) -> int:
    """The last turn of a list that is written; -1 when there was none."""
    return int(get_meta(connection, _PREFIX + name, "-1"))


def note_turns(connection: Connection, turns: Mapping[str, int]) -> None:
    """Write the turns that a run has taken; a later one that is there stays."""
    connection.executemany(
        "insert into meta (key, value) values (?, ?) on conflict (key) do update set "
        "value = excluded.value "
        "where cast(meta.value as integer) < cast(excluded.value as integer)",
        [(_PREFIX + name, str(number)) for name, number in turns.items()],
    )
