"""Aside: events that wait to be matched, while the others are.

Their rules ask a plugin that does not answer, or what came before them is being done: only then is
it known what they meet. What comes for the same conversation or subject meanwhile waits behind, so
that its order stays. In memory only: the cursor of the journal stands before the first of them, and
a worker that starts again finds them in the log.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ringback.events import Event
from ringback.plugins.memo import Known
from ringback.rules.engine.waits import home
from ringback.store.log import LogRow
from ringback.twilio.consent import tells_consent
from ringback.worker.questions import Asked


class Entry(NamedTuple):
    """An event that is to be matched, its row of the log (an event of our own has none), and the
    places in which it has met runs that take their turn."""

    event: Event
    row: LogRow | None
    places: Collection[str] = ()

    @property
    def number(self) -> int:
        """The number of its row; 0 for an event of our own."""
        return self.row.id if self.row is not None else 0


@dataclass(eq=False, slots=True)
class Line:
    """Events that are matched in this order, the conversations in which something is done before
    them, until when that is waited for, the answers to be that they wait for, those that they
    have, and how often the first one was put aside for an answer. The first of a line that is
    `keyed` waits for what rules with a key have to see before it."""

    turns: set[str] = field(default_factory=set)
    until: float = 0.0
    asked: Asked = field(default_factory=dict)
    known: Mapping[Hashable, Known] = field(default_factory=dict)
    tries: int = 0
    keyed: bool = False
    entries: list[Entry] = field(default_factory=list)


class Aside:
    """The lines of events that wait. `news` is called when one is ripe; `busy` says whether
    something is being done under a key, `now` is in seconds, `shared` names the rules with a key
    that a type of event matters to."""

    def __init__(
        self, news: Callable[[], None], busy: Callable[[str], bool], now: Callable[[], float],
        shared: Callable[[str], Collection[str]],
    ) -> None:  # fmt: skip
        self._news = news
        self._busy = busy
        self._now = now
        self._by_name: dict[str, Line] = {}
        self._lines: dict[Line, None] = {}
        self.shared = shared
        self._keyed: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return sum(len(line.entries) for line in self._lines)

    @property
    def ripe(self) -> bool:
        """Whether any of them can go on."""
        return any(map(self._ripe, self._lines))

    @property
    def events(self) -> list[Event]:
        """The events that are here."""
        return [entry.event for line in self._lines for entry in line.entries]

    @property
    def first_row(self) -> int | None:
        """The first row of the log that something here is from."""
        rows = [each.row.id for line in self._lines for each in line.entries if each.row]
        return min(rows, default=None)

    def behind(self, name: str) -> Line | None:
        """The line in which something of this name waits."""
        return self._by_name.get(name)

    def before(self, entry: Entry) -> bool:
        """Whether something waits here that has come before this event and matters to a rule with a
        key that this one matters to as well."""
        if not self._keyed or entry.row is None:
            return False
        waiting = (self._keyed.get(rule) for rule in self.shared(entry.event.type))
        return any(min(rows) < entry.number for rows in waiting if rows)

    def line(self, event: Event) -> Line | None:
        """The line that an event has to wait behind."""
        return next(filter(None, map(self._by_name.get, names(event))), None)

    def put(self, entry: Entry, line: Line) -> None:
        """Let an event wait behind what it has to come after, or else in this line of its own, in
        any case until the answers of this line have come."""
        found = self.line(entry.event)
        if found is None:
            found = line
        elif found is not line:
            found.asked.update(line.asked)
            found.turns |= line.turns
            found.until = max(found.until, line.until)
        found.entries.append(entry)
        if entry.row is not None and not found.asked:  # a plugin that blocks holds up nobody else
            for rule in self.shared(entry.event.type):
                self._keyed.setdefault(rule, set()).add(entry.number)
        self._lines[found] = None
        self._by_name.update(dict.fromkeys(names(entry.event), found))
        for future in line.asked.values():
            future.add_done_callback(lambda _: self._news())

    def done(self, key: str) -> None:
        """What was being done under this key is done."""
        if key in self._by_name or any(key in line.turns for line in self._lines):
            self._news()

    def take(self) -> list[Line]:
        """The lines that can go on, which wait here no longer."""
        ripe = [line for line in self._lines if self._ripe(line)]
        for line in ripe:
            del self._lines[line]
            for entry in line.entries:
                for name in names(entry.event):
                    self._by_name.pop(name, None)
                for rows in self._keyed.values():
                    rows.discard(entry.number)
        return ripe

    def held(self, line: Line) -> bool:
        """Whether what a line waits for is still being done, or waits itself."""
        return any(map(self._busy, line.turns)) or (line.keyed and self.before(line.entries[0]))

    def _ripe(self, line: Line) -> bool:
        if self.held(line) and self._now() < line.until:
            return False
        return all(future.done() for future in line.asked.values())


def in_order(lines: Iterable[Line]) -> tuple[list[Entry], dict[int, Line]]:
    """The events of these lines in the order in which they came, and the place of the first of each
    line. One of our own stays behind what stands before it in its line."""
    ranked = list[tuple[int, Entry, Line | None]]()
    for line in lines:
        number = 0
        for place, entry in enumerate(line.entries):
            number = max(number, entry.number)
            ranked.append((number, entry, None if place else line))
    ranked.sort(key=lambda each: each[0])
    first = {place: line for place, (_, _, line) in enumerate(ranked) if line is not None}
    return [entry for _, entry, _ in ranked], first


def names(event: Event) -> tuple[str, ...]:
    """By what events are found that have to be matched in their order: what they are about, what
    they are, and that they say something of consent."""
    found = (home(event), event.dedupe_key)
    return (*found, consent_name(found[0])) if tells_consent(event) else found


def consent_name(where: str) -> str:
    """The name of what is said of consent in this conversation."""
    return f"consent {where}"
