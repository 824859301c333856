"""Index of the rules on one type of event, made before any event comes.

A rule is found by whom it is for: by the sender, else by the recipient, else, when it has a
schedule, by its name. One whose first `if` line only certain words can make true is found by the
words of the text. What is not found costs nothing, however many rules there are. The first lines
of the other rules are evaluated as one program, because a call into CEL costs more than a
comparison does; a line that fails takes the others with it, so it is from then on evaluated alone.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from ringback.events import RULE_FIELD, Event, spellings
from ringback.rules.engine.phrases import Phrases, guard, indexed
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.scope import Scope
from ringback.rules.model import Rule, found_by

OWN = "own"
"""In place of the trust of an event: it is of our own making, and needs no proof."""

FIRST_LINE = "if:1"
"""The verdict of a rule whose first line is false."""

_NONE: Set[str] = frozenset()


class Addresses:
    """Whom a rule is for: addresses, and beginnings of addresses (`+1555*`), in every spelling."""

    __slots__ = ("beginnings", "exact")

    def __init__(self, wanted: Iterable[str]) -> None:
        whole = (each for each in wanted if not each.endswith("*"))
        self.exact = frozenset(spelt for each in whole for spelt in spellings(each))
        self.beginnings = tuple(each[:-1] for each in wanted if each.endswith("*"))

    def has(self, address: str) -> bool:
        """Whether this address is one of them."""
        if address in self.exact:
            return True
        begins = self.beginnings
        return bool(begins) and any(each.startswith(begins) for each in spellings(address))


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of an index, and its place in the order.

    `found_by` says by what it is found (`from`, `to`, `schedule`; empty: it is for anybody), which
    is its verdict, too, where it is not found. `to` is yet to be compared when it was found by its
    sender. `first` is its first line, `guard` the calls of which one has to be true for that.
    """

    place: int
    rule: Rule
    found_by: str
    to: Addresses | None
    first: str
    guard: Set[str]
    plain: bool
    """Nothing but its lines decides about it."""

    def refuses(self, event: Event) -> str:
        """Why a rule that was found is not for this event all the same; empty when it is."""
        if self.to is not None and not self.to.has(event.recipient):
            return "to"
        if self.rule.schedule is not None and event.fields.get(RULE_FIELD) != self.rule.name:
            return "schedule"
        return ""


def _row(place: int, rule: Rule) -> Row:
    first = rule.conditions[0] if rule.conditions else None
    by, calls = (
        found_by(rule.from_, rule.to, rule.schedule),
        guard(first.program) if first else _NONE,
    )
    return Row(
        place, rule, by, Addresses(rule.to) if rule.from_ and rule.to else None,
        first.source if first else "", calls, not (by or calls or rule.in_shadow),
    )  # fmt: skip


class _ByAddress:
    """Rows by the addresses that their rules are for."""

    __slots__ = ("beginnings", "exact", "sizes")

    def __init__(self) -> None:
        self.exact: dict[str, list[Row]] = {}
        self.beginnings: dict[str, list[Row]] = {}
        self.sizes: set[int] = set()

    def add(self, wanted: Iterable[str], row: Row) -> None:
        """Let a row be found by these addresses."""
        addresses = Addresses(wanted)
        for each in addresses.exact:
            self.exact.setdefault(each, []).append(row)
        for each in addresses.beginnings:
            self.beginnings.setdefault(each, []).append(row)
            self.sizes.add(len(each))

    def find(self, address: str, found: dict[int, Row]) -> None:
        """Note the rows for this address by their places."""
        for row in self.exact.get(address, ()):
            found[row.place] = row
        for spelt in spellings(address) if self.sizes else ():
            for size in self.sizes:
                for row in self.beginnings.get(spelt[:size], ()):
                    found[row.place] = row


class TypeIndex:
    """The rules that listen to one type, as events of one trust (or `OWN`) meet them.

    `open` are those for anybody that do not want certain words. `otherwise` has the verdicts of the
    rules for anybody that are not looked at: those that are off or want better proof, those that
    want certain words, and those whose first line is false. `by_address` are the rules that are for
    somebody, by their places.
    """

    def __init__(self, listening: Iterable[Rule], trust: str, language: Language) -> None:
        self._language = language
        off: dict[str, str] = {}
        unproven: dict[str, str] = {}
        rows: list[Row] = []
        for place, rule in enumerate(listening):
            if rule.state == "off":
                off[rule.name] = "off"
            elif trust not in rule.trust and trust != OWN:
                unproven[rule.name] = f"trust:{trust}"
            else:
                rows.append(_row(place, rule))
        self._index_addresses(row for row in rows if row.found_by)
        anybody = [row for row in rows if not row.found_by]
        self.open = tuple(row for row in anybody if not row.guard)
        self._by_words: dict[str, list[Row]] = {}
        for row in anybody:
            for call in row.guard:
                self._by_words.setdefault(call, []).append(row)
        self._lines: dict[str, Program] = {}
        self._by_line: dict[str, list[Row]] = {}
        self._always: list[Row] = []
        for row in self.open:
            if row.first and not row.rule.in_shadow:
                self._lines[row.first] = _program(row)
                self._by_line.setdefault(row.first, []).append(row)
            else:
                self._always.append(row)
        always = {row.place for row in self._always}
        unsaid = {row.rule.name: FIRST_LINE for row in anybody if row.place not in always}
        self.otherwise: dict[str, str] = {**off, **unproven, **unsaid}
        self._alone: set[str] = set()
        self._join()
        self._index_words(rows)

    def _index_addresses(self, rows: Iterable[Row]) -> None:
        self.by_address: dict[int, Row] = {}
        self._senders, self._recipients = _ByAddress(), _ByAddress()
        self._scheduled: dict[str, Row] = {}
        for row in rows:
            self.by_address[row.place] = row
            if row.found_by == "from":
                self._senders.add(row.rule.from_, row)
            elif row.found_by == "to":
                self._recipients.add(row.rule.to, row)
            else:
                self._scheduled[row.rule.name] = row

    def _index_words(self, rows: Iterable[Row]) -> None:
        firsts = {row.first: _program(row) for row in rows if row.first}
        calls = {
            call.text: call for program in firsts.values() for call in indexed(program).values()
        }
        asked = {call.text for program in self._lines.values() for call in program.hoisted}
        self._phrases = Phrases(calls.values(), asked)
        self._searches = bool(self._by_words) or not asked.isdisjoint(calls)

    def addressed(self, event: Event) -> dict[int, Row]:
        """The rules for this sender, this recipient or this schedule, by their places."""
        found: dict[int, Row] = {}
        if self.by_address:
            self._senders.find(event.sender, found)
            self._recipients.find(event.recipient, found)
            if self._scheduled:
                row = self._scheduled.get(event.fields.get(RULE_FIELD, ""))
                if row is not None:
                    found[row.place] = row
        return found

    def elsewhere(self, found: dict[int, Row]) -> dict[str, str]:
        """The verdicts of the rules that were not among those `found`."""
        return {
            row.rule.name: row.found_by
            for place, row in self.by_address.items()
            if place not in found
        }

    def searches(self, found: dict[int, Row]) -> bool:
        """Whether the words of the text matter, when these rules were found by address."""
        return self._searches or any(row.guard for row in found.values())

    def said(self, scope: Scope) -> Set[str]:
        """The calls that look for words and are true of this event, or may be."""
        return self._phrases.true(scope)

    def rows(
        self, found: dict[int, Row], said: Set[str], known: Mapping[str, Any]
    ) -> Sequence[Row]:
        """The rules to be looked at, in their order; not those whose first line is `known` to be
        false."""
        true = [source for source, value in known.items() if value is not False]
        if not (true or found or said or self._unasked):
            return ()
        rows = {row.place: row for source in true for row in self._by_line[source]}
        for row in self._unasked:
            rows[row.place] = row
        for call in said:
            rows.update((row.place, row) for row in self._by_words.get(call, ()))
        rows.update(found)
        return [rows[place] for place in sorted(rows)]

    def values(self, scope: Scope) -> dict[str, Any]:
        """The values of the first lines of the open rules, as far as one program gives them."""
        if self._together is None:
            return {}
        values = self._together.evaluate(scope)
        if isinstance(values, list):
            return dict(zip(self._order, values, strict=True))
        known = {source: self._lines[source].evaluate(scope) for source in self._order}
        failed = {source for source, value in known.items() if isinstance(value, Fault)}
        if failed:
            self._alone |= failed
            self._join()
        return known

    def _join(self) -> None:
        """Make one program of all first lines that may stand together."""
        self._order = tuple(source for source in self._lines if source not in self._alone)
        programs = [self._lines[source] for source in self._order]
        self._together = self._language.batch(programs) if len(programs) > 1 else None
        alone = self._lines if self._together is None else self._alone
        apart = [row for source in alone for row in self._by_line[source]]
        self._unasked = (*self._always, *apart)


def _program(row: Row) -> Program:
    return row.rule.conditions[0].program
