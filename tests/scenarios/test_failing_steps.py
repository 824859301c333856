"""Expressions that fail: an option of `choose` that does not hold, and a call whose rule fails.

A real worker on real files and the stepped clock.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import Story, text
from ringback.config import Settings

CALL = {"CallSid": "CA" + "5" * 32, "From": "+15550100001", "To": "+12025550100"}
RINGS = {**CALL, "CallStatus": "ringing"}
KEY = {**CALL, "CallStatus": "in-progress", "Digits": "1"}
FALLBACK = Settings(project=Path()).fallback_twiml.partition("<Say>")[2].partition("<")[0]
AGE = "vars.age.number() > 17.0"
BROKEN = "${{ string(reply.body.number()) }}"


@asynccontextmanager
async def node(folder: Path, rules: str) -> AsyncIterator[Node]:
    """A worker with these rules."""
    lines = "\n".join(f"- {rule}" for rule in rules.strip().splitlines())
    made = Node(settings_of(folder, {}), load(Story(f"rules:\n{lines}\n", ()), folder))
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def rows(node: Node, question: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in node.reader.execute(question)]


ASKS = (
    "{{name: ages, on: message.received, if: \"event.body == 'hello'\", do: ["
    "{{wait_for: {{as: age, timeout: 1h}}}}, "
    "{{choose: [{options}]}}, {{notify: behind}}]}}"
)
GROWN = f"{{if: {AGE!r}, do: [{{notify: grown}}]}}"


@pytest.mark.parametrize(
    ("options", "age", "said"),
    [
        (f"{GROWN}, {{else: [{{notify: else}}]}}", "old", ["else", "behind"]),
        (f"{GROWN}, {{if: \"vars.age == 'old'\", do: [{{notify: word}}]}}", "old",
         ["word", "behind"]),
        (GROWN, "old", ["behind"]),
        (f"{GROWN}, {{else: [{{notify: else}}]}}", "18", ["grown", "behind"]),
    ],
)  # fmt: skip
async def test_an_option_that_fails_does_not_hold_and_the_run_says_so(
    tmp_path: Path, options: str, age: str, said: list[str]
) -> None:
    async with node(tmp_path, ASKS.format(options=options)) as it:
        await it.happen(text("hello"))
        await it.happen(text(age))
        assert rows(it, "select json_extract(params, '$.text') from actions order by id") == [
            (each,) for each in said
        ]
        ((state, reason),) = rows(it, "select state, reason from runs")
        assert state == "done"
        wanted = "`choose` (line 2): option 1 does not hold: error:1: no number in the text"
        assert reason == (wanted if age == "old" else "")


async def test_what_failed_on_the_way_is_still_said_after_a_wait_and_at_a_stop(
    tmp_path: Path,
) -> None:
    options = f"{GROWN}, {{else: [{{wait: 1h}}, {{stop: enough}}]}}"
    async with node(tmp_path, ASKS.format(options=options)) as it:
        await it.happen(text("hello"))
        await it.happen(text("old"))
        ((state, reason),) = rows(it, "select state, reason from runs")
        assert state == "waiting"
        assert "option 1 does not hold" in str(reason)
        await it.wait(3600)
        ((state, reason),) = rows(it, "select state, reason from runs")
        assert str(reason).startswith("stopped: enough; `choose` (line 2): option 1 does not hold")


async def test_an_answer_whose_condition_fails_does_not_count_and_the_run_says_so(
    tmp_path: Path,
) -> None:
    rule = (
        "{name: ages, on: message.received, mode: single, "
        "do: [{wait_for: {if: reply.body.number() > 17.0, timeout: 1h}}, {notify: grown}]}"
    )
    async with node(tmp_path, rule) as it:
        await it.happen(text("hello"))
        await it.happen(text("old"))
        ((state, reason),) = rows(it, "select state, reason from runs")
        assert state == "waiting"
        assert "message.received does not count: error:1: no number in the text" in str(reason)
        await it.happen(text("18"))
        assert rows(it, "select state from runs where rule = 'ages'")[0] == ("done",)


GATHERS = "{name: menu, on: call.received, do: [{gather: {say: Press 1., digits: 1}}, %s]}"


async def test_a_choice_that_fails_in_a_call_takes_else(tmp_path: Path) -> None:
    choice = "{choose: [{if: reply.body.number() > 17.0, do: [{say: A}]}, {else: [{say: B}]}]}"
    async with node(tmp_path, GATHERS % choice) as it:
        assert "Press 1." in await it.hears(**RINGS)
        assert "<Say>B</Say>" in await it.hears(**KEY)


@pytest.mark.parametrize(
    ("steps", "heard"),
    [
        (f'{{say: "{BROKEN}"}}', ""),
        (f'{{notify: "{BROKEN}"}}', ""),
        (f'{{say: Good.}}, {{notify: "{BROKEN}"}}', f"<Say>Good.</Say><Say>{FALLBACK}</Say>"),
        (f'{{enqueue: q}}, {{notify: "{BROKEN}"}}', f"<Enqueue>q</Enqueue><Say>{FALLBACK}</Say>"),
    ],
)
async def test_a_caller_whose_rule_fails_hears_the_fallback(
    tmp_path: Path, steps: str, heard: str
) -> None:
    """An empty answer of the worker is the receiver's word to speak it."""
    async with node(tmp_path, GATHERS % steps) as it:
        await it.hears(**RINGS)
        assert (await it.hears(**KEY)).partition("<Response>")[2].removesuffix(
            "</Response>"
        ) == heard
        ((state, reason),) = rows(it, "select state, reason from runs")
        assert (state, "no number in the text" in str(reason)) == ("failed", True)


async def test_a_new_call_whose_rule_fails_behind_its_first_words_hears_the_fallback_too(
    tmp_path: Path,
) -> None:
    rule = '{name: it, on: call.received, do: [{say: Hello.}, {say: "${{ int(event.from) }}"}]}'
    async with node(tmp_path, rule.replace("event.from", "event.body")) as it:
        assert f"<Say>Hello.</Say><Say>{FALLBACK}</Say>" in await it.hears(**RINGS)


async def test_a_rule_that_fails_leaves_a_call_to_the_one_that_speaks(tmp_path: Path) -> None:
    good = GATHERS % "{say: Good.}"
    bad = (GATHERS % f'{{say: "{BROKEN}"}}').replace("menu", "bad, priority: -1")
    async with node(tmp_path, f"{good}\n{bad}") as it:
        await it.hears(**RINGS)
        assert "<Say>Good.</Say></Response>" in await it.hears(**KEY)


@pytest.mark.parametrize("state", ["shadow", "draft"])
async def test_a_rule_that_is_not_live_and_fails_is_not_heard(tmp_path: Path, state: str) -> None:
    quiet = f"{{name: s, state: {state}, on: call.gathered, "
    quiet += 'do: [{say: "${{ int(event.body) }}"}]}'
    async with node(tmp_path, f"{GATHERS % '{notify: x}'}\n{quiet}") as it:
        await it.hears(**RINGS)
        assert "<Response" in await it.hears(**KEY)
