"""Actions by whatever people know of them: a number, an outcome, a code, a rule, a time."""

from dataclasses import dataclass
from typing import NamedTuple

from ringback.events import person
from ringback.outcomes import EFFECTS, state_for
from ringback.store.connection import first_since, one_of
from ringback.store.meta import WITHOUT_SUCCESS
from ringback.store.queries.failed_texts import FailedTexts
from ringback.store.queries.files import Row
from ringback.store.queries.run_lists import COMMON, with_params

READ = 50_000
"""So many actions are looked at, at most, for those that fit; the newest of them."""
OURS = "conversation >= ? and conversation < ?"
"""The conversations of one of our numbers."""

_WITH_CODES = ("failed", "refused", "cancelled", "captured", "parked", "unknown", "planned",
               "deferred")  # fmt: skip
"""The states in which an action may have an error code: those that most come to have none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the actions have to be like; what is empty is not asked for. `since` is a stored time,
    `number` either side, `outcome` the last status that Twilio reported."""

    state: str = ""
    rule: str = ""
    kind: str = ""
    number: str = ""
    since: str = ""
    outcome: str = ""
    code: int = 0


class Found(NamedTuple):
    """The actions that fit, newest first. `cut` is empty when all were looked at; else the time of
    the oldest that was."""

    rows: list[Row]
    cut: str


Clause = tuple[str, list[object]]


class ActionSearch(FailedTexts):
    """The newest actions that are as somebody wants them."""

    def search_actions(self, wanted: Wanted, limit: int) -> Found:
        """The newest actions that fit. One index finds them by the narrowest word of `wanted`, of
        each of the ways there are; the other words are asked of those, at most of `READ`."""
        found: list[Row] = []
        cut = ""
        rest, given = _rest(wanted)
        since: Clause = ("", [])
        if wanted.since:
            first = first_since(self._connection, "actions", "planned_at", wanted.since)
            since = ("id >= ? and planned_at >= ?", [first, wanted.since])
        for clause, values in self._narrowest(wanted):
            inner = " and ".join(each for each in (clause, since[0]) if each)
            where = f"where {inner}" if inner else ""
            rows = self._all(
                f"select * from (select * from actions {where} order by id desc limit ?) as newest "
                f"{f'where {rest}' if rest else ''} limit ?",
                [*values, *since[1], READ, *given, limit],
            )
            found += rows
            if rest and len(rows) < limit:
                oldest = self._one(
                    f"select planned_at from actions {where} order by id desc limit 1 offset ?",
                    [*values, *since[1], READ],
                )
                cut = max(cut, oldest["planned_at"]) if oldest else cut
        found.sort(key=lambda row: int(row["id"]), reverse=True)
        return Found([with_params(row) for row in found[:limit]], cut)

    def _narrowest(self, wanted: Wanted) -> list[Clause]:
        """What to ask for, one after the other."""
        if wanted.number and not self._is_ours(wanted.number):
            return [("conversation = ?", [each]) for each in self.conversations(wanted.number)]
        if wanted.state and wanted.state not in COMMON:
            return [_in_state(wanted.state)]
        if wanted.code or _is_bad(wanted.outcome):
            return [_in_state(state) for state in _WITH_CODES]
        if wanted.rule:
            return [("rule = ?", [wanted.rule])]
        if wanted.kind:
            return [("kind = ?", [wanted.kind])]
        return [("", [])]

    def _is_ours(self, number: str) -> bool:
        """Whether people have conversations with this number, as one of ours."""
        who = person(number)
        return bool(
            self._one(
                f"select 1 from contacts where {OURS} limit 1",
                (f"{who}/", f"{who}0"),
            )
        )


def _in_state(state: str) -> Clause:
    group = f"{one_of(WITHOUT_SUCCESS)} and " if state in WITHOUT_SUCCESS else ""
    return f"{group}state = ?", [state]


def _is_bad(outcome: str) -> bool:
    return any(state_for(effect, outcome) == "failed" for effect in EFFECTS)


def _rest(wanted: Wanted) -> tuple[str, list[object]]:
    """All that is wanted, to be asked of each row."""
    asked: dict[str, object] = {
        "state = ?": wanted.state, "rule = ?": wanted.rule, "kind = ?": wanted.kind,
        "outcome = ?": wanted.outcome, "error_code = ?": wanted.code,
    }  # fmt: skip
    clauses = [clause for clause, value in asked.items() if value]
    values = [value for value in asked.values() if value]
    if wanted.number:
        who = person(wanted.number)
        clauses.append(f"({OURS} or substr(conversation, instr(conversation, '/') + 1) = ?)")
        values += [f"{who}/", f"{who}0", who]
    return " and ".join(clauses), values
