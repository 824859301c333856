"""Ended calls: refused updates, the runs behind them, and the SID of a call that never was."""

from collections.abc import Callable
from typing import Any

import pytest

from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

Begin = Callable[..., Story]
THEM = "+15550100044"
CALL = "CA" + "4" * 32
NOBODY = "CA" + "f" * 32
RULES = """
version: 1
rules:
  - name: greeting
    on: call.received
    do:
      - say: Please hold.
      - wait: 20s
      - {step}
      - notify: the caller goes on
  - name: told
    on: action.failed
    if: event.error_class == 'call_not_in_progress'
    do: [{{notify: "nobody there"}}]
  - name: worse
    on: action.failed
    if: event.error_class != 'call_not_in_progress'
    do: [{{notify: "no such call, ${{{{ event.error_code }}}}"}}]
"""
LEADING = [
    "enqueue: support",
    "redirect: https://example.org/menu.xml",
    "dial: {number: '+15557654321', else: [{notify: not reached}]}",
    "gather: {say: Press 1., digits: 1, else: [{notify: no key}]}",
    "record: {else: [{notify: no words}]}",
]


def call(story: Story, route: str, **fields: str) -> None:
    """A webhook of a call that came in."""
    known = {"AccountSid": ACCOUNT, "CallSid": CALL, "From": THEM, "To": OURS}
    known |= {"Direction": "inbound", "CallStatus": "in-progress"}
    story.receive(story.entry(route, "", {**known, **fields}))


def begun(begin: Begin, step: str) -> Story:
    """A caller is greeted, and hangs up after five seconds."""
    story = begin(rules=RULES.format(step=step))
    story.twilio.lines[CALL] = "in-progress"
    call(story, "call", CallStatus="ringing")
    story.run(5.0)
    story.twilio.lines[CALL] = "completed"
    return story


def greeted(story: Story) -> list[Any]:
    """What became of the run."""
    return story.ask("select state, reason from runs where rule = 'greeting'")


@pytest.mark.parametrize(
    ("step", "restarted"), [*((step, False) for step in LEADING), (LEADING[0], True)]
)
def test_what_leads_a_caller_on_who_hung_up_ends_the_run(
    begin: Begin, step: str, restarted: bool
) -> None:
    """No step behind it is done, no answer is waited for, and other rules can tell why."""
    story = begun(begin, step)
    call(story, "call/status", CallStatus="completed")
    story.run(10.0)
    if restarted:
        story.kill()
        story.start()
    story.run(60.0)
    ((state, reason),) = greeted(story)
    word = step.partition(":")[0]
    assert (state, reason) == ("done", f"stopped: the call had ended before `{word}` (line 9)")
    assert story.notices == ["nobody there"]


@pytest.mark.parametrize("step", ["say: Thank you.", "play: https://e.org/a.mp3", "pause: 2s"])
def test_what_is_only_said_to_nobody_is_noted_and_the_run_goes_on(begin: Begin, step: str) -> None:
    """Who leaves a message and hangs up is to be called back, whatever was to be said then."""
    story = begun(begin, step)
    call(story, "call/status", CallStatus="completed")
    story.run(60.0)
    ((state, reason),) = greeted(story)
    assert (state, reason) == ("done", f"`{step.partition(':')[0]}` (line 9): the call had ended")
    assert sorted(story.notices) == ["nobody there", "the caller goes on"]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("behind", [[], ["wait: 1s"], ["wait: 1h"]])
@pytest.mark.parametrize("step", LEADING[:2])
def test_a_hang_up_that_nobody_told_us_of_ends_the_run(
    begin: Begin, step: str, behind: list[str], restarted: bool
) -> None:
    """The number has no status callback: Twilio's refusal of the update says it. What stands
    behind that waits until Twilio has said so, whatever else the run waits for."""
    story = begun(
        begin, "\n      - ".join([step, "send: {to: '+15550100055', body: led}", *behind])
    )
    if restarted:
        story.run(14.0)
        story.kill()
        story.start()
    story.run(60.0)
    ((state, reason),) = greeted(story)
    word = step.partition(":")[0]
    assert (state, reason) == ("done", f"stopped: the call had ended before `{word}`")
    assert story.notices == ["nobody there"]
    assert story.ask("select state, reason from actions where kind = 'send_message'") == [
        ("cancelled", f"the call had ended before `{word}`")
    ]


@pytest.mark.parametrize("step", LEADING[2:])
def test_a_hang_up_that_nobody_told_us_of_ends_the_wait_for_the_caller(
    begin: Begin, step: str
) -> None:
    """The number has no status callback: Twilio's refusal of the update says it."""
    story = begun(begin, step)
    story.run(60.0)
    assert greeted(story) == [("done", "stopped: the call had ended before the caller was asked")]
    assert story.notices == ["nobody there"]


@pytest.mark.parametrize("step", LEADING[::3])
def test_who_is_still_there_is_led_on(begin: Begin, step: str) -> None:
    story = begun(begin, step)
    story.twilio.lines[CALL] = "in-progress"
    story.run(60.0)
    ((state, reason),) = greeted(story)
    assert state in ("done", "waiting")
    assert "ended" not in reason
    assert [*story.ask("select state from actions where kind in ('answer_call', 'enqueue_call')")]
    assert story.notices in ([], ["the caller goes on"])


@pytest.mark.parametrize(
    ("sid", "wanted"),
    [
        (CALL, [("settled", "the call had ended already", 0)]),
        (NOBODY, [("failed", "refused by Twilio: no such call", 20404)]),
    ],
)
def test_to_end_a_call_that_never_was_fails(begin: Begin, sid: str, wanted: list[Any]) -> None:
    """Whoever wrote a wrong SID learns of it."""
    story = begun(begin, f"end_call: {sid}")
    call(story, "call/status", CallStatus="completed")
    story.run(60.0)
    found = story.ask("select state, reason, error_code from actions where kind = 'end_call'")
    assert [(state, reason.rstrip(". "), code) for state, reason, code in found] == wanted
    told = [] if sid == CALL else ["no such call, 20404"]
    assert sorted(story.notices) == sorted([*told, "the caller goes on"])
