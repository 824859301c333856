"""Choices: one of a list by chance or in turn, and digits that nobody can guess.

A choice is made from the key of the node, the run and the place in its steps, so that a step which
is worked out once more (after a crash, or when a plugin has answered) chooses the same.
"""

import hashlib
import hmac
from collections.abc import Sequence

from ringback.rules.functions.function import Builtin
from ringback.rules.language import scope
from ringback.rules.language.complaints import Complaint
from ringback.rules.language.tokens import Token, names, tokens

MOST_DIGITS = 18


def pick(items: Sequence[str]) -> str:
    """One of a list, by chance."""
    return items[_drawn("pick", len(_filled(items)))]


def random_digits(count: int) -> str:
    """So many digits that nobody can guess."""
    if not 0 < count <= MOST_DIGITS:
        raise ValueError(f"random_digits makes 1 to {MOST_DIGITS} digits, not {count}")
    return f"{_drawn('digits', 10**count):0{count}}"


def next_of(items: Sequence[str]) -> str:
    """The one of a list whose turn it is. The turn is written with the run."""
    current, name = scope.current(), turn_name(_filled(items))
    before = current.turns.get(name, -1)
    number = current.turns[name] = current.facts.turn(name, current.place, before)
    return items[number % len(items)]


def turn_name(items: Sequence[str]) -> str:
    """The name under which the turn of a list is kept: what is in it."""
    return hashlib.sha256("\0".join(items).encode()).hexdigest()[:24]


def misplaced(source: str, inlined: str, *, once: bool) -> list[Complaint]:
    """Complaints about choices in a condition, which may be asked more than `once`, and about turns
    of lists that are made when a rule runs: each would have its own. `inlined` is the expression
    with the values of the rule in it."""
    mend = "choose in `let` or in a text of a step: let: {who: ${{ … }}}"
    if not once and any(name.called and name.text in _NAMES for name in names(inlined)):
        found = [name for name in names(source) if name.called and name.text in _NAMES]
        place, what = (found[0].start, f"{found[0].text}()") if found else (0, "a value by chance")
        return [Complaint(place, "type", f"{what} cannot stand in a condition", mend)]
    words, text = list(tokens(source)), "next_of() takes a list that the rule file says"
    hint = "write next_of(lists.NAME), or the list itself: next_of(['ann', 'bob'])"
    return [
        Complaint(word.start, "type", text, hint)
        for index, word in enumerate(words)
        if word.text == "next_of" and not _is_fixed(words[index + 2 :])
    ]


def _is_fixed(words: Sequence[Token]) -> bool:
    close = next((index for index, word in enumerate(words) if word.text == ")"), len(words))
    inside = words[:close]
    named = [word.text for word in inside[:2]] == ["lists", "."] and len(inside) == 3
    return named or all(word.kind == "string" or word.text in "[]," for word in inside)


def _filled(items: Sequence[str]) -> Sequence[str]:
    if not items:
        raise ValueError("the list is empty")
    return items


def _drawn(what: str, below: int) -> int:
    """A number below this one, which is the same at this place of this run."""
    current = scope.current()
    said = f"{what} {below} {current.place}"
    drawn = hmac.digest(current.facts.draw_key().encode(), said.encode(), "sha256")
    return int.from_bytes(drawn, "big") % below


_TEXTS = "list(string)"
ROWS = (
    Builtin("pick", (_TEXTS,), "string", False, pick,
            "One of a list, by chance.", "size(pick(['red', 'blue'])) >= 3"),
    Builtin("next_of", (_TEXTS,), "string", False, next_of,
            "The one of a list whose turn it is, over all runs of all rules; a list that is "
            "changed begins anew.", "next_of(['ann', 'bob']) == 'ann'"),
    Builtin("random_digits", ("int",), "string", False, random_digits,
            "So many digits (18 at most) that nobody can guess, as for a code.",
            "size(random_digits(6)) == 6"),
)  # fmt: skip
_NAMES = frozenset(row.name for row in ROWS)
