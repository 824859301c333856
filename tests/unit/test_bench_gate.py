"""Overlap and the gate where authors try rules: bench, cases and backtest act as a node."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.testing import (
    NOON,
    OURS,
    THEIRS,
    Bench,
    call_status,
    incoming_call,
    message_status,
    sms,
)
from ringback.testing.backtest import Backtest, Report
from ringback.testing.cases import run_cases

QUEUED = """version: 1
rules:
  - {name: q, on: message.received, mode: queued, do: [{reply: one}, {wait: 1h}, {reply: two}]}
"""
ANSWER = """version: 1
rules:
  - {name: answer, on: message.received, do: [{reply: "${{ event.body }}!"}]}
"""
REMIND = """version: 1
rules:
  - {name: remind, on: message.received, do: [{send: {to: "${{ event.from }}", body: Hello.}}]}
"""


def ruleset_of(folder: Path, rules: str) -> RuleSet:
    path = folder / "r.yaml"
    path.write_text(rules)
    loaded = load_rules(path)
    assert loaded.problems == []
    return RuleSet(loaded.rules, loaded.language)


def bench_of(folder: Path, rules: str, quarantined: dict[str, str] | None = None,
             **settings: Any) -> Bench:  # fmt: skip
    gate = replace(Settings(project=folder), **settings)
    return Bench(ruleset_of(folder, rules), settings=gate, quarantined=quarantined)


def backtest_of(folder: Path, rules: str, events: Iterable[Event], **settings: Any) -> Report:
    gate = replace(Settings(project=folder), **settings)
    test = Backtest(ruleset_of(folder, rules), settings=gate)
    for event in events:
        test.feed(event)
    return test.report()


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


# The queue of three lines


def test_a_queue_on_the_bench(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, QUEUED)
    assert bench.react(sms("a")).texts == ["one"]
    second = bench.react(sms("b"))
    assert (second.texts, second.fired, second.waiting) == ([], ["q"], ["q", "q"])
    assert bench.wait("1h").texts == ["two", "one"]
    assert bench.wait("1h").texts == ["two"]
    assert bench.waiting == 0


def test_a_queue_in_a_case(tmp_path: Path) -> None:
    case = """cases:
  - name: one by one
    given: [text: a, text: b]
    expect: [reply: one]
  - name: and then the next
    given: [text: a, text: b, wait: 1h]
    expect: [reply: one, reply: two, reply: one]
  - name: as it was before
    given: [text: a, text: b]
    expect: [reply: one, reply: one]
"""
    path = tmp_path / "q.yaml"
    path.write_text(QUEUED + case)
    assert [result.good for result in run_cases(path)] == [True, True, False]


def test_a_queue_in_a_backtest(tmp_path: Path) -> None:
    report = backtest_of(
        tmp_path, QUEUED, [sms("a"), sms("b", at=minutes(1)), sms("c", at=minutes(90))]
    )
    said = [(each.at, each.action.body) for each in report.done]  # type: ignore[union-attr]
    assert said == [(NOON, "one"), (minutes(60), "two"), (minutes(60), "one")]
    assert (report.rules["q"].fired, report.waiting) == (3, 2)


def test_who_has_hung_up_in_a_recording_may_call_again_at_once(tmp_path: Path) -> None:
    """As on a node, also before the end of the last call is told: the run waits for what is said
    there, or for the recording alone. Another person has to wait where the key is one for all."""
    record = "rules: [{name: v, on: call.received, mode: single, key: all, do: [{record: {}}]}]"
    bench = bench_of(tmp_path, record)
    first = incoming_call()
    bench.react(first)
    other = bench.react(incoming_call(from_="+15550100055"))
    assert other.why_not("v") == "single: run_1 is under way"
    untold = bench.react(incoming_call())
    assert (untold.fired, untold.waiting) == (["v"], ["v", "v"])
    bench.react(call_status("completed", CallSid=first.call_sid))
    again = bench.react(incoming_call())
    assert (again.fired, again.waiting) == (["v"], ["v", "v", "v"])


@pytest.mark.parametrize("mode", ["queued", "parallel"])
def test_max_bounds_what_goes_and_queues(tmp_path: Path, mode: str) -> None:
    rules = QUEUED.replace("queued", f"{mode}, max: 2")
    bench = bench_of(tmp_path, rules)
    bench.react(sms("a"))
    bench.react(sms("b"))
    third = bench.react(sms("c"))
    assert third.why_not("q") == f"{mode}: 2 runs are under way, which is its max"
    assert third.texts == []
    report = backtest_of(tmp_path, rules, [sms("a"), sms("b"), sms("c")])
    assert report.rules["q"].why_not == {mode: 1}


def test_a_stop_keeps_the_queue_behind_it_from_running(tmp_path: Path) -> None:
    """And whoever queues behind a run that was stopped has his turn all the same."""
    rules = QUEUED + "  - {name: no, on: message.received, priority: 1, if: event.body == 'no', "
    rules += "do: [{stop: no}]}\n"
    bench = bench_of(tmp_path, rules)
    bench.react(sms("a"))
    refused = bench.react(sms("no"))
    assert refused.why_not("q") == "stopped: no"
    assert [(end.rule, end.state, end.reason) for end in refused.ended] == [
        ("no", "done", "stopped: no"), ("q", "cancelled", "no"),
    ]  # fmt: skip
    assert bench.react(sms("b")).texts == []
    assert bench.wait("1h").texts == ["two", "one"]


# Quarantine and staleness


def test_a_rule_in_quarantine_does_not_run(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, ANSWER, quarantined={"answer": "it blocked the worker"})
    reaction = bench.react(sms("a"))
    assert reaction.why_not("answer") == "quarantined: it blocked the worker"
    assert reaction.actions == ()


def test_what_was_fetched_back_late_is_not_answered(tmp_path: Path) -> None:
    late = replace(sms("a", at=minutes(30)), source="repair", trust="confirmed", at=NOON)
    bench = bench_of(tmp_path, ANSWER)
    assert bench.react(late).why_not("answer") == "stale: fetched back 30 min late"
    soon = replace(sms("b", at=minutes(40)), source="repair", trust="confirmed", at=minutes(30))
    assert bench.react(soon).texts == ["b!"]
    report = backtest_of(tmp_path, ANSWER, [late])
    assert report.rules["answer"].why_not == {"stale": 1}


# The gate


def test_who_said_stop_gets_nothing_from_that_number(tmp_path: Path) -> None:
    """Another number of ours may still answer."""
    bench = bench_of(tmp_path, ANSWER)
    stop = bench.react(sms("STOP"))
    assert stop.texts == []
    (held,) = stop.held
    assert held.state == "refused"
    assert held.reason.startswith(f"{THEIRS} opted out of {OURS} (text 'STOP', ")
    assert [action.body for action in stop.actions] == ["STOP!"]  # type: ignore[union-attr]
    assert bench.react(sms("x", to="+12025550177")).texts == ["x!"]
    assert bench.react(sms("START")).texts == ["START!"]
    bench.react(message_status("failed", error_code=21610))
    assert "error 21610" in bench.react(sms("y")).held[0].reason


def test_a_block_on_a_channel_ends_when_they_write_there_again(tmp_path: Path) -> None:
    """As on a node; and it says nothing more of who has left by STOP."""
    ours, theirs = f"whatsapp:{OURS}", f"whatsapp:{THEIRS}"
    send = f"{{send: {{to: '{theirs}', body: Hi., from: '{ours}'}}}}"
    rules = f"rules: [{{name: a, on: message.received, if: event.body == 'go', do: [{send}]}}]"
    bench = bench_of(tmp_path, rules)
    block = message_status("failed", error_code=63014, to=theirs, from_=ours)
    bench.react(block)
    assert "(error 63014" in bench.react(sms("go", from_="+12025550111")).held[0].reason
    bench.react(sms("Hello", from_=theirs, to=ours))
    assert bench.react(sms("go", from_="+12025550112")).texts == ["Hi."]
    for event in (sms("STOP", from_=theirs, to=ours), block, sms("Hello", from_=theirs, to=ours)):
        bench.react(event)
    assert "(text 'STOP'" in bench.react(sms("go", from_="+12025550113")).held[0].reason


def test_consent_is_that_of_a_messaging_service(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, ANSWER)
    both: dict[str, Any] = {"MessagingServiceSid": "MG" + "1" * 32}
    bench.react(sms("hi", to="+12025550177", from_="+14155550199", **both))
    bench.react(sms("STOP", to=OURS, **both))
    assert "opted out of +12025550177" in bench.react(sms("x", to="+12025550177")).held[0].reason


def test_quiet_hours_put_off_what_is_no_reply(tmp_path: Path) -> None:
    """It leaves by itself as soon as it is day there."""
    bench = bench_of(tmp_path, REMIND, quiet_hours="16:30-17:30")
    reaction = bench.react(sms("a", from_="+442071838750"))
    (held,) = reaction.held
    until = "2026-03-04T17:30:00.000Z"
    assert (held.state, held.reason) == ("deferred", f"quiet hours until {until} for +442071838750")
    assert (reaction.texts, bench.wait("29m").texts) == ([], [])
    assert bench.wait("1m").texts == ["Hello."]


def test_what_is_put_off_is_asked_again(tmp_path: Path) -> None:
    """A STOP in the night counts in the morning."""
    bench = bench_of(tmp_path, REMIND, quiet_hours="16:30-17:30")
    bench.react(sms("a", from_="+442071838750"))
    bench.react(sms("STOP", from_="+442071838750"))
    morning = bench.wait("1h")
    assert morning.texts == []
    assert {held.state for held in morning.held} == {"refused"}


def test_quiet_hours_in_a_backtest(tmp_path: Path) -> None:
    night = {"quiet_hours": "16:30-17:30"}
    first = sms("a", from_="+442071838750")
    report = backtest_of(tmp_path, REMIND, [first], **night)
    assert (len(report.done), report.rules["remind"].held) == (0, {"quiet hours": 1})
    report = backtest_of(tmp_path, REMIND, [first, message_status("sent", at=minutes(60))], **night)
    (left,) = report.done
    assert (left.at, left.put_off[:11]) == (minutes(30), "quiet hours")
    assert report.rules["remind"].held == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipient_per_hour": 2}, "2 an hour to one recipient (RINGBACK_RECIPIENT_PER_HOUR)"),
        ({"total_per_hour": 2}, "2 an hour in all (RINGBACK_TOTAL_PER_HOUR) are used up"),
        ({"total_per_day": 2}, "2 a day in all (RINGBACK_TOTAL_PER_DAY) are used up"),
    ],
)
def test_budgets_of_the_settings(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    bench = bench_of(tmp_path, ANSWER, **settings)
    texts = [text for body in "abc" for text in bench.react(sms(body)).texts]
    assert texts == ["a!", "b!"]
    assert bench.react(sms("d")).held[0].reason == f"budget: {words}"
    report = backtest_of(tmp_path, ANSWER, map(sms, "abc"), **settings)
    assert report.rules["answer"].held == {"budget": 1}
    bench.wait("25h")
    assert bench.react(sms("e")).texts == ["e!"]


def test_the_budget_of_a_rule(tmp_path: Path) -> None:
    rules = ANSWER.replace("do:", "budget: {per_day: 1}, do:")
    bench = bench_of(tmp_path, rules)
    assert bench.react(sms("a")).texts == ["a!"]
    reason = bench.react(sms("b")).held[0].reason
    assert reason == "budget: 1 a day by rule 'answer' (budget.per_day) are used up"


def test_a_loop_is_broken(tmp_path: Path) -> None:
    """A machine that answers within two seconds is answered five times."""
    bench = bench_of(tmp_path, ANSWER)
    texts: list[str] = []
    for number in range(8):
        texts += bench.react(sms(f"machine {number}")).texts
        bench.wait(2)
    assert len(texts) == 5
    events = [sms(f"machine {number}", at=minutes(number / 30)) for number in range(8)]
    assert backtest_of(tmp_path, ANSWER, events).rules["answer"].held == {"loop": 3}


def test_a_project_brings_the_settings_of_its_gate(tmp_path: Path) -> None:
    """And a case that expects what the gate holds back says why it fails."""
    (tmp_path / "rules").mkdir()
    case = "cases:\n  - {name: two, given: [text: a, text: b], expect: [reply: a!, reply: b!]}\n"
    (tmp_path / "rules" / "r.yaml").write_text(ANSWER + case)
    (tmp_path / "ringback.toml").write_text("recipient_per_hour = 1\n")
    bench = Bench.load(tmp_path)
    assert [len(bench.react(sms("a")).held) for _ in range(2)] == [0, 1]
    (result,) = run_cases(tmp_path)
    assert result.problem is not None
    assert "held back: reply: b! (budget: 1 an hour to one recipient" in result.problem.message
