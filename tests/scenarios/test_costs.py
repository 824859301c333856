"""Costs of messages and calls: segments and prices as their records at Twilio have them.

A real worker on real files; the clock is stepped, and the prices are asked for at its moments.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admission.compare import load
from admission.node import ACCOUNT, Node, Twilio, settings_of
from admission.stories import OURS, PEOPLE, Happens, Story, text
from ringback.cli.main import run
from ringback.cli.trace import render
from ringback.errors import GatewayError, NotFound, RateLimited, ServerError, Unauthorized
from ringback.gateway.transport import Reply
from ringback.runtime import from_iso, iso
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.testing import NOON
from ringback.twilio.costs import Cost, cost_of
from ringback.twilio.rest import Request
from ringback.worker.recovery import prices

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
PERSON = PEOPLE[0]
SUB, SERVICE = "AC" + "5" * 32, "MG" + "5" * 32
REPLY = "{reply: R}"
LONG, EMOJI = "x" * 200, "\N{GRINNING FACE}" * 36
RULES = "rules:\n- {name: r, on: message.received, do: [%s]}\n"
NEVER = float("inf")


class Books(Twilio):
    """Twilio with its records. One has a price `after` so many seconds; `fails` is what a read of
    this path is answered with, and `at_once` how many were under way side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = lambda: 0.0
        self.records: dict[str, dict[str, Any]] = {}
        self.made: dict[str, float] = {}
        self.after, self.price, self.unit = 60.0, "-0.00790", "usd"
        self.segments = "1"
        self.reads: list[Request] = []
        self.fails: Callable[[Request], GatewayError | dict[str, Any] | None] = lambda _: None

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if request.method == "GET":
            self.reads.append(request)
            return Reply(200, self._read(request))
        reply = await super().perform(request)
        form = dict(request.form)
        record = {
            **reply.data, "to": form["To"], "from": form.get("From"), "direction": "outbound-api",
            "account_sid": request.account_sid, "price": None, "price_unit": self.unit,
        }  # fmt: skip
        if request.resource == "messages":
            record["num_segments"] = "0" if "MessagingServiceSid" in form else self.segments
        self.records[record["sid"]] = record
        self.made[record["sid"]] = self.now()
        return Reply(201, record)

    def singles(self) -> list[str]:
        """The SIDs of the records that were read one by one."""
        parts = [each.path.removesuffix(".json").split("/") for each in self.reads]
        return [each[4] for each in parts if len(each) == 5]

    def lists(self) -> int:
        """How many pages of lists were read."""
        return len(self.reads) - len(self.singles())

    def _read(self, request: Request) -> dict[str, Any]:
        failure = self.fails(request)
        if isinstance(failure, GatewayError):
            raise failure
        if failure is not None:
            return failure
        _, _, account, resource, *one = request.path.removesuffix(".json").split("/")
        if one:
            record = self.records.get(one[0])
            if record is None or record["account_sid"] != account:
                raise NotFound("no such record", http_status=404, code=20404, origin="twilio")
            return self._shown(record)
        page, size = (int(dict(request.form).get(name, "0")) for name in ("Page", "PageSize"))
        prefix = "CA" if resource == "Calls" else "SM"
        found = [
            self._shown(each) for sid, each in reversed(self.records.items())
            if sid.startswith(prefix) and each["account_sid"] == account
        ]  # fmt: skip
        more = f"?PageSize={size}&Page={page + 1}" if len(found) > size * (page + 1) else None
        return {resource.lower(): found[size * page :][:size], "next_page_uri": more}

    def _shown(self, record: dict[str, Any]) -> dict[str, Any]:
        sid = record["sid"]
        counted = {} if "num_segments" not in record else {"num_segments": self.segments}
        due = self.now() - self.made[sid] >= self.after
        return {**record, **counted, "price": self.price if due else None}


@asynccontextmanager
async def node(folder: Path, books: Books, do: str = REPLY, **settings: Any) -> AsyncIterator[Node]:
    made = Node(settings_of(folder, settings), load(Story(RULES % do, ()), folder), books)
    books.now = lambda: made.time
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def cost(it: Node) -> list[tuple[int | None, str | None, str]]:
    """Segments, price and currency of each action, in their order."""
    rows = it.reader.execute("select segments, price, price_unit from actions order by id")
    return [tuple(row) for row in rows]


def due(it: Node) -> list[str | None]:
    return [row[0] for row in it.reader.execute("select price_due from actions order by id")]


async def ends(it: Node, books: Books, status: str = "delivered") -> None:
    """The last record that Twilio made comes to this end, and Twilio reports it."""
    record = list(books.records.values())[-1]
    record["status"], sid = status, record["sid"]
    kind = "Call" if sid.startswith("CA") else "Message"
    told = {
        f"{kind}Sid": sid, f"{kind}Status": status, "AccountSid": record["account_sid"],
        "From": OURS, "To": PERSON, **({"CallDuration": "43"} if kind == "Call" else {}),
    }  # fmt: skip
    await it.happen(Happens(f"{kind.lower()}/status", told))


async def passes(it: Node, seconds: float, every: float = MINUTE) -> None:
    """So much time passes, in which prices are asked for once a minute."""
    end = it.time + seconds
    while it.time < end:
        await it.wait(min(every, end - it.time))
        await it.engine.prices.step()


SEND = '{send: {to: "%s", body: "%s"%s}}'
KINDS: dict[str, tuple[str, str, str, tuple[int | None, str | None, str]]] = {
    "one segment": (REPLY, "1", "delivered", (1, "0.0079", "USD")),
    "two segments": (SEND % (PERSON, LONG, ""), "2", "delivered", (2, "0.0079", "USD")),
    "UCS-2": (SEND % (PERSON, EMOJI, ""), "2", "delivered", (2, "0.0079", "USD")),
    "a picture": (
        SEND % (PERSON, "B", ", media: ['https://e.org/a.png']"), "1", "delivered",
        (1, "0.0079", "USD"),
    ),
    "by service": (SEND % (PERSON, LONG, f", service: {SERVICE}"), "2", "delivered",
                   (2, "0.0079", "USD")),
    "WhatsApp": (
        SEND % (f"whatsapp:{PERSON}", "B", f", from: 'whatsapp:{OURS}'"), "1", "read",
        (None, "0.0079", "USD"),
    ),
    "undelivered": (REPLY, "1", "undelivered", (1, "0.0079", "USD")),
    "a call": (f"{{call: {{to: '{PERSON}', say: S}}}}", "", "completed", (None, "0.0079", "USD")),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
async def test_what_it_cost_is_on_record_once_twilio_says_so(tmp_path: Path, name: str) -> None:
    do, segments, status, expected = KINDS[name]
    books = Books()
    books.segments = segments
    async with node(tmp_path, books, do) as it:
        await it.happen(text("hi"))
        at_first = None if name in ("by service", "WhatsApp", "a call") else int(segments)
        assert cost(it) == [(at_first, None, "")]
        await passes(it, HOUR)
        assert books.reads == [], "it has not ended"
        await ends(it, books, status)
        await passes(it, 6 * MINUTE)
        assert cost(it) == [expected]
        assert (due(it), len(books.reads)) == ([None], 1)
        await passes(it, 2 * DAY, HOUR)
        assert len(books.reads) == 1


@pytest.mark.parametrize(
    ("price", "unit", "expected"),
    [
        ("-0.00790", "USD", ("0.0079", "USD")), (-0.0079, "usd", ("0.0079", "USD")),
        (0.5, " eur ", ("0.5", "EUR")), ("0", "USD", ("0", "USD")), (-2, "JPY", ("2", "JPY")),
        ("-1E+1", "USD", ("10", "USD")), ("-0.0079", None, ("0.0079", "")),
        ("-0.0079", "\x1b[31m", ("0.0079", "")), (None, "USD", None), ("", "USD", None),
        ("free", "USD", None), (float("nan"), "USD", None), ("-Infinity", "USD", None),
        (True, "USD", None), ("9" * 5000, "USD", None), (10**4000, "USD", None),
        ("1e999999999", "USD", None), ({"amount": 1}, "USD", None), (["1"], 7, None),
    ],
)  # fmt: skip
def test_a_price_is_read_however_it_is_written(
    price: Any, unit: Any, expected: tuple[str, str] | None
) -> None:
    found = cost_of({"sid": "SM1", "price": price, "price_unit": unit, "num_segments": "1"})
    assert found == Cost(1, *(expected or (None, "")))


@pytest.mark.parametrize(
    ("segments", "number"),
    [("2", 2), (3, 3), (" 4 ", 4), ("0", None), (0, None), ("", None), (None, None), (-1, None),
     ("many", None), (10**30, None), (1.5, None), (True, None), ([], None), ("\u0663", None)],
)  # fmt: skip
def test_what_is_no_number_of_segments_is_none(segments: Any, number: int | None) -> None:
    assert cost_of({"num_segments": segments}) == Cost(number)


async def test_a_price_that_comes_after_a_day_is_learnt(tmp_path: Path) -> None:
    books = Books()
    books.after = 24.5 * HOUR
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books)
        await passes(it, 24 * HOUR, 2 * MINUTE)
        assert (cost(it), len(books.reads)) == ([(1, None, "")], 4)
        await passes(it, 2 * HOUR)
        assert (cost(it), len(books.reads)) == ([(1, "0.0079", "USD")], 5)


@pytest.mark.parametrize(
    ("status", "reads"), [("delivered", 5), ("undelivered", 5), ("failed", 2), ("canceled", 2)]
)
async def test_a_price_that_never_comes_is_asked_for_a_few_times(
    tmp_path: Path, status: str, reads: int
) -> None:
    books = Books()
    books.after = NEVER
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books, status)
        await passes(it, 3 * DAY, 10 * MINUTE)
        assert (cost(it), due(it), len(books.reads)) == ([(1, None, "")], [None], reads)


async def test_a_record_that_was_deleted_is_asked_for_once(tmp_path: Path) -> None:
    books = Books()
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books)
        books.records.clear()
        await passes(it, DAY, 10 * MINUTE)
        assert (len(books.reads), due(it)) == (1, [None])


async def test_what_came_of_a_sub_account_is_asked_for_there(tmp_path: Path) -> None:
    books = Books()
    async with node(tmp_path, books, accounts={SUB: ("t" * 32,)}) as it:
        await it.happen(text("hi", AccountSid=SUB))
        await ends(it, books)
        await passes(it, 6 * MINUTE)
        assert cost(it) == [(1, "0.0079", "USD")]
        assert {each.account_sid for each in books.reads} == {SUB}


WRONG: dict[str, GatewayError | dict[str, Any]] = {
    "500": ServerError("Twilio answered 500", http_status=500, origin="twilio"),
    "429": RateLimited("too many", http_status=429, code=20429, retry_after=5.0),
    "401": Unauthorized("refused", http_status=401),
    "garbage": {"hello": ["world", None]},
    "a list": {"messages": [None, 7, {"sid": None}, {"sid": ["SM"], "price": {}}]},
    "null": {"sid": None, "price": None, "num_segments": {}},
    "another's 404": NotFound("no such connection", http_status=404, origin="maton"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.slow
async def test_an_answer_that_says_nothing_is_asked_for_later(
    tmp_path: Path, name: str, count: int
) -> None:
    """Seldom while it goes on, and with success when it is over."""
    books = Books()
    async with node(tmp_path, books) as it:
        for number in range(count):
            await it.happen(text("hi", PEOPLE[number % 3]))
            await ends(it, books)
            await it.wait(1.0)
        books.fails = lambda _: WRONG[name]
        await passes(it, 3 * HOUR, 5 * MINUTE)
        assert len(books.reads) <= 5 * count + 13
        assert cost(it) == [(1, None, "")] * count
        books.fails = lambda _: None
        await it.engine.prober.step()
        for _ in range(40):
            it.engine.prober.soon()
            await it.engine.prober.step()
        await passes(it, 23 * HOUR, 5 * MINUTE)
        assert cost(it) == [(1, "0.0079", "USD")] * count


async def test_one_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    books = Books()
    async with node(tmp_path, books) as it:
        for number in range(5):
            await it.happen(text("hi", PEOPLE[number % 3]))
            await ends(it, books)
        first = next(iter(books.records))
        books.fails = lambda request: WRONG["500"] if first in request.path else None
        await passes(it, 2 * DAY + HOUR, 10 * MINUTE)
        assert cost(it) == [(1, None, ""), *[(1, "0.0079", "USD")] * 4]
        assert books.singles().count(first) < 30
        assert due(it) == [None] * 5


async def test_what_was_due_is_asked_for_after_a_restart(tmp_path: Path) -> None:
    """Also after a day without a node, and once: what is known is not asked for again."""
    books = Books()
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books)
    async with node(tmp_path, books) as it:
        it.time += DAY
        await it.engine.prices.step()
        assert cost(it) == [(1, "0.0079", "USD")]
    async with node(tmp_path, books) as it:
        it.time += 2 * DAY
        await it.engine.prices.step()
        assert len(books.reads) == 1


@pytest.mark.parametrize("why", ["doubt", "pause", "held", "breaker", "rate", "off", "no gateway"])
async def test_nothing_is_asked_for_while_there_is_something_else_to_do(
    tmp_path: Path, why: str
) -> None:
    books = Books()
    async with node(tmp_path, books, price_reads=why != "off") as it:
        for number in range(12):
            await it.happen(text("hi", PEOPLE[number % 3]))
            await ends(it, books)
        await it.wait(10 * MINUTE)
        limits, sender = it.engine.prices._gateway_reader._limits, it.engine.sender
        request = Request("GET", f"/Accounts/{ACCOUNT}/Messages.json", (), "messages")
        match why:
            case "doubt":
                with closing(connect_writer(it.settings.data / "journal.db")) as other:
                    other.execute("update actions set state = 'unknown' where id = 1")
                    other.commit()
                await asyncio.sleep(0)  # what another connection wrote is seen in the next turn
            case "pause":
                sender.paused = True
            case "held":
                sender.held = True
            case "breaker":
                limits.record(request, Unauthorized("refused", http_status=401))
            case "rate":
                limits.record(request, RateLimited("too many", http_status=429))
            case "no gateway":
                it.engine.prices._gateway_reader.gateway = None
        await it.engine.prices.step()
        assert books.reads == []
        if why == "rate":
            await passes(it, 5 * MINUTE)
            assert cost(it) == [(1, "0.0079", "USD")] * 12


def fill(it: Node, books: Books, count: int, *, ended: float, due: float | None) -> None:
    """So many texts that ended some seconds ago are on record, here and at Twilio; they are due for
    a look since then."""
    moment = iso(datetime.fromtimestamp(it.time - ended, UTC))
    since = iso(datetime.fromtimestamp(it.time - due, UTC)) if due is not None else None
    with closing(connect_writer(it.settings.data / "journal.db")) as other:
        other.execute("begin")
        for number in range(count):
            sid = f"SM{0xABC00000 + number:032x}"
            other.execute(
                "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, effect, params,"
                " policy, state, remote_sid, outcome, planned_at, settled_at, price_due) values (?,"
                "'', '', 'r', ?, 'send_message', 'message', '{}', '', 'settled', ?, 'delivered', ?,"
                " ?, ?)",
                (f"act_{number}", number, sid, moment, moment, since),
            )
            books.made[sid] = it.time - ended
            books.records[sid] = {
                "sid": sid, "num_segments": "1", "account_sid": ACCOUNT, "to": PERSON,
                "price_unit": "USD", "direction": "outbound-api",
            }  # fmt: skip
        other.commit()


async def test_thousands_are_read_by_lists(tmp_path: Path) -> None:
    books = Books()
    async with node(tmp_path, books) as it:
        fill(it, books, 2500, ended=10 * MINUTE, due=5 * MINUTE)
        await passes(it, 6 * MINUTE)
        assert cost(it) == [(1, "0.0079", "USD")] * 2500
        assert books.singles() == []
        assert books.lists() <= 12
        query = dict(books.reads[0].form)
        sent = from_iso(query["DateSent>"]), from_iso(query["DateSent<"])
        assert sent[0] < NOON - timedelta(minutes=10) < sent[1] < NOON + timedelta(minutes=10)


async def test_thousands_that_no_list_shows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """In an account of others, a page of whose list has none of ours."""
    books = Books()
    books.fails = lambda request: {"messages": []} if request.path.endswith("s.json") else None
    async with node(tmp_path, books) as it:
        fill(it, books, 2500, ended=10 * MINUTE, due=5 * MINUTE)
        for minute in range(1, 11):
            await passes(it, MINUTE)
            assert len(books.reads) <= minute * (1 + prices.SINGLES)
        assert len(set(books.singles())) == len(books.singles()) == 10 * prices.SINGLES


@pytest.mark.parametrize(
    ("ended", "due"), [(HOUR, None), (400 * DAY, None), (3 * DAY, 3 * DAY)],
    ids=["an older journal", "an old one", "a node that was off"],
)  # fmt: skip
async def test_an_old_journal_asks_for_nothing(
    tmp_path: Path, ended: float, due: float | None
) -> None:
    books = Books()
    async with node(tmp_path, books) as it:
        fill(it, books, 3000, ended=ended, due=due)
        await passes(it, 30 * MINUTE)
        assert books.reads == []
        left = it.reader.execute("select count(*) from actions where price_due is not null")
        assert left.fetchone()[0] == 0


@pytest.mark.parametrize("wrong", [10 * DAY, -10 * DAY])
async def test_a_clock_that_was_wrong_makes_no_storm(tmp_path: Path, wrong: float) -> None:
    books = Books()
    books.after = NEVER
    async with node(tmp_path, books) as it:
        it.time += wrong
        await it.happen(text("hi"))
        await ends(it, books)
        it.time -= wrong
        await passes(it, 2 * DAY, 10 * MINUTE)
        assert len(books.reads) <= 1


async def test_the_price_of_another_record_is_forgotten(tmp_path: Path) -> None:
    """A text that failed and is sent again by a person has a record of its own, and its price."""
    books = Books()
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books, "undelivered")
        await passes(it, 6 * MINUTE)
        assert cost(it) == [(1, "0.0079", "USD")]
        with closing(connect_writer(it.settings.data / "journal.db")) as other:
            other.execute("update actions set state = 'planned', outcome = ''")
            other.commit()
        books.segments, books.price = "3", "-0.02"
        await it.happen()
        assert cost(it) == [(3, None, "")]
        await ends(it, books)
        await passes(it, 6 * MINUTE)
        assert cost(it) == [(3, "0.02", "USD")]


async def test_a_price_that_is_known_stays_known(tmp_path: Path) -> None:
    """An older page of a list, read late, says nothing of it; a later price is another one."""
    books = Books()
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books)
        await passes(it, 6 * MINUTE)
        ask = it.engine.watch._gateway_reader.ask
        listed = Request("GET", f"/Accounts/{ACCOUNT}/Messages.json", (("PageSize", "50"),),
                         "messages")  # fmt: skip
        books.after, books.segments = NEVER, "0"
        await ask(listed)
        assert cost(it) == [(1, "0.0079", "USD")]
        books.after, books.price = 0.0, "-0.0158"
        await ask(listed)
        assert cost(it) == [(1, "0.0158", "USD")]


async def test_what_is_read_anyway_tells_prices(tmp_path: Path) -> None:
    """The lists by which missed webhooks are fetched back: then nothing more is asked."""
    books = Books()
    async with node(tmp_path, books) as it:
        await it.happen(text("hi"))
        await ends(it, books)
        await it.wait(2 * MINUTE)
        await it.engine.watch._repairer.step()
        assert cost(it) == [(1, "0.0079", "USD")]
        books.reads.clear()
        await passes(it, 10 * MINUTE)
        assert books.reads == []


HEARD = {"AccountSid": ACCOUNT, "From": PERSON, "To": OURS}
CAME: dict[str, tuple[Happens, str, str]] = {
    "a text": (
        Happens("message", {**HEARD, "MessageSid": "SM" + "c" * 32, "Body": "hi"}),
        "messages", "message.received",
    ),
    "a call": (
        Happens("call/status", {
            **HEARD, "CallSid": "CA" + "c" * 32, "CallStatus": "completed", "Direction": "inbound",
            "CallDuration": "43", "CallbackSource": "call-progress-events",
        }),
        "calls", "call.completed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CAME)
@pytest.mark.parametrize("how", ["a list", "its record"])
async def test_what_came_in_was_charged_is_kept_where_a_read_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, how: str
) -> None:
    """Twice told it is written once; until then nothing is shown."""
    happens, resource, type_ = CAME[name]
    sid = happens.fields.get("MessageSid") or happens.fields["CallSid"]
    record = {"sid": sid, "direction": "inbound", "price": "-0.00850", "price_unit": "USD"}
    books = Books()
    books.fails = lambda _: {resource: [record]} if how == "a list" else record
    async with node(tmp_path, books, "{notify: x}") as it:
        await it.happen(happens)

        async def shown() -> tuple[str, dict[str, Any]]:
            command = ["--data", str(it.settings.data), "events", "list", "--json", "--sid", sid]
            assert await asyncio.to_thread(run, command) == 0
            row = json.loads(capsys.readouterr().out)
            with Questions(it.settings.data) as asked:
                line = next(iter(render(asked.trace(row["uid"]) or {}, {})))
            return line, row

        line, row = await shown()
        assert (row["type"], row["price"], row["price_unit"]) == (type_, None, "")
        assert "USD" not in line
        ask = it.engine.watch._gateway_reader.ask
        request = Request("GET", f"/Accounts/{ACCOUNT}/{resource.title()}.json", (), resource)
        for _ in range(2):
            await ask(request)
        line, row = await shown()
        assert (row["price"], row["price_unit"]) == ("0.0085", "USD")
        assert "  0.0085 USD  " in line
        assert row["fields"]["Price"] == "0.0085"
        assert cost(it) == [(None, None, "")] if name == "a text" else cost(it) == []


def traced(it: Node) -> str:
    """What `ringback trace` shows of what the text led to."""
    with Questions(it.settings.data) as asked:
        return "\n".join(
            line
            for (uid,) in it.reader.execute("select distinct event_uid from actions")
            for line in render(asked.trace(uid) or {}, {})
        )


async def listed(it: Node, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    command = ["--data", str(it.settings.data), "actions", "list", *more]
    assert await asyncio.to_thread(run, command) == 0
    return capsys.readouterr().out


SAID: dict[str, tuple[str, str, str, str]] = {
    "two segments": ("about 2 segments", "2 segments", "2 segments, 0.0158 USD", "delivered"),
    "one segment": ("about 1 segment", "1 segment", "1 segment, 0.0158 USD", "delivered"),
    "UCS-2": ("about 2 segments", "2 segments", "2 segments, 0.0158 USD", "delivered"),
    "WhatsApp": ("", "", "0.0158 USD", "delivered"),
    "a call": ("", "43 s", "0.0158 USD, 43 s", "completed"),
}


@pytest.mark.parametrize("name", SAID)
async def test_the_shell_tells_an_estimate_from_what_was_charged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    guess, ended, told, status = SAID[name]
    books = Books()
    books.price, books.segments = "-0.01580", "2" if guess.endswith("2 segments") else "1"
    async with node(tmp_path, books, KINDS[name][0]) as it:
        it.engine.sender.held = True
        await it.happen(text("hi"))
        number = int(guess.split()[1]) if guess else None
        for line, estimate in ((guess, number), (ended, None), (told, None)):
            tree = traced(it)
            assert (f"  {line}  " in tree) if line else ("segment" not in tree), tree
            assert ("about" in tree) == (estimate is not None)
            assert line.partition("43 s")[0].rstrip(", ") in await listed(it, capsys)
            row = json.loads(await listed(it, capsys, "--json"))
            assert row["estimated_segments"] == estimate
            assert (row["segments"], row["price"], row["price_unit"]) == cost(it)[0]
            it.engine.sender.held = False
            if not books.records:
                await it.happen()
                await ends(it, books, status)
            else:
                await passes(it, 6 * MINUTE)


async def test_what_never_left_shows_no_estimate(tmp_path: Path) -> None:
    async with node(tmp_path, Books()) as it:
        await it.happen(text("STOP"), text("hi"))
        states = it.reader.execute("select distinct state from actions").fetchall()
        assert [row[0] for row in states] == ["refused"]
        assert "segment" not in traced(it)
