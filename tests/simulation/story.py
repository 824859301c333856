"""One simulated story: a project, its customers, its worker, Twilio, and the faults of a day.

A seed decides what happens (`play`), or the caller drives it step by step.
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.log import Entry
from simulation.disk import Move
from simulation.faults import Faults, calm
from simulation.life import Life, settings_for
from simulation.loop import Clock
from simulation.stores import Files, Store
from simulation.twilio import ACCOUNT, OURS, SERVICE, Twilio

WORDS = (
    *("echo",) * 4, *("hours",) * 3, "desk", *("alert",) * 2, *("ring",) * 3, "later",
    *("quick",) * 2, "once", "served", "plain", "awaited", "asked",
)  # fmt: skip
PEOPLE = 25
SPAN = 300.0
"""In so many seconds all customers write."""
FAULTY = 600.0
"""Until then things go wrong by themselves; afterwards what is owed comes to its end."""
REPAIRED = 700.0
"""So long after the last fault everything that no webhook brought has been fetched."""
LIMIT = 2400.0
"""What is not at an end so long after the last fault is stuck."""
SUPERVISOR = 2.0
WAITS = "select count(*), max(due_at) from runs where state = 'waiting'"
FORM = "application/x-www-form-urlencoded"
OPEN = (
    "select (select count(*) from actions "
    "where state in ('planned', 'deferred', 'sending', 'unknown')) + "
    "(select count(*) from runs where state in ('pending', 'running', 'waiting')) + "
    "(select count(*) from events where verdicts is null)"
)


class Said(NamedTuple):
    """STOP or START: when it was on record, where it stands in the order of what the person said,
    and whether it had to be fetched back."""

    word: str
    heard: float
    order: float
    late: bool


class Story:
    """The world and what is left of it. `moves` is everything that ever happened to an action."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        faults: Faults | None = None,
        settings: Settings | None = None,
        show: Callable[[str], None] | None = None,
        more_rules: tuple[Path, ...] = (),
        store: Store | None = None,
    ) -> None:
        self.store: Store = store or Files(folder)
        self.more_rules = more_rules
        self.seed = seed
        self.folder = folder
        self.faults = faults or Faults()
        self.clock = Clock()
        self.acknowledged: list[Entry] = []
        self.moves: list[tuple[float, Move]] = []
        self.notices: list[str] = []
        self.crashes: list[str] = []
        self.kills = 0
        self.freezes = 0
        self.jumps = 0
        self.born = 0.0
        self.halts: list[tuple[float, float]] = []
        self.heard: dict[str, float] = {}
        self.said: dict[str, list[Said]] = {}
        self.paused: list[tuple[float, float]] = []
        self.resumed_at = -1.0
        self._keywords: dict[str, tuple[str, float]] = {}
        self._received: dict[str, float] = {}
        self.life: Life | None = None
        self.receiving = True
        self._rng = Random(f"story {seed}")
        self._death = Random(f"death {seed}")
        self._settings = settings or settings_for(folder)
        self.settle_seconds = self._settings.settle_seconds
        self._show = show
        self._hash = hashlib.sha256()
        self._lives = 0
        self._dying = False
        self.twilio = Twilio(
            self.clock, Random(f"twilio {seed}"), self.faults, self._callback, self.trace
        )
        self._runtime = Runtime(self.clock.wall, lambda: self.clock.now, self._rng)
        self.log = self.store.log()
        self.start()

    @property
    def trace_hash(self) -> str:
        """What happened, in sixteen letters: the same seed has the same."""
        return self._hash.hexdigest()[:16]

    def trace(self, who: str, what: str) -> None:
        """Put one line into the trace."""
        line = f"{self.clock.now:10.3f} {who:8} {what}"
        self._hash.update(line.encode())
        if self._show is not None:
            self._show(line)

    def play(self, intents: int, prepare: Callable[["Story"], None] | None = None) -> None:
        """Let the whole story happen: `intents` texts come in, then everything comes to its end.
        `prepare` may put more into it."""
        if prepare is not None:
            prepare(self)
        for number in range(intents):
            self.twilio.after(self._rng.uniform(0.0, SPAN), partial(self._text, number))
        self.run(FAULTY)
        self.finish()
        if self.life is not None and self._rng.random() < 0.5:
            self.life.stop()
            self.run(self.clock.now + 60.0)
        self.end()

    def finish(self) -> None:
        """Let everything that is owed come to its end; afterwards the story can be judged."""
        self.calm_down()
        self.run(self.clock.now + REPAIRED)
        limit = self.clock.now + LIMIT
        while self.clock.now < limit and (
            self.life is None or self.open() or self.twilio.next_time() < float("inf")
        ):
            self.run(self.clock.now + 30.0)
            self._catch_up()

    def calm_down(self) -> None:
        """From now on nothing goes wrong any more."""
        self.trace("node", "the faults end")
        self.faults = self.twilio.faults = calm()
        if self.life is not None:
            self.life.disk.faults = self.faults

    def run(self, until: float, steps: float = float("inf")) -> None:
        """Let time pass, one callback after the other, at most so many of the worker's."""
        while steps > 0:
            life = self.life
            if life is not None and life.loop.ready:
                steps -= 1
                life.loop.step()
                self._look_after(life)
                continue
            mine = life.loop.next_time() if life is not None else float("inf")
            theirs = self.twilio.next_time()
            following = min(mine, theirs)
            if following > until:
                self.clock.now = max(self.clock.now, until)
                return
            self.clock.now = max(self.clock.now, following)
            if theirs <= mine:
                self.twilio.step()
            elif life is not None:
                life.loop.ring()

    def set_clock(self, wrong: float) -> None:
        """Somebody sets the wall clock: from now on it is ahead by so many seconds."""
        if wrong != self.clock.wrong:
            self.jumps += 1
            self.clock.wrong = wrong
            self.trace("node", f"the clock is set to {iso(self._runtime.now())}")

    def pauses(self) -> None:
        """An operator has the answer that sending is paused."""
        self.paused.append((self.clock.now, float("inf")))
        self.trace("operator", "sending is paused")

    def resumes(self) -> None:
        """An operator asks to go on."""
        self.resumed_at = self.clock.now
        self.paused = [(begun, min(ended, self.clock.now)) for begun, ended in self.paused]
        self.trace("operator", "go on")

    def _catch_up(self) -> None:
        """When only waits are left, of which a clock that was wrong has made hours, let those hours
        pass: for the worker, that is the clock moving on."""
        left, due = self.ask(WAITS)[0]
        if due and left == self.open():
            late = from_iso(due).timestamp() - self.clock.wall()
            if late > 60.0:
                self.set_clock(self.clock.wrong + late + 1.0)

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Ask the journal, as anybody may who can read it."""
        with self.store.reader() as reader:
            return [tuple(row) for row in reader.execute(question)]

    def open(self) -> int:
        """How much is not at an end yet."""
        with self.store.reader() as reader:
            left = int(reader.execute(OPEN).fetchone()[0])
            cursor = reader.execute("select value from meta where key = 'cursor'").fetchone()
        return left + len(self.acknowledged) - (int(cursor[0]) if cursor else 0)

    def write(self, body: str, person: int) -> None:
        """One of our customers writes, and the webhook takes its way."""
        entry = self.text(body, f"+1555100{person:04d}")
        if body in ("STOP", "START"):
            self._keywords[f"in:{next(reversed(self.twilio.heard))}"] = (body, self.clock.now)
        self._arrive(entry)

    def text(self, body: str, sender: str) -> Entry:
        """A customer writes."""
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": self.twilio.hear(body, sender, OURS, SERVICE).sid,
            "From": sender, "To": OURS, "Body": body, "NumMedia": "0",
            "MessagingServiceSid": SERVICE,
        }  # fmt: skip
        return self.entry("message", "", fields)

    def entry(self, route: str, tag: str, fields: dict[str, str]) -> Entry:
        """A webhook as the receiver would record it now."""
        return Entry(
            iso(self._runtime.now()), route, "signed", "webhook", tag, FORM,
            urlencode(fields).encode(),
        )  # fmt: skip

    def receive(self, entry: Entry) -> bool:
        """The receiver takes a webhook: when this is True, it has answered 2xx."""
        if not self.receiving:
            return False
        entry = entry._replace(received_at=iso(self._runtime.now()))
        self.log.push(entry, lambda _: None)
        self.acknowledged.append(entry)
        if b"Body=ST" in entry.body:
            self._received.setdefault(f"in:{_sid(entry)}", self.clock.now)
        self.trace("receiver", f"{entry.route} {entry.tag[:6]} {entry.body[-60:].decode()}")
        if self.life is not None and self._rng.random() >= self.faults.wake_lost:
            self.life.wake()
        return True

    def start(self) -> None:
        """Begin a life of the worker."""
        self._lives += 1
        self.born = self.clock.now
        self.halts = [(begun, min(ended, self.born)) for begun, ended in self.halts]
        self.trace("node", f"life {self._lives} begins")
        self.life = Life(
            store=self.store, clock=self.clock, rng=Random(f"life {self.seed} {self._lives}"),
            faults=self.faults, twilio=self.twilio, settings=self._settings, hot=self._hot,
            on_moves=self._moved, noticed=self.notices.append, fetched=self._fetched,
            more_rules=self.more_rules,
        )  # fmt: skip

    def kill(self) -> None:
        """kill -9, here and now."""
        if self.life is not None:
            self.kills += 1
            self._bury("killed")

    def lived(self, first: float, last: float) -> bool:
        """Whether one life of the worker went on between these moments, without a halt."""
        return last < self.clock.now and not any(
            begun <= last and ended >= first for begun, ended in self.halts
        )

    def end(self) -> None:
        """Close everything."""
        if self.life is not None:
            self._bury("the story ends")
        self.log.close()

    def _look_after(self, life: Life) -> None:
        """After each callback: is the worker still alive, and shall it be?"""
        ended = life.ended
        if ended is not None:
            if isinstance(ended, BaseException) and not isinstance(ended, RingbackError):
                self.crashes.append(f"the engine broke: {ended!r}")
            self._bury(f"ended: {ended!r}")
            self.twilio.after(SUPERVISOR, self._restart)
        elif self._dying or self._death.random() < self.faults.kill_anywhere:
            self._die()

    def _hot(self) -> None:
        draw = self._death.random()
        if draw < self.faults.kill_hot:
            self._dying = True
        elif draw < self.faults.kill_hot + self.faults.freeze:
            self._freeze(self._death.choice((3.0, 3.0, 8.0, 8.0, 8.0, 45.0, 45.0, 600.0)))

    def _die(self) -> None:
        self.kill()
        down = self._death.choice((0.2, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 10.0, 30.0, 600.0))
        if self._death.random() < self.faults.receiver_too:
            self.receiving = False
        self.twilio.after(down, self._restart)

    def _restart(self) -> None:
        self.receiving = True
        if self.life is None:
            self.start()

    def _freeze(self, seconds: float) -> None:
        """The worker's process stands still (stopped, swapped out) while the world goes on."""
        self.freezes += 1
        until = self.clock.now + seconds
        self.halts.append((self.clock.now, until))
        self.trace("node", f"frozen for {seconds:g} s")
        while self.twilio.next_time() <= until:
            self.clock.now = max(self.clock.now, self.twilio.next_time())
            self.twilio.step()
        self.clock.now = until

    def _bury(self, how: str) -> None:
        assert self.life is not None
        life, self.life, self._dying = self.life, None, False
        self.halts.append((self.clock.now, float("inf")))
        self.trace("node", f"life {self._lives} is over: {how}")
        self.crashes += life.bury()

    def _text(self, number: int) -> None:
        word = self._rng.choice(WORDS)
        self.write(f"{word} {number}", self._rng.randrange(PEOPLE))

    def _arrive(self, entry: Entry) -> None:
        """A webhook about a text comes in, is tried again while we are down, and maybe repeated;
        or it is lost, and only the list at Twilio knows of the text."""
        if self._rng.random() < self.faults.webhook_lost:
            self.twilio.note("webhook_lost")
        elif not self.receive(entry):
            self.twilio.after(5.0, lambda: self._arrive(entry))
        elif self._rng.random() < self.faults.webhook_twice:
            again = self._rng.choice((0.01, 0.2, 3.0, 3.0, 60.0, 400.0))
            self.twilio.after(again, lambda: self.receive(entry))

    def _callback(self, route: str, tag: str, fields: dict[str, str]) -> None:
        self.receive(self.entry(route, tag, fields))

    def _fetched(self, route: str, tag: str, body: bytes) -> bool:
        entry = Entry("", route, "confirmed", "repair", tag, FORM, body)
        return self.receive(entry)

    def _moved(self, moves: list[Move]) -> None:
        for move in moves:
            if move.kind == "heard":
                self._hears(move)
                continue
            self.moves.append((self.clock.now, move))
            self.trace(
                "journal",
                f"{move.uid[-6:]} {move.old or '-'} -> {move.new} {move.outcome}: {move.reason}",
            )

    def _hears(self, move: Move) -> None:
        """A text is on record; the checker wants to know since when."""
        self.heard[move.uid] = self.clock.now
        if move.uid in self._keywords:
            word, written = self._keywords[move.uid]
            late = move.outcome == "repair"
            order = written if late else self._received[move.uid]
            said = Said(word, self.clock.now, order, late)
            self.said.setdefault(move.reason, []).append(said)


def _sid(entry: Entry) -> str:
    return parse_qs(entry.body.decode())["MessageSid"][0]


class _Lines(logging.Handler):
    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self._story.trace("log", f"{record.name}: {record.getMessage()}")


def quiet() -> None:
    """Keep the worker's own log out of the way: thousands of stories would fill the screen."""
    logging.getLogger("ringback").setLevel(logging.CRITICAL + 1)
