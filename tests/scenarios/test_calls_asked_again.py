"""Calls for whose document Twilio asks more than once: repeats, the fallback address, redirects.

`ringback connect` sets the address of calls as the fallback address too. The worker is a real one
on real files and a stepped clock.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import Story
from ringback.runtime import REAL
from ringback.store.log import LogReader
from ringback.store.upkeep.rebuild import rebuild
from ringback.testing.backtest import recorded

CALL = {"CallSid": "CA" + "5" * 32, "From": "+15550100001", "To": "+12025550100"}
RINGS = {**CALL, "CallStatus": "ringing", "Direction": "inbound"}
TALKS = {**RINGS, "CallStatus": "in-progress"}
PLACED = {**CALL, "CallStatus": "in-progress", "Direction": "outbound-api"}
VOICE = "https://hooks.example.org/twilio/call"
RULES = """rules:
- {name: menu, on: call.received, do: [{gather: {say: Press 1., digits: 1}}, {say: Thanks.}]}
- {name: count, on: call.received, do: [{notify: a call}]}
"""
SILENT = "rules:\n- {name: count, on: call.received, do: [{notify: a call}]}\n"


@asynccontextmanager
async def node(folder: Path, rules: str = RULES) -> AsyncIterator[Node]:
    """A worker with these rules, which goes on where the last one in this folder ended."""
    made = Node(settings_of(folder, {}), load(Story(rules, ()), folder))
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def failed(code: int, url: str = VOICE) -> dict[str, str]:
    """What Twilio adds when it asks the fallback address."""
    return {"ErrorCode": str(code), "ErrorUrl": url}


def runs(it: Node) -> list[str]:
    return [row[0] for row in it.reader.execute("select rule from runs order by rule")]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("first", "again"),
    [
        (RINGS, {**RINGS, **failed(11200)}),
        (RINGS, {**TALKS, **failed(11205)}),
        (RINGS, {**RINGS, **failed(11237), "CallerName": "ANN"}),
        (RINGS, {**RINGS, "StirVerstat": "TN-Validation-Passed-A"}),
        (TALKS, {**TALKS, **failed(11200)}),
        (PLACED, {**PLACED, **failed(11200)}),
    ],
)
async def test_a_call_that_is_asked_for_again_gets_the_same_answer(
    tmp_path: Path, first: dict[str, str], again: dict[str, str], restart: bool
) -> None:
    """One event and one run of each rule; also in a journal made again, and in a backtest."""
    async with node(tmp_path) as it:
        answer = await it.hears("call", **first)
        assert "Press 1." in answer
        same = answer if restart else await it.hears("call", **again)
        assert same == answer
    async with node(tmp_path) as it:
        assert await it.hears("call", **again) == answer
        await it.happen()  # the cursor meets what was matched ahead of it
        assert runs(it) == ["count", "menu"]
    log = LogReader(tmp_path / "data" / "log.db")
    assert len(list(recorded(log))) == 1
    log.close()
    assert rebuild(tmp_path / "data", lambda: REAL.uid("evt"), "then").events == 1


@pytest.mark.parametrize("code", [12100, 12300, 11750, 11770, 13227, 11100])
async def test_an_answer_that_twilio_could_not_use_is_not_given_again(
    tmp_path: Path, code: int
) -> None:
    """An empty answer of the worker is the receiver's word to speak the fallback."""
    async with node(tmp_path) as it:
        assert "Press 1." in await it.hears("call", **RINGS)
        assert await it.hears("call", **RINGS, **failed(code)) == ""
        assert runs(it) == ["count", "menu"]


@pytest.mark.parametrize("code", [11200, 12100])
async def test_the_fallback_alone_is_a_call_like_any_other(tmp_path: Path, code: int) -> None:
    """The first request did not arrive, or it went to somebody else."""
    async with node(tmp_path) as it:
        answer = await it.hears("call", **RINGS, **failed(code, "https://example.org/voice"))
        assert "Press 1." in answer
        assert await it.hears("call", **RINGS, **failed(11200)) == answer
        assert runs(it) == ["count", "menu"]


async def test_the_fallback_of_a_step_gets_the_answer_to_the_step(tmp_path: Path) -> None:
    async with node(tmp_path) as it:
        menu = await it.hears("call", **RINGS)
        found = re.search(r"call/step/([a-z0-9-]+)", menu)
        assert found is not None
        step = f"https://hooks.example.org/twilio/call/step/{found[1]}"
        # The key did not arrive: the caller is asked once more, and the run still waits.
        assert await it.hears("call", **TALKS, **failed(11205, step)) == menu
        thanks = await it.hears("call/step", found[1], **TALKS, Digits="1")
        assert "Thanks." in thanks
        assert await it.hears("call", **TALKS, **failed(11200, step)) == thanks
        assert await it.hears("call", **TALKS, **failed(12100, step)) == ""
        assert runs(it) == ["count", "menu"]


async def test_a_step_that_is_asked_for_again_gets_the_same_answer(tmp_path: Path) -> None:
    """Not the one to the call, nor an empty one: the caller would be cut off."""
    async with node(tmp_path) as it:
        await it.hears("call", **RINGS)
        thanks = await it.hears("call/step", "n1", **TALKS, Digits="1")
        assert "Thanks." in thanks
        assert await it.hears("call/step", "n1", **TALKS, Digits="1") == thanks
    async with node(tmp_path) as it:
        assert await it.hears("call/step", "n1", **TALKS, Digits="1") == thanks


async def test_a_repeat_while_the_rule_thinks_waits_for_its_answer(tmp_path: Path) -> None:
    async with node(tmp_path) as it:
        asked = [RINGS, {**RINGS, **failed(11200)}]
        first, second = await asyncio.gather(*(it.hears("call", **each) for each in asked))
        assert "Press 1." in first
        assert second == first
        assert runs(it) == ["count", "menu"]


async def test_a_repeat_that_nobody_answers_hears_the_fallback_at_once(tmp_path: Path) -> None:
    async with node(tmp_path, SILENT) as it:
        assert await it.hears("call", **RINGS) == ""
        async with asyncio.timeout(1):  # the patience with a rule is two seconds
            assert await it.hears("call", **RINGS, **failed(11200)) == ""
        assert runs(it) == ["count"]


async def test_a_caller_who_is_sent_here_again_begins_anew(tmp_path: Path) -> None:
    """A redirect in the middle of the call says nothing of an error."""
    async with node(tmp_path) as it:
        await it.hears("call", **RINGS)
        assert "Press 1." in await it.hears("call", **TALKS)
        assert runs(it) == ["count", "count", "menu", "menu"]


@pytest.mark.parametrize("wrong", ["message", "message/status", "call/status"])
async def test_a_call_at_a_wrong_address_is_answered_by_the_rules(
    tmp_path: Path, wrong: str
) -> None:
    """And is the same call when Twilio asks the fallback address, which is the right one."""
    async with node(tmp_path) as it:
        answer = await it.hears(wrong, **RINGS)
        assert "Press 1." in answer
        assert await it.hears("call", **RINGS, **failed(11200)) == answer
        await it.happen()
        assert runs(it) == ["count", "menu"]
