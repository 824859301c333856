"""Index of phrases: which of many calls such as `event.body.keyword('open')` are true of a text.

All phrases of all rules are looked for in one pass over the words of the text, so that a thousand
rules cost what a few do. It answers exactly what the functions `keyword`, `begins_with` and
`is_phrase` of the language would.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

from ringback.rules.functions.builtins import LOOKING, needed, said
from ringback.rules.language.cel import Program
from ringback.rules.language.hoist import MAPS, Argument, Hoisted
from ringback.rules.language.scope import NEVER, NoFacts, Scope
from ringback.rules.language.tokens import Token, tokens

Words = tuple[str, ...]
Found = dict[Words, list[str]]

_NOBODY: frozenset[str] = frozenset()


def indexed(program: Program) -> dict[str, Hoisted]:
    """The calls of an expression that an index of phrases can answer, by how `running` names them.
    Their phrases are the same for every event."""
    return {
        f"{MAPS['bool']}.{call.key}": call
        for call in program.hoisted
        if call.overload.call in LOOKING and call.args[1].fixed
    }


def guard(program: Program) -> frozenset[str]:
    """Calls (their texts) of which one has to be true for the expression to be; empty when it may
    be true without. `a && b` is false when either is, whatever the other would have said."""
    known = {name: call.text for name, call in indexed(program).items()}
    if not known or program.type != "bool":
        return _NOBODY
    return _guard(list(tokens(program.running)), known)


def _guard(words: Sequence[Token], known: Mapping[str, str]) -> frozenset[str]:
    call = known.get("".join(word.text for word in words[:3])) if len(words) == 3 else None
    if call is not None:
        return frozenset((call,))
    if len(_signs(words, "?")) > 1:
        return _NOBODY
    parts = _signs(words, "||")
    if len(parts) > 1:
        found = [_guard(part, known) for part in parts]
        return frozenset().union(*found) if all(found) else _NOBODY
    parts = _signs(words, "&&")
    if len(parts) > 1:
        return next(filter(None, (_guard(part, known) for part in parts)), _NOBODY)
    if len(words) > 2 and words[0].text == "(" and _close(words) == len(words) - 1:
        return _guard(words[1:-1], known)
    return _NOBODY


def _signs(words: Sequence[Token], sign: str) -> list[Sequence[Token]]:
    """What stands between these signs, brackets being one thing."""
    parts: list[Sequence[Token]] = []
    start = depth = 0
    for index, word in enumerate(words):
        if word.kind == "sign":
            depth += (word.text in "([{") - (word.text in ")]}")
            if depth == 0 and word.text == sign:
                parts.append(words[start:index])
                start = index + 1
    return [*parts, words[start:]]


def _close(words: Sequence[Token]) -> int:
    """The index of the bracket that closes the first one."""
    depth = 0
    for index, word in enumerate(words):
        if word.kind == "sign":
            depth += (word.text in "([{") - (word.text in ")]}")
            if depth == 0:
                return index
    return -1


class _Text:
    """The phrases that are looked for in one text, each with the calls (by text) that want it."""

    __slots__ = ("anywhere", "beginning", "beginnings", "calls", "starts", "text", "whole")

    def __init__(self, text: Argument) -> None:
        self.text = text
        self.calls: set[str] = set()
        self.anywhere: Found = {}
        self.beginning: Found = {}
        self.whole: Found = {}
        self.starts: dict[str, tuple[int, ...]] = {}
        self.beginnings: tuple[int, ...] = ()

    def add(self, call: Hoisted) -> None:
        if call.text in self.calls:
            return
        self.calls.add(call.text)
        wanted = call.args[1].value(Scope(NEVER, NoFacts()))
        places = getattr(self, LOOKING[call.overload.call])
        for phrase in needed((wanted,) if isinstance(wanted, str) else wanted):
            places.setdefault(phrase, []).append(call.text)
            if places is self.anywhere:
                sizes = self.starts.get(phrase[0], ())
                self.starts[phrase[0]] = tuple(sorted({*sizes, len(phrase)}))
        self.beginnings = tuple({len(phrase) for phrase in self.beginning})

    def find(self, have: Words) -> set[str]:
        """The calls that are true of a text of these words."""
        found = set(self.whole.get(have, ()))
        for size in self.beginnings:
            found.update(self.beginning.get(have[:size], ()))
        present: set[Words] = set()
        for place, word in enumerate(have):
            for size in self.starts.get(word, ()):
                present.add(have[place : place + size])
        for phrase in present:
            found.update(self.anywhere.get(phrase, ()))
        return found


class Phrases:
    """The index of these calls. Of the `asked` ones (their texts), which are going to be evaluated
    in any case, it tells a scope also that they are false."""

    def __init__(self, calls: Iterable[Hoisted], asked: Set[str] = _NOBODY) -> None:
        texts: dict[str, _Text] = {}
        for call in calls:
            texts.setdefault(call.receiver, _Text(call.args[0])).add(call)
        self._texts = tuple(
            (each, dict.fromkeys(asked & each.calls, False)) for each in texts.values()
        )

    def true(self, scope: Scope) -> set[str]:
        """The calls (their texts) that are true, and those on a text that cannot be had: the line
        says why. The scope knows the values from now on."""
        found: set[str] = set()
        for each, absent in self._texts:
            try:
                have = said(each.text.value(scope))
            except Exception:
                found |= each.calls
                continue
            true = each.find(have)
            scope.know(absent)
            scope.know(dict.fromkeys(true, True))
            found |= true
        return found
