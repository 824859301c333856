"""Turns: calls that wait for a place, taken round robin by their owner, and a fair share of places.

An owner that has a place gets another one only while a quarter of all would stay free for owners
that have none. So whose calls are slow cannot keep the others from theirs.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """`places` is how many calls may run at once."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self._held: dict[str, int] = {}
        self._waiting: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def waits(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def may(self, owner: str) -> bool:
        """Whether a call of this owner may take a place now."""
        if owner not in self._held:
            return self.taken < self.places
        return self.places - self.taken - 1 >= self.places // 4

    def take(self, owner: str) -> None:
        """A call of this owner takes a place."""
        self.taken += 1
        self._held[owner] = self._held.get(owner, 0) + 1

    def free(self, owner: str) -> None:
        """A call of this owner gives its place back."""
        self.taken -= 1
        if self._held[owner] == 1:
            del self._held[owner]
        else:
            self._held[owner] -= 1

    def wait(self, owner: str, call: T, *, first: bool = False) -> None:
        """A call waits for its turn; `first` puts it before the others of its owner."""
        calls = self._waiting.setdefault(owner, deque())
        if first:
            calls.appendleft(call)
        else:
            calls.append(call)

    def next(self) -> tuple[str, T] | None:
        """The next call that may take a place, with its owner; None when there is none."""
        owner = next(filter(self.may, self._waiting), None)
        if owner is None:
            return None
        calls = self._waiting.pop(owner)
        call = calls.popleft()
        if calls:
            self._waiting[owner] = calls  # behind the other owners
        return owner, call

    def allowed(self) -> int:
        """How many of those that wait could take a place, at most one for each owner that has none,
        and any number for others as long as a quarter stays free."""
        spare = max(0, self.places - self.taken - self.places // 4)
        new = sum(owner not in self._held for owner in self._waiting)
        return min(self.places - self.taken, max(new, min(spare, len(self))))

    def drop(self, owner: str, call: T) -> bool:
        """Take a call that waits out again; whether it was there."""
        calls = self._waiting.get(owner)
        if calls is None or call not in calls:
            return False
        calls.remove(call)
        if not calls:
            del self._waiting[owner]
        return True

    def drain(self) -> list[T]:
        """Everything that waits, which waits no longer."""
        found = [call for calls in self._waiting.values() for call in calls]
        self._waiting.clear()
        return found
