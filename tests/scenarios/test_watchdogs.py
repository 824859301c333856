"""Watchdogs: numbers that fall silent, and sends without a final status.

A real worker on real files; the clock is stepped, and the watchdogs are asked at its moments.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from admission.compare import load
from admission.node import Loaded, Node, Twilio, settings_of
from admission.stories import Story, text
from ringback.gateway.transport import Reply
from ringback.plugins.loader import load_plugins
from ringback.runtime import iso
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.testing import NOON
from ringback.testing.assembly import ruleset_of
from ringback.twilio.rest import Request

HOUR, DAY = 3600.0, 86_400.0
COMES = (
    "insert into events (uid, type, at, received_at, trust, source, account_sid, subject_sid, "
    "sender, recipient, conversation, status, error_code, tag, verdicts, dedupe_key, depth, "
    "fields) values (:uid, 'message.received', :at, :at, 'signed', 'webhook', '', :uid, "
    "'+15551000001', '+15557654321', '', 'received', 0, '', '{}', :uid, 0, '{}')"
)
RULES = "rules:\n- {name: r, on: message.read, do: [{notify: N}]}\n"


@asynccontextmanager
async def node(
    folder: Path, rules: str | Loaded = RULES, twilio: Twilio | None = None, **settings: Any
) -> AsyncIterator[Node]:
    loaded = load(Story(rules, ()), folder) if isinstance(rules, str) else rules
    made = Node(settings_of(folder, settings), loaded, twilio)
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def rows(it: Node, question: str) -> list[Any]:
    return [row[0] for row in it.reader.execute(question)]


async def texts_come(it: Node, moments: Iterable[float]) -> None:
    """Texts come at these seconds after the story began."""
    for moment in moments:
        it.time = NOON.timestamp() + moment
        await it.record(text("hi"))
    await it.happen()


def shop(days: Iterable[int], a_day: int = 31) -> list[float]:
    """From 8 to 19 o'clock on these days, evenly."""
    eight = -9 * HOUR  # the story begins at 17:00 UTC
    span = 11 * HOUR / a_day
    return [day * DAY + eight + number * span for day in days for number in range(a_day)]


async def looks(it: Node, begin: float, end: float, every: float = HOUR / 2) -> list[float]:
    """Ask the watchdog from then until then; the moments at which an incident was open."""
    found = []
    moment = begin
    while moment <= end:
        it.time = NOON.timestamp() + moment
        await it.engine.silence.silent()
        if rows(it, "select 1 from incidents where kind = 'silent' and state = 'open'"):
            found.append(moment)
        moment += every
    return found


async def test_silence_is_not_over_because_it_goes_on(tmp_path: Path) -> None:
    """From the first alarm to the next text, however many days; and one alarm for all of it."""
    async with node(tmp_path) as it:
        await texts_come(it, [number * DAY / 39 for number in range(40)])
        open_ = await looks(it, DAY, 6 * DAY, HOUR)
        assert DAY + 2 * HOUR <= open_[0] <= DAY + 4 * HOUR
        assert open_ == [moment for moment in open_ if moment >= open_[0]]
        assert len(open_) == (6 * DAY - open_[0]) // HOUR + 1
        assert rows(it, "select count(*) from events where type = 'watch.silent'") == [1]
        await texts_come(it, [6 * DAY + HOUR])
        assert await looks(it, 6 * DAY + HOUR + 60, 6 * DAY + 2 * HOUR) == []
        assert rows(it, "select count(*) from events where type = 'incident.resolved'") == [1]


@pytest.mark.parametrize("days", [1, 2, 7])
async def test_no_night_is_an_alarm(tmp_path: Path, days: int) -> None:
    async with node(tmp_path) as it:
        await texts_come(it, shop(range(1, days + 1)))
        assert await looks(it, days * DAY + 2 * HOUR, days * DAY + 15 * HOUR) == []


async def test_a_silent_morning_is_an_alarm_by_noon(tmp_path: Path) -> None:
    async with node(tmp_path) as it:
        await texts_come(it, shop(range(1, 8)))
        open_ = await looks(it, 7 * DAY + 2 * HOUR, 9 * DAY)
        assert 7 * DAY + 15 * HOUR < open_[0] < 7 * DAY + 19 * HOUR
        assert open_[-1] == 9 * DAY, "through the night as well"


async def test_a_monday_that_begins_and_falls_silent_is_an_alarm(tmp_path: Path) -> None:
    """Behind a weekend on which nothing comes; its first text was the last one."""
    async with node(tmp_path) as it:
        await texts_come(it, shop([1, 2, 5, 6, 7, 8, 9]))
        assert await looks(it, 9 * DAY + 3 * HOUR, 12 * DAY - 10 * HOUR, 2 * HOUR) == []
        eight = 12 * DAY - 9 * HOUR
        await texts_come(it, [eight])
        (first, *_) = await looks(it, eight + 60, 12 * DAY + 2 * HOUR)
        assert eight + 2 * HOUR <= first <= eight + 5 * HOUR


async def test_clocks_that_are_set_back_make_no_alarm(tmp_path: Path) -> None:
    """The number is one of Washington, whose clocks are set back on 1 November: its shop opens at
    the same hour there. A morning on which it really is silent is an alarm then, too."""
    zone = ZoneInfo("America/New_York")

    def mornings(days: range, hours: float = 4.0) -> list[float]:
        begin = (datetime(2026, 10, 25, 8, tzinfo=zone) + timedelta(days=day) for day in days)
        return [
            (moment - NOON).total_seconds() + minute * 60.0
            for moment in begin
            for minute in range(0, int(hours * 60), 8)
        ]

    async with node(tmp_path) as it:
        await texts_come(it, mornings(range(7)))
        (sunday,) = mornings(range(7, 8), 0.1)
        assert await looks(it, sunday - 2 * HOUR, sunday, HOUR / 6) == []
        await texts_come(it, mornings(range(7, 8)))
        (monday,) = mornings(range(8, 9), 0.1)
        assert await looks(it, monday - HOUR, monday, HOUR / 6) == []
        (first, *_) = await looks(it, monday, monday + 3 * HOUR, HOUR / 6)
        assert HOUR / 2 <= first - monday <= 2 * HOUR


async def test_one_day_with_very_many_does_not_make_them_usual(tmp_path: Path) -> None:
    """Three texts come on a day, and forty answers to an offer on one of them."""
    async with node(tmp_path) as it:
        days = [day * DAY - number * HOUR for day in range(1, 9) for number in (9, 8, 7)]
        offer = [8 * DAY - 9 * HOUR + 60.0 * number for number in range(1, 41)]
        await texts_come(it, sorted([*days, *offer]))
        assert await looks(it, 8 * DAY - 4 * HOUR, 9 * DAY + 5 * HOUR) == []


async def test_a_day_off_is_no_alarm_once_it_is_known(tmp_path: Path) -> None:
    """The seventh day of each week is off; the silence of another one is seen all the same."""
    async with node(tmp_path) as it:
        await texts_come(it, shop(day for day in range(1, 14) if day % 7))
        assert await looks(it, 13 * DAY + 2 * HOUR, 14 * DAY + 15 * HOUR) == []
        await texts_come(it, shop([15]))
        assert await looks(it, 15 * DAY + 2 * HOUR, 17 * DAY) != []


@pytest.mark.parametrize(
    ("closed", "silent"),
    [
        ((), True),
        pytest.param((1, 2, 3, 4), False, marks=pytest.mark.slow),
        pytest.param((7,), False, marks=pytest.mark.slow),
        pytest.param((2, 5), True, marks=pytest.mark.slow),
    ],
)
async def test_minutes_are_enough_where_something_comes_all_the_time(
    tmp_path: Path, closed: tuple[int, ...], silent: bool
) -> None:
    """Six a minute for an hour, on seven days before, too; on some of them it ended just then."""
    async with node(tmp_path) as it:
        before = [
            -day * DAY + each
            for day in range(7, 0, -1)
            for each in steady(-10, 0 if day in closed else 60, 10.0)
        ]
        await come(it, [*before, *steady(-60, 0, 10.0)])
        assert await suddenly(it, 60.0, 120.0) == []
        assert bool(await suddenly(it, 180.0, 240.0)) is silent
        if silent:
            assert rows(it, "select json_extract(details, '$.Mend') like '%connect +%' "
                        "from incidents where kind = 'silent'") == [1]  # fmt: skip
            await come(it, [250.0])
            assert await suddenly(it, 300.0) == []


async def test_what_comes_in_a_rush_is_not_missed_after_it(tmp_path: Path) -> None:
    async with node(tmp_path) as it:
        await come(it, [-DAY + each for each in steady(-60, 60, 60.0)])
        await come(it, steady(-20, 0, 5.0))
        assert await suddenly(it, 180.0, 300.0, 600.0) == []


def steady(begin: int, end: int, seconds: float) -> list[float]:
    """From a minute to another one, every so many seconds."""
    return [begin * 60 + each * seconds for each in range(int((end - begin) * 60 / seconds))]


async def come(it: Node, moments: Iterable[float]) -> None:
    """Texts are on record as of these moments."""
    at = [iso(datetime.fromtimestamp(NOON.timestamp() + each, UTC)) for each in moments]
    with closing(connect_writer(it.settings.data / "journal.db")) as connection:
        connection.executemany(COMES, [{"uid": f"evt_{each}", "at": each} for each in at])
    await asyncio.sleep(0)  # what another connection wrote is seen in the next turn


async def suddenly(it: Node, *moments: float) -> list[float]:
    """The moments at which an incident was open, of those at which it was looked."""
    found = []
    for moment in moments:
        it.time = NOON.timestamp() + moment
        await it.engine.silence.suddenly_silent()
        if rows(it, "select 1 from incidents where kind = 'silent' and state = 'open'"):
            found.append(moment)
    return found


async def test_a_number_that_is_given_up_is_told_of_no_longer(tmp_path: Path) -> None:
    async with node(tmp_path) as it:
        await texts_come(it, [number * DAY / 39 for number in range(40)])
        open_ = await looks(it, DAY, 40 * DAY, 5 * HOUR)
        assert 30 * DAY < open_[-1] < 33 * DAY


class Answers(Twilio):
    """Twilio, of whose sends nobody hears again; its records say `status`."""

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status, self.read = status, 0

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if request.method == "GET":
            self.read += 1
            return Reply(200, {"status": self.status})
        return await super().perform(request)


ANSWERS = "rules:\n- {name: r, on: message.received, do: [%s]}\n"
REPLY, CALL = "{reply: R}", "{call: {to: '${{ event.from }}', say: S}}"


def stuck(it: Node) -> int:
    return int(rows(it, "select count(*) from events where type = 'watch.stuck'")[0])


async def after(it: Node, seconds: float) -> int:
    """So much later the watchdog looks; how often it has found something stuck by then."""
    await it.wait(seconds)
    await it.engine.watch.stuck()
    return stuck(it)


WAITED: dict[str, dict[str, Any]] = {
    "quiet hours": {"quiet_hours": "16:30-20:00"},
    "a hold": {},
    "a pause": {},
}


@pytest.mark.parametrize("name", WAITED)
async def test_what_had_waited_is_not_stuck_when_it_has_just_left(
    tmp_path: Path, name: str
) -> None:
    rules = ANSWERS % "{send: {to: '${{ event.from }}', body: S}}"
    async with node(tmp_path, rules, Answers("sent"), **WAITED[name]) as it:
        sender = it.engine.sender
        sender.held, sender.paused = name == "a hold", name == "a pause"
        if name == "quiet hours":
            await it.happen(text("hi"))
            await it.wait(3 * HOUR)
        else:
            await it.record(text("hi"))
            while await it.engine._match():
                pass
            await it.engine.queue.idle()
            it.time += 3 * HOUR
        sender.held = sender.paused = False
        await it.happen()
        assert rows(it, "select state from actions") == ["accepted"]
        assert await after(it, 60.0) == 0
        assert await after(it, 300.0) == 0
        assert await after(it, 600.0) == 1
        assert await after(it, 8 * HOUR) == 1, "once"


async def test_what_had_stood_in_a_backlog_is_not_stuck_when_it_has_just_left(
    tmp_path: Path,
) -> None:
    """Of four texts one leaves in each hour: each is told of ten minutes after it left."""
    sends = (f"{{send: {{to: '+1415555010{n}', body: {'S' * 1500}}}}}" for n in range(4))
    async with node(
        tmp_path, ANSWERS % ", ".join(sends), Answers("sent"), sender_rate=10 / HOUR
    ) as it:
        await it.happen(text("hi"))
        for number in range(1, 4):
            it.time += HOUR + 10.0
            await it.happen()
            assert rows(it, "select count(*) from attempts") == [number + 1]
            assert await after(it, 60.0) == number, "those that left before"
        assert await after(it, 300.0) == 3
        assert await after(it, 600.0) == 4


async def test_an_answer_that_says_nothing_of_a_record_is_no_look(tmp_path: Path) -> None:
    """The next one follows soon, and not hours later as after a look that told the status."""
    twilio = Answers("")
    async with node(tmp_path, ANSWERS % REPLY, twilio) as it:
        await it.happen(text("hi"))
        assert await after(it, 1200.0) == 1
        before, twilio.status = twilio.read, "sent"
        await after(it, 1200.0)
        assert twilio.read > before
        await after(it, 1200.0)  # once more, now that its outcome is known
        heard = twilio.read
        await after(it, HOUR)
        assert twilio.read == heard


PLUGIN = """
from ringback import SendMessage, rule

@rule("message.received")
def later(event):
    return SendMessage(event.sender, "S", messaging_service_sid="MG" + "1" * 32, extra={extra})
"""


@pytest.mark.parametrize("days", [1, 30])
async def test_a_scheduled_text_is_stuck_after_its_time_and_not_before(
    tmp_path: Path, days: int
) -> None:
    (tmp_path / "plugins").mkdir()
    at = (NOON + timedelta(days=days)).isoformat()
    extra = str({"SendAt": at, "ScheduleType": "fixed"})
    (tmp_path / "plugins" / "shop.py").write_text(PLUGIN.replace("{extra}", extra))
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    twilio = Answers("scheduled")
    async with node(tmp_path, Loaded(ruleset, plugins), twilio) as it:
        await it.happen(text("hi"))
        assert rows(it, "select state from actions") == ["accepted"]
        assert await after(it, HOUR) == 0
        assert await after(it, (days - 1) * DAY + 22 * HOUR) == 0
        assert twilio.read == 0
        assert await after(it, HOUR + 1200.0) == 1


async def test_a_call_that_is_talked_in_is_not_stuck(tmp_path: Path) -> None:
    async with node(tmp_path, ANSWERS % CALL, Answers("in-progress")) as it:
        await it.happen(text("hi"))
        for _ in range(6):
            assert await after(it, 900.0) == 0


async def test_a_call_that_had_waited_may_be_talked_in_for_a_day(tmp_path: Path) -> None:
    """Its longest time counts from when it was placed. Whoever talks for longer than Twilio lets
    them is told of, also by the next worker, and once."""
    twilio = Answers("in-progress")
    async with node(tmp_path, ANSWERS % CALL, twilio) as it:
        it.engine.sender.paused = True
        await it.record(text("hi"))
        while await it.engine._match():
            pass
        await it.engine.queue.idle()
        it.time += HOUR - 60.0
        it.engine.sender.paused = False
        await it.happen()
        assert rows(it, "select state from actions") == ["accepted"]
        for _ in range(4):
            assert await after(it, 5 * HOUR) == 0
    async with node(tmp_path, ANSWERS % CALL, twilio) as it:
        it.time += 21 * HOUR
        assert await after(it, 2.5 * HOUR) == 0
        assert await after(it, 2 * HOUR) == 1
        assert await after(it, 9 * HOUR) == 1


@pytest.mark.parametrize(("status", "ends"), [("completed", "settled"), ("no-answer", "failed")])
async def test_a_call_whose_last_callback_never_comes_ends_all_the_same(
    tmp_path: Path, status: str, ends: str
) -> None:
    """After hours in a queue or a conference, which are `in-progress` too; also after a restart."""
    twilio = Answers("in-progress")
    async with node(tmp_path, ANSWERS % CALL, twilio) as it:
        await it.happen(text("hi"))
        for _ in range(10):
            assert await after(it, HOUR) == 0
    twilio.status = status
    async with node(tmp_path, ANSWERS % CALL, twilio) as it:
        it.time += 10 * HOUR
        assert await after(it, 1200.0) == 0
        await it.happen()
        assert rows(it, "select state from actions") == [ends]
        assert await after(it, 2 * DAY) == 0
