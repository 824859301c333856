"""The step `retry` of rule files: with the real worker, which dies, and in a world that lies."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules
from ringback.testing.cases import run_cases
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import OURS

ANN = "+15551000001"
HOUR = 3600.0
RULES = """
rules:
  - {name: news, on: message.received, if: event.body == 'hi', do: [{reply: Hello.}]}
  - name: again
    on: action.failed
    do:
      - retry: {rules: news, WORDS}
"""
TRIES = "select state, reason from actions where rule = 'again' order by id"
REASONS = "select state, reason from runs where rule = 'again' order by id"


def rules(words: str) -> str:
    return RULES.replace("WORDS", words)


def said(story: Story) -> int:
    return sum(each.body == "Hello." for each in story.twilio.records.values())


def first_sid(story: Story) -> str:
    return next(sid for sid, each in story.twilio.records.items() if each.body == "Hello.")


def reported(story: Story, status: str, code: str) -> None:
    """Twilio says so of the first text."""
    fields = {
        "MessageSid": first_sid(story), "From": OURS, "To": ANN, "MessageStatus": status,
        "ErrorCode": code,
    }  # fmt: skip
    story.receive(story.entry("message/status", "", fields))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_each_try_leaves_once_though_the_worker_dies_and_reports_come_twice_and_late(
    begin: Callable[..., Story], seed: int
) -> None:
    faults = replace(
        calm(), undelivered=1.0, kill_anywhere=0.004, callback_twice=0.5, callback_late=0.3
    )
    story = begin(faults, seed=seed, rules=rules("tries: 2"))
    story.receive(story.text("hi", ANN))
    story.run(6 * HOUR)
    assert story.kills > 1
    assert said(story) == 3
    assert [row[0] for row in story.ask(TRIES)] == ["failed", "failed"]
    assert story.ask(REASONS)[-1][1].endswith("it was tried again 2 times, 2 are allowed")


def test_a_failure_that_was_noted_before_a_crash_is_tried_again_once(
    begin: Callable[..., Story],
) -> None:
    story = begin(replace(calm(), undelivered=1.0), rules=rules("tries: 1"))
    story.receive(story.text("hi", ANN))
    while not story.life or not story.ask("select 1 from actions where state = 'failed'"):
        story.run(60.0, steps=20)
    assert not story.ask(TRIES)
    story.kill()
    story.start()
    reported(story, "undelivered", "30003")
    reported(story, "failed", "30003")
    story.run(story.clock.now + 30.0)
    story.kill()
    story.run(1.05 * HOUR)
    story.start()
    reported(story, "undelivered", "30003")
    story.run(story.clock.now + 300.0)
    assert said(story) == 2
    assert [row[0] for row in story.ask(TRIES)] == ["failed"]


def test_a_text_that_arrives_after_all_is_not_sent_again(begin: Callable[..., Story]) -> None:
    """The carrier took back what it had said, before the try has left."""
    story = begin(replace(calm(), undelivered=1.0), rules=rules("tries: 2"))
    story.receive(story.text("hi", ANN))
    story.run(60.0)
    assert [row[0] for row in story.ask(TRIES)] == ["deferred"]
    reported(story, "delivered", "")
    story.run(story.clock.now + 30.0)
    story.kill()  # nobody walks through the hour of the wait
    story.run(1.05 * HOUR)
    story.start()
    story.run(story.clock.now + 300.0)
    assert said(story) == 1
    ((state, reason),) = story.ask(TRIES)
    assert (state, reason) == ("refused", "the text that failed has arrived after all")


@pytest.mark.parametrize(
    ("code", "words", "reason"),
    [
        ("21610", "tries: 3", "error 21610: no: the same again fails the same way"),
        ("39999", "tries: 3", "error 39999: not known"),
        ("30003", "tries: 3, classes: carrier_failed", "error 30003 is of class"),
        ("30003", "within: 30m", "error 30003: after 1 h"),
    ],
)
@pytest.mark.slow
def test_what_cannot_help_is_not_tried(
    begin: Callable[..., Story], code: str, words: str, reason: str
) -> None:
    story = begin(replace(calm(), callback_lost=1.0), rules=rules(words))
    story.receive(story.text("hi", ANN))
    story.run(0.5)
    reported(story, "undelivered", code)
    story.run(8 * HOUR)
    assert said(story) == 1
    assert reason in story.ask(REASONS)[0][1]


WRONG = """
rules:
  - {name: late, on: message.failed, do: [retry]}
  - {name: often, on: action.failed, do: [{retry: {tries: 9}}]}
  - {name: class, on: action.failed, do: [{retry: {classes: [carrier_faild]}}]}
  - {name: never, on: action.failed, do: [{retry: {classes: recipient_opted_out}}]}
  - {name: channel, on: action.failed, do: [{retry: {channels: [smss]}}]}
  - {name: sender, on: action.failed, do: [{retry: {senders: [+1555]}}]}
  - {name: number, on: action.failed, do: [{retry: {numbers: {fax: +15550001111}}}]}
  - {name: span, on: action.failed, do: [{retry: {within: soon}}]}
  - {name: rule, on: action.failed, do: [{retry: {rules: [late, nwes]}}]}
"""
MISTAKES = (
    "'retry' needs a text that failed", "'tries' must be less than or equal to 4",
    "did you mean 'carrier_failed'", "no try helps against 'recipient_opted_out'",
    "did you mean 'sms'", "'+1555' has too few digits", "there is no channel 'fax'",
    "'soon' is not a span of time", "no rule is named 'nwes'",
)  # fmt: skip


def test_a_wrong_option_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(WRONG)
    found = sorted(load_rules(tmp_path).problems, key=lambda each: each.line)
    assert [each.line for each in found] == list(range(3, 12))
    for problem, mistake in zip(found, MISTAKES, strict=True):
        assert mistake in str(problem)


CASES = """
cases:
  - name: later, and later still
    given: [text: hi, fails: 30017, wait: 15m, fails: 30017, wait: 30m, fails: 30017, wait: 1d]
    expect: [{reply: Hello.}, {reply: Hello.}, {reply: Hello.}]
  - name: elsewhere
    given: [text: hi, fails: 30006]
    expect: [{reply: Hello.}, {call: Hello.}]
  - name: from another
    given: [text: hi, fails: 30034]
    expect: [{reply: Hello.}, {send: {body: Hello., from: +12125550102}}]
  - name: nowhere
    given: [text: hi, fails: 21610, wait: 1d]
    expect: [{reply: Hello.}]
"""


def test_cases_play_the_tries(tmp_path: Path) -> None:
    words = "tries: 2, channels: [sms, call], senders: [+12125550102]"
    (tmp_path / "r.yaml").write_text(rules(words) + CASES)
    results = run_cases(tmp_path / "r.yaml")
    assert len(results) == 4
    assert [str(each.problem) for each in results if each.problem] == []
