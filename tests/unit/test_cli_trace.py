"""Traces of an action that waits, and of a delivery that failed."""

from typing import Any

import pytest

from ringback.cli.trace import render, taken
from ringback.store.queries.action_words import detail

ACTION: dict[str, Any] = {
    "kind": "send_message", "params": {"to": "+12025550142", "body": "hi"}, "state": "planned",
    "reason": "", "remote_sid": "", "uid": "act_1", "attempts": [], "callbacks": [],
    "outcome": "", "ordinal": 0, "due_at": None, "settled_at": None,
}  # fmt: skip
EVENT = {
    "received_at": "2026-01-01T00:00:00.000Z", "type": "message.received", "sender": "+12025550142",
    "recipient": "+15550001111", "fields": {"Body": "hi"}, "error_code": 0, "trust": "signed",
    "source": "webhook", "uid": "evt_1", "subject_sid": "SM1", "verdicts": {"r": "fired"},
}  # fmt: skip


def traced(**fields: Any) -> str:
    """The trace of one event whose only action has these fields."""
    run = {"rule": "r", "rule_rev": "1", "state": "done", "reason": "", "due_at": None,
           "uid": "run_1", "actions": [ACTION | fields], "turns": []}  # fmt: skip
    tree = {"event": EVENT, "cause": None, "replays": "", "replayed": [], "runs": [run],
            "turns": [], "lines": {}, "overrides": {}}  # fmt: skip
    return "\n".join(render(tree, {}))


@pytest.mark.parametrize(("state", "times"), [("planned", 1), ("deferred", 1), ("settled", 0)])
def test_when_a_waiting_action_is_due(state: str, times: int) -> None:
    """An action that waits says until when; one that is done does not."""
    text = traced(state=state, due_at="2001-01-01T12:00:00.000Z", reason="tried again in 9 s")
    assert text.count("not before 2001-01-01 ") == times
    assert "tried again in 9 s" in text
    assert "not before" not in traced(state=state)


def test_an_error_code_has_words() -> None:
    """A status callback with an error code says what the code means."""
    callback = {"received_at": "2026-01-01T00:00:00.000Z", "type": "message.undelivered",
                "error_code": 30003, "uid": "evt_2", "rules": []}  # fmt: skip
    text = traced(state="failed", callbacks=[callback])
    assert "message.undelivered error 30003: Handset is off" in text
    begun = traced(state="failed", callbacks=[callback | {"rules": ["again", "told"]}])
    assert "evt_2  → again, told" in begun
    assert "error" not in traced(state="settled", callbacks=[callback | {"error_code": 0}])


def event_of(type_: str, **fields: str) -> dict[str, Any]:
    """An event as a trace has it."""
    return {**EVENT, "type": type_, "fields": fields, "uid": "evt_2"}


ASKED = "“Which day?”"
TOOK = f"took it as the answer to {ASKED}"
WOKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "text": (event_of("message.received", Body="Monday"), TOOK, f" answers {ASKED}"),
    "help": (event_of("message.received", Body="HELP"), TOOK, f" answers {ASKED}"),
    "keys": (event_of("call.gathered", Digits="1"), TOOK, f" answers {ASKED}"),
    "recording": (event_of("call.recorded"), TOOK, f" answers {ASKED}"),
    "stop": (
        event_of("message.received", Body="Stop."),
        f"{ASKED} stays unanswered: they have left", f": no answer to {ASKED}",
    ),
    "stop in other words": (
        event_of("message.received", Body="ARRET", OptOutType="STOP"),
        f"{ASKED} stays unanswered: they have left", f": no answer to {ASKED}",
    ),
    "silence": (
        event_of("call.continued"), f"{ASKED} stays unanswered", f": no answer to {ASKED}",
    ),
    "hung up": (
        event_of("call.completed"), f"{ASKED} stays unanswered", f": no answer to {ASKED}",
    ),
    "delivery": (event_of("message.delivered"), "had waited for it", ""),
    "no delivery": (event_of("message.failed"), "had waited for it", ""),
    "their own call": (event_of("call.answered"), "had waited for it", ""),
    "dialled": (event_of("call.dialed"), "had waited for it", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WOKEN)
def test_what_woke_a_run_is_called_an_answer_only_when_it_is_one(name: str) -> None:
    """What was said last is a question only to what may answer it."""
    event, was, within = WOKEN[name]
    assert taken("Which day?", event) == was
    turn = {"question": "Which day?", "woken_by": event, "at": "", "event": "evt_2", "ordinal": 1}
    run = {"rule": "r", "rule_rev": "1", "state": "done", "reason": "", "due_at": None,
           "uid": "run_1", "actions": [], "turns": [turn]}  # fmt: skip
    tree = {"event": EVENT, "cause": None, "replays": "", "replayed": [], "runs": [run],
            "turns": [], "lines": {}, "overrides": {}}  # fmt: skip
    (line,) = [line for line in render(tree, {}) if "evt_2" in line]
    assert f"{within}  evt_2" in line


def test_a_text_without_a_question_answers_nothing() -> None:
    assert taken("", event_of("message.received", Body="Monday")) == "had waited for it"
    assert taken("", event_of("message.received", Body="STOP")) == "is over: they have left"


def test_a_moment_is_said_once_and_a_condition_on_one_line() -> None:
    run = {"rule": "r", "rule_rev": "1", "state": "waiting",
           "reason": "waits for time until 2026-01-01T00:00:00.000Z",
           "due_at": "2026-01-01T00:00:00.000Z", "uid": "run_1",
           "actions": [], "turns": []}  # fmt: skip
    tree = {"event": EVENT, "cause": None, "replays": "", "replayed": [], "runs": [run],
            "turns": [], "lines": {}, "overrides": {}}  # fmt: skip
    shown = "\n".join(render(tree, {"r": ("1", ["a == 1\n    || b == 2"])}))
    assert shown.count("until") == 1
    assert ": waits for time  run_1" in shown
    assert "✓ if a == 1 || b == 2" in shown


@pytest.mark.parametrize(
    ("verbs", "shown"),
    [
        ([{"verb": "say", "text": "Hello"}, {"verb": "hangup"}], "say Hello, hangup"),
        (
            [
                {"verb": "gather", "action": "https://x.org/twilio/call/step/abc",
                 "prompts": [{"verb": "say", "text": "Press 1."}]},
                {"verb": "redirect", "url": "https://x.org/twilio/call/step/abc"},
            ],
            "gather (say Press 1.), redirect",
        ),
        ([{"verb": "redirect", "url": "https://x.org/menu"}], "redirect https://x.org/menu"),
    ],
)  # fmt: skip
def test_a_call_shows_what_is_said_and_not_our_own_addresses(
    verbs: list[dict[str, Any]], shown: str
) -> None:
    assert detail("answer_call", {"verbs": verbs}) == shown
    said = detail("place_call", {"to": "+12025550142", "verbs": verbs, "url": ""})
    assert said == f"to +12025550142: {shown}"


def test_a_memory_that_is_emptied_is_seen_as_empty() -> None:
    assert detail("remember", {"name": "opted_out", "value": ""}) == "opted_out = “”"
