"""Bounded memories of recent requests and their answers, so that a duplicate costs nothing.

They only save work. The durable judgement on duplicates and answers is the worker's.
"""

from collections import OrderedDict


class RecentKeys:
    """A set that forgets: it holds between `size` and twice `size` of the newest keys."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: str) -> None:
        """Remember a key, at the cost of the oldest ones."""
        self._young.add(key)
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()


class AnswerCache:
    """The newest answers by request: at most `entries` of them and `most_bytes` of text."""

    def __init__(self, entries: int, most_bytes: int) -> None:
        self._entries = entries
        self._most = most_bytes
        self._bytes = 0
        self._texts: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        """The answer that was given to this request, if it is still remembered."""
        return self._texts.get(key)

    def put(self, key: str, text: str) -> None:
        """Remember the first answer to a request; a later one does not replace it."""
        if key in self._texts:
            return
        self._texts[key] = text
        self._bytes += len(text)
        while self._texts and (len(self._texts) > self._entries or self._bytes > self._most):
            self._bytes -= len(self._texts.popitem(last=False)[1])
