"""Hoisting of function calls: taken out of an expression, and made in Python.

The library leaks the arguments of every call that it makes into Python (measured with 0.1.3: some
200 bytes a call, for ever). So a call whose arguments stand for themselves is made by us before the
evaluation, and the expression finds its value in a map: `event.body.keyword('open')` becomes
`bool__.k7`. It is faster too, and rules that ask the same thing of an event ask it once. A call
that failed has no value in the map: it matters only if the evaluation gets there, as before. A call
on the variable of a comprehension stays where it is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ringback.rules.language.membership import CALL, SPACE, is_asked
from ringback.rules.language.tokens import Token, tokens

_SUMS = ("+", "-", "*", "/", "%", "!", ".")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_PYTHON: dict[str, tuple[type, ...]] = {
    "bool": (bool,), "string": (str,), "int": (int,), "double": (float, int),
    "timestamp": (datetime,), "duration": (timedelta,), "list(string)": (list, tuple),
}  # fmt: skip

MAPS: dict[str, str] = {word: f"{word.partition('(')[0]}__" for word in _PYTHON}
"""The map in which the values of each type are found."""

EVERY = "lists__"
"""The lists again, with every spelling of each address: what `in lists.NAME` looks in."""


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call one of our functions."""

    args: tuple[str, ...]
    returns: str
    member: bool
    call: Callable[..., Any]


class Argument(Protocol):
    """What an argument must be able to do: a compiled expression."""

    @property
    def type(self) -> str:
        """Its CEL type."""

    @property
    def fixed(self) -> bool:
        """Whether its value is the same in every scope."""

    def value(self, scope: Any) -> Any:
        """Its value. Raises ValueError when it has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Hoisted:
    """One call that is made before the evaluation; `key` is where its value goes. `receiver` is the
    text of its first argument."""

    key: str
    text: str
    receiver: str
    overload: Overload
    args: tuple[Argument, ...]

    def make(self, scope: Any) -> Any:
        """The value of the call. Raises whatever the function raises, and ValueError for a value
        of another type than it promised."""
        value = self.overload.call(*[argument.value(scope) for argument in self.args])
        wanted = self.overload.returns
        if wanted == "bool" and (value is True or value is False):
            return value
        if not isinstance(value, _PYTHON[wanted]) or (wanted == "int" and value is True):
            raise ValueError(f"gave {type(value).__name__} and not {wanted}")
        if isinstance(value, str):
            return value.replace("\0", "\ufffd")
        return float(value) if isinstance(value, int) and wanted == "double" else value


Find = Callable[[str], "Argument | None"]
"""Compiles an argument; None when it does not stand for itself."""


class Hoister:
    """Rewrites expressions. `overloads` are our functions, by name; `find` compiles arguments;
    `lists` names those in which an address has more than one spelling."""

    def __init__(
        self,
        overloads: Mapping[str, Sequence[Overload]],
        find: Find,
        lists: Collection[str] = (),
    ) -> None:
        self.lists = lists
        self._overloads = overloads
        self._find = find
        self._keys: dict[str, str] = {}

    def finding(self, find: Find) -> "Hoister":
        """The same with other arguments; calls keep their keys."""
        other = Hoister(self._overloads, find, self.lists)
        other._keys = self._keys
        return other

    def rewrite(self, source: str) -> tuple[str, tuple[Hoisted, ...]]:
        """The expression with its calls taken out, and the calls."""
        made: dict[str, Hoisted] = {}
        text = _Rewriting(source, self, made).all()
        return text, tuple(made.values())

    def call(self, name: str, sources: Sequence[str], member: bool) -> Hoisted | None:
        """The call as something to be made before; None when it has to stay where it is."""
        overloads = self._overloads.get(name)
        if not overloads or not sources:
            return None
        args = []
        for source in sources:
            argument = self._find(source)
            if argument is None:
                return None
            args.append(argument)
        types = tuple(argument.type for argument in args)
        for overload in overloads:
            if overload.args == types and overload.member == member:
                text = f"{name}({', '.join(source.strip() for source in sources)}){member}"
                key = self._keys.setdefault(text, f"k{len(self._keys)}")
                return Hoisted(key, text, sources[0].strip(), overload, tuple(args))
        return None

    def knows(self, name: str) -> bool:
        """Whether this is one of our functions."""
        return name in self._overloads


class _Rewriting:
    def __init__(self, source: str, hoister: Hoister, made: dict[str, Hoisted]) -> None:
        self.source, self.hoister, self.made = source, hoister, made
        self.words: list[Token] = list(tokens(source))
        self.among = False
        """Whether this is what is searched by `in`."""

    def all(self) -> str:
        return self.span(0, len(self.words), 0, len(self.source))

    def span(self, index: int, end: int, start: int, stop: int) -> str:
        """The words from `index` up to `end`, with the space around them from the source."""
        parts: list[str] = []
        at = start
        while index < end:
            parts.append(self.source[at : self.words[index].start])
            first = index
            index, text = self.chain(index, end)
            index, text = self.member(first, index, end) or (index, text)
            parts.append(text)
            at = self.words[index - 1].end
        parts.append(self.source[at:stop])
        return "".join(parts)

    def member(self, first: int, index: int, end: int) -> tuple[int, str] | None:
        """`… in groups.NAME` as a call, when that stands behind the value from `first` on, which is
        no part of a sum; else None."""
        words = self.words
        texts = [word.text for word in words[index : min(index + 4, end)]]
        if texts[:3] != ["in", SPACE, "."] or len(texts) < 4 or not is_asked(words, index + 1):
            return None
        if first and words[first - 1].text in _SUMS:
            return None
        value = self.source[words[first].start : words[index - 1].end]
        hoisted = self.hoister.call(CALL, [value, repr(texts[3])], False)
        if hoisted is None:
            return None
        self.made[hoisted.key] = hoisted
        self.among = False
        return index + 4, f"{MAPS['bool']}.{hoisted.key}"

    def chain(self, index: int, end: int) -> tuple[int, str]:
        """One value with all that is selected from it and called on it."""
        first = self.words[index]
        at, text = index + 1, first.text
        if text == "in":
            self.among = True
            return at, text
        path = [text] if first.kind == "name" else []
        if first.text in _CLOSING and first.kind == "sign":
            close = self.close(index, end)
            text, at = self.inside(index, close), close + 1
        elif path and self.is_sign(at, end, "("):
            at, text = self.called(at, end, first.text, None, text)
            path = []
        elif first.kind not in ("name", "string", "number"):
            self.among &= text == "+"
            return at, text
        while at < end:
            if self.is_sign(at, end, "["):
                close = self.close(at, end)
                text, at, path = text + self.inside(at, close), close + 1, []
            elif self.is_sign(at, end, ".") and at + 1 < end and self.words[at + 1].kind == "name":
                name = self.words[at + 1].text
                before, at = at, at + 2
                if not self.is_sign(at, end, "("):
                    text += f".{name}"
                    path = [*path, name] if path else []
                    continue
                dotted = ".".join([*path, name])
                if path and self.hoister.knows(dotted):
                    at, text = self.called(at, end, dotted, None, f"{text}.{name}")
                else:
                    receiver = self.source[first.start : self.words[before].start]
                    at, text = self.called(at, end, name, receiver, f"{text}.{name}")
                path = []
            else:
                break
        if self.among and len(path) == 2 and path[0] == "lists" and path[1] in self.hoister.lists:
            text = f"{EVERY}.{path[1]}"
        return at, text

    def called(
        self, at: int, end: int, name: str, receiver: str | None, text: str
    ) -> tuple[int, str]:
        """A call whose bracket opens at `at`: its place in the map, or itself, rewritten."""
        close = self.close(at, end)
        sources = [receiver] if receiver is not None else []
        sources += self.arguments(at, close)
        hoisted = self.hoister.call(name, sources, receiver is not None)
        if hoisted is None:
            return close + 1, text + self.inside(at, close)
        self.made[hoisted.key] = hoisted
        return close + 1, f"{MAPS[hoisted.overload.returns]}.{hoisted.key}"

    def inside(self, opening: int, close: int) -> str:
        """A bracket with what is in it, rewritten."""
        start, stop = self.words[opening].end, self.words[close].start
        inner = self.span(opening + 1, close, start, stop)
        return f"{self.words[opening].text}{inner}{self.words[close].text}"

    def arguments(self, opening: int, close: int) -> list[str]:
        """The texts between the commas of a bracket."""
        found: list[str] = []
        start, depth = self.words[opening].end, 0
        for word in self.words[opening + 1 : close]:
            if word.kind == "sign":
                depth += (word.text in _CLOSING) - (word.text in _CLOSING.values())
                if word.text == "," and depth == 0:
                    found.append(self.source[start : word.start])
                    start = word.end
        last = self.source[start : self.words[close].start]
        return [*found, last] if last.strip() else found

    def is_sign(self, at: int, end: int, text: str) -> bool:
        return at < end and self.words[at].text == text and self.words[at].kind == "sign"

    def close(self, opening: int, end: int) -> int:
        """The index of the bracket that closes this one."""
        depth = 0
        for index in range(opening, end):
            word = self.words[index]
            if word.kind == "sign":
                depth += (word.text in _CLOSING) - (word.text in _CLOSING.values())
                if depth == 0:
                    return index
        return end - 1
