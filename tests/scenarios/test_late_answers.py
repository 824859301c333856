"""Late answers: a caller has heard the fallback when the answer of a rule is there.

It becomes an update of the call. What stands behind it in its run waits for Twilio's word on that,
and is not done when the call is over. The worker is a real one on real files.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from admission.compare import load
from admission.node import Node, Twilio, settings_of
from admission.stories import Happens, Story
from ringback.errors import BadRequest
from ringback.gateway.transport import Reply
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.twilio.rest import Request
from simulation import story as simulated
from simulation.twilio import ACCOUNT as simulated_account

SID = "CA" + "6" * 32
CALL = {"CallSid": SID, "From": "+15550100001", "To": "+12025550100", "Direction": "inbound"}
RINGS, TALKS = {**CALL, "CallStatus": "ringing"}, {**CALL, "CallStatus": "in-progress"}
BEHIND = "{notify: they wait}, {send: {to: '+14155550155', body: led}}"
LINE = "{say: Hello.}, {enqueue: support}"
RULES = f"rules:\n- {{name: line, on: call.received, do: [{LINE}, {BEHIND}]}}\n"
MENU = (
    "rules:\n- {name: line, on: call.received, do: [{gather: {say: Press 1., digits: 1, "
    f"choices: {{'1': [{LINE}, {BEHIND}]}}}}}}]}}\n"
)
ENDED = "the call had ended before `enqueue`"


class Line(Twilio):
    """Twilio with one call, which is over or not; `updates` is what it was told to do."""

    def __init__(self, over: bool) -> None:
        super().__init__()
        self.over = over
        self.updates: list[str] = []

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if request.resource != "calls":
            return await super().perform(request)
        self.updates.append(dict(request.form)["Twiml"])
        if self.over:
            raise BadRequest("Call is not in-progress", http_status=400, code=21220,
                             origin="twilio")  # fmt: skip
        return Reply(200, {"sid": SID, "status": "in-progress"})


@asynccontextmanager
async def node(
    folder: Path, twilio: Twilio, rules: str = RULES, **settings: Any
) -> AsyncIterator[Node]:
    settings["public_url"] = "https://hooks.example.org"
    made = Node(settings_of(folder, settings), load(Story(rules, ()), folder), twilio)
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def behind(it: Node) -> list[tuple[str, str]]:
    """What stands behind the answer: state and reason."""
    rows = it.reader.execute(
        "select state, reason from actions where kind in ('notify', 'send_message') order by id"
    )
    return [(state, reason) for state, reason in rows]


def states(it: Node) -> list[str]:
    return [state for state, _ in behind(it)]


def reasons(it: Node) -> list[str]:
    return [row[0] for row in it.reader.execute("select reason from runs order by id")]


async def late(it: Node) -> None:
    """The receiver says that the last caller heard the fallback; what comes of it."""
    await it.engine.calls.late(it.store.log.last_id())
    await it.happen()


DONE = ["settled", "accepted"]


@pytest.mark.parametrize("word", ["heard", "nothing"])
async def test_what_stands_behind_an_answer_waits_for_the_caller(tmp_path: Path, word: str) -> None:
    """And goes when nobody says anything about it, as when the receiver has died."""
    twilio = Line(over=False)
    async with node(tmp_path, twilio) as it:
        assert "support</Enqueue>" in await it.hears(**RINGS)
        await it.happen()
        assert set(states(it)) == {"planned"}
        assert it.engine.calls.is_followed(it.store.log.last_id())
        if word == "heard":
            await it.engine.calls.heard(it.store.log.last_id())
            await it.happen()
        else:
            await it.wait(11.0)
        assert (states(it), reasons(it), twilio.updates) == (DONE, [""], [])


async def test_what_waits_for_nobody_goes_at_once(tmp_path: Path) -> None:
    """What was only said leads nobody on."""
    rules = RULES.replace(", {enqueue: support}", "")
    async with node(tmp_path, Line(over=False), rules) as it:
        await it.hears(**RINGS)
        await it.happen()
        assert states(it) == DONE
        assert not it.engine.calls.is_followed(it.store.log.last_id())


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("rules", [RULES, MENU], ids=["first", "step"])
@pytest.mark.parametrize("when", ["before", "after", "in the next life"])
async def test_an_answer_that_nobody_heard_is_sent_as_an_update(
    tmp_path: Path, when: str, rules: str, over: bool
) -> None:
    """The fallback was heard before the worker knew of the call, while its answer was under way, or
    when the worker had died with it; and once, however often that is told."""
    twilio = Line(over)
    async with node(tmp_path, twilio, rules) as it:
        fields = RINGS
        if rules == MENU:
            assert "Press 1." in await it.hears(**RINGS)
            fields = {**TALKS, "Digits": "1"}
        route = "call/step" if rules == MENU else "call"
        if when == "before":
            await it.record(Happens(route, fields), "n1")
            await late(it)
            assert len(twilio.updates) == 1
        else:
            assert "support</Enqueue>" in await it.hears(tag="n1", **fields)
        if when == "after":
            await late(it)
        if when == "in the next life":
            await it.happen()
    async with node(tmp_path, twilio, rules) as it:
        for _ in range(3):
            await late(it)
        assert [each.count("support</Enqueue>") for each in twilio.updates] == [1]
        if not over:
            assert (states(it), reasons(it)) == (DONE, [""])
            return
        assert behind(it) == [("cancelled", ENDED)] * 2
        assert reasons(it) == [f"stopped: {ENDED}"]


@pytest.mark.parametrize("over", [True, False])
async def test_an_answer_that_is_late_while_it_is_written(tmp_path: Path, over: bool) -> None:
    """The disk is slow: the caller has heard the fallback when the answer is on it."""
    twilio = Line(over)
    async with node(tmp_path, twilio, answer_seconds=0.1) as it:
        with closing(connect_writer(it.settings.data / "journal.db")) as other:
            other.execute(
                "create trigger slow after insert on answers begin insert into meta "
                "select 'slow', count(*) from (with recursive n(i) as (select 1 union all "
                "select i + 1 from n where i < 1000000) select i from n); end"
            )
            other.commit()
        assert await it.hears(**RINGS) == ""
        await it.happen()
        assert len(twilio.updates) == 1
        assert states(it) == (["cancelled"] * 2 if over else DONE)
        assert reasons(it) == [f"stopped: {ENDED}" if over else ""]
        await late(it)
        assert len(twilio.updates) == 1


async def test_an_answer_to_a_later_step_was_heard(tmp_path: Path) -> None:
    """Of the call that was late the first answer alone is sent again."""
    twilio = Line(over=False)
    async with node(tmp_path, twilio, MENU) as it:
        await it.hears(**RINGS)
        first = it.store.log.last_id()
        await it.hears(tag="n1", **TALKS, Digits="1")
        for _ in range(2):
            await it.engine.calls.late(first)
            await it.happen()
        assert ["Press 1." in each for each in twilio.updates] == [True]


def test_what_nobody_says_has_been_heard_goes_after_a_while(
    begin: Callable[..., simulated.Story],
) -> None:
    """By the worker's own clock."""
    story = begin(rules=f"version: 1\n{RULES.replace(BEHIND, '{notify: they wait}')}")
    fields = {"AccountSid": simulated_account, **RINGS}
    story.receive(story.entry("call", "", fields))
    story.run(8.0)
    assert story.notices == []
    story.run(15.0)
    assert story.notices == ["they wait"]


async def test_texts_to_one_person_before_and_behind(tmp_path: Path) -> None:
    """The one behind goes by the call, although another stands before it."""
    led = "{send: {to: '+14155550155', body: led}}"
    rules = RULES.replace("{say: Hello.}", f"{led}, {{say: Hello.}}")
    async with node(tmp_path, Line(over=True), rules) as it:
        await it.hears(**RINGS)
        await late(it)
        assert states(it) == ["accepted", "cancelled", "cancelled"]


async def test_rules_can_tell_that_a_late_answer_found_nobody(tmp_path: Path) -> None:
    told = (
        "- {name: told, on: action.failed, if: event.error_class == 'call_not_in_progress', "
        "do: [{notify: 'gone: ${{ event.cause.rule }}'}]}\n"
    )
    async with node(tmp_path, Line(over=True), RULES + told) as it:
        await it.hears(**RINGS)
        await late(it)
        await it.wait(5.0)
        said = it.reader.execute("select json_extract(params, '$.text') from actions "
                                 "where rule = 'told'").fetchall()  # fmt: skip
        assert [row[0] for row in said] == ["gone: line"]
