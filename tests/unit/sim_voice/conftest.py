"""Fixtures of the call tests: a stepped clock, web pages as text, phones that obey."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from ringback.simulator.voice.call_records import Call
from ringback.simulator.voice.exchange import Exchange
from ringback.simulator.voice.ports import (
    Answer,
    Ask,
    Callback,
    CallOptions,
    Handset,
    Notice,
    NumberSetup,
    Script,
    Trouble,
)

ACCOUNT = "AC" + "0" * 32
CALLER = "+15550001111"
OURS = "+15559990000"
START = 1_773_500_966.0  # Sat, 14 Mar 2026 15:09:26 +0000
SITE = "https://app.test"

PREFIXES = {
    "call": "CA",
    "queue": "QU",
    "conference": "CF",
    "recording": "RE",
    "transcription": "TR",
}

Page = str | Answer | Callable[[Ask], "str | Answer"]


@dataclass(eq=False)
class Appointment:
    do: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(eq=False)
class World:
    """The kernel of the exchange, and what the test does by hand."""

    time: float = START
    pages: dict[str, Page] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    texts: list[tuple[str, str, str, str]] = field(default_factory=list)
    numbers: dict[str, NumberSetup] = field(default_factory=dict)
    handsets: dict[str, Handset] = field(default_factory=dict)
    changes: list[tuple[str, str]] = field(default_factory=list)
    verified_numbers: set[str] = field(default_factory=set)
    slow: float = 0.0  # seconds that the web takes to answer

    def __post_init__(self) -> None:
        self._heap: list[tuple[float, int, Appointment]] = []
        self._order = itertools.count()
        self._sids = itertools.count(1)
        self.exchange = Exchange(self, ACCOUNT)
        self.numbers[OURS] = NumberSetup(
            "PN" + "1" * 32,
            Script(f"{SITE}/voice", fallback_url=f"{SITE}/fallback"),
            status_callback=f"{SITE}/status",
        )

    # --- the kernel ---

    def now(self) -> float:
        return self.time

    def date(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, UTC)

    def after(self, seconds: float, do: Callable[[], None]) -> Appointment:
        appointment = Appointment(do)
        heapq.heappush(self._heap, (self.time + seconds, next(self._order), appointment))
        return appointment

    def mint(self, prefix: str) -> str:
        return f"{prefix}{next(self._sids):032x}"

    def ask(self, request: Ask, then: Callable[[Answer], None]) -> Appointment:
        self.asks.append(request)
        page = self.pages.get(request.url.split("?")[0])

        def answer() -> None:
            found = page(request) if callable(page) else page
            if found is None:
                then(Answer(404, "text/html", b"nobody here", request.url))
            elif isinstance(found, Answer):
                then(found)
            else:
                body = f"<Response>{found}</Response>".encode()
                then(Answer(200, "text/xml", body, request.url))

        return self.after(self.slow, answer)

    def notify(self, request: Notice) -> None:
        self.notices.append(request)

    def trouble(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)

    def number(self, address: str) -> NumberSetup | None:
        return self.numbers.get(address)

    def verified(self, address: str) -> bool:
        return address in self.verified_numbers

    def handset(self, address: str) -> Handset:
        return self.handsets.get(address, Handset())

    def sms(self, sender: str, to: str, body: str, callback: str) -> tuple[str, str]:
        self.texts.append((sender, to, body, callback))
        return self.mint("SM"), "queued"

    def address(self, path: str) -> str:
        return f"https://api.test{path}"

    def changed(self, kind: str, sid: str) -> None:
        assert sid[:2] == PREFIXES[kind]
        self.changes.append((kind, sid))

    # --- what the test does ---

    def run(self, seconds: float = 0.0) -> None:
        """Let so many seconds pass, and everything happen that is due by then."""
        until = self.time + seconds
        while self._heap and self._heap[0][0] <= until:
            due, _, appointment = heapq.heappop(self._heap)
            if not appointment.cancelled:
                self.time = due
                appointment.do()
        self.time = until

    def page(self, path: str, verbs: Page) -> None:
        """Put a document on the web: verbs without the Response around them."""
        self.pages[SITE + path] = verbs

    def ring(self, verbs: Page = "", **options: object) -> Call:
        """A caller rings our number, which answers with these verbs."""
        if verbs:
            self.page("/voice", verbs)
        call = self.exchange.ring_in(CALLER, OURS, **options)  # type: ignore[arg-type]
        self.run()
        return call

    def place(
        self, to: str, twiml: str = "", url: str = "", options: CallOptions | None = None
    ) -> Call:
        script = Script(url=url, twiml=f"<Response>{twiml}</Response>" if not url else "")
        return self.exchange.place(to, OURS, script, options)

    def asked(self, purpose: str) -> list[dict[str, str]]:
        """The fields of all requests made for this purpose, in order."""
        return [dict(ask.fields) for ask in self.asks if ask.purpose == purpose]

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [ask.url.removeprefix(SITE) for ask in self.asks]

    def notified(self, kind: str) -> list[dict[str, str]]:
        """The fields of all notifications of this kind, in order."""
        return [dict(notify.fields) for notify in self.notices if notify.kind == kind]

    def codes(self) -> list[int]:
        """The codes of everything that went to the debugger."""
        return [trouble.code for trouble in self.troubles]

    def heard(self, call: Call) -> list[tuple[str, str]]:
        """What was played to a call."""
        leg = self.exchange.switch.legs[call.sid]
        return [(sound.kind, sound.text) for sound in leg.heard]

    def said(self, call: Call) -> list[str]:
        """The words and announcements that a call heard."""
        return [text for kind, text in self.heard(call) if kind in {"say", "announcement"}]

    def children(self, call: Call) -> list[Call]:
        """The legs that were dialled from this one."""
        calls = self.exchange.calls.values()
        return [child for child in calls if child.parent_call_sid == call.sid]

    def state(self, call: Call) -> str:
        return str(self.exchange.view(call.sid)["state"])

    def events(self, *names: str) -> CallOptions:
        """Options that ask for call progress at /progress."""
        return CallOptions(status=Callback(f"{SITE}/progress", "POST", frozenset(names)))


@pytest.fixture
def world() -> World:
    return World()
