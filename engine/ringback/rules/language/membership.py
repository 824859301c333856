"""Membership: whether somebody is in a group, as conditions ask it: `event.from in groups.news`.

A group may have a million members, so it is no list: the two sides of `in` become a call, whose
answer is one look-up. A group stands nowhere else in an expression.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ringback.events import telephone
from ringback.rules.addresses import spelt
from ringback.rules.language import scope
from ringback.rules.language.complaints import Complaint
from ringback.rules.language.tokens import Token, names, tokens

SPACE = "groups"
CALL = "is_member__"
"""The name of the call, which nobody can write."""
_MEND = "ask with `in`: event.from in groups.{}"


@dataclass(frozen=True, slots=True)
class Group:
    """A group. Without a file its members are in the journal, else they are these: each one's
    number, with the address that is written."""

    file: str = ""
    path: Path | None = None
    members: Mapping[str, str] | None = None


class Membership:
    """The groups of one project, and the call that asks about them."""

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self.groups = groups

    def ask(self, address: str, group: str) -> bool:
        """Whether whoever has this address is in a group."""
        here = scope.current()
        members = self.groups[group].members
        if members is None:
            return here.is_member(group, address)
        return telephone(spelt(here.event.ours, address).recipient) in members

    def misplaced(self, source: str, running: str) -> list[Complaint]:
        """Complaints about groups that are used as anything but the right side of `in`. `running`
        is the expression with those calls taken out."""
        if not any(name.text.partition(".")[0] == SPACE for name in names(running)):
            return []
        words = list(tokens(source))
        found = [
            Complaint(word.start, "type", f"{word.text}.{words[at + 2].text} is a group", hint)
            for at, word in enumerate(words[:-2])
            if word.text == SPACE and words[at + 1].text == "." and not is_asked(words, at)
            for hint in (_MEND.format(words[at + 2].text),)
        ]
        text = "only a value that stands for itself can be looked up in a group"
        return found or [Complaint(0, "type", text, "no sum, and no variable of `exists` or `all`")]


def is_asked(words: list[Token], at: int) -> bool:
    """Whether the group that stands at this word is the right side of `in`, and nothing more."""
    behind = words[at + 3].text if at + 3 < len(words) else ""
    return at > 1 and words[at - 1].text == "in" and behind not in (".", "[")
