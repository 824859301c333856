"""Turns: what runs of earlier events are doing, by conversation and by what their rules count by.

A rule's mode, `max` and `once_within` ask what has become of its runs. Of one that has begun or
been woken this moment nobody can say it: an event that meets it is judged when that is done. In
memory only.
"""

from collections.abc import Callable, Mapping

from ringback.rules.engine.waits import shadow_turn

MANY = 1000
"""So many places are kept at least before those where all is done are dropped."""


class Turns:
    """The runs that have begun or been woken, and not come to a wait or an end since, by their
    place. `busy` says whether something is being done under a key."""

    def __init__(self, busy: Callable[[str], bool]) -> None:
        self.busy = busy
        self._homes: dict[str, str] = {}
        self._room = MANY

    def began(self, homes: Mapping[str, str]) -> None:
        """Runs of these places take a turn, each in its conversation."""
        if len(self._homes) > self._room:
            self._homes = {each: home for each, home in self._homes.items() if self.before(each)}
            self._room = max(MANY, 2 * len(self._homes))
        self._homes.update(homes)

    def before(self, place: str) -> str:
        """The key under which the newest run of this place takes its turn; empty when none does."""
        home = self._homes.get(place)
        if home is None:
            return ""
        return next(filter(self.busy, (home, shadow_turn(home))), "")
