"""Traces of an action that waits, and of a delivery that failed."""

from typing import Any

import pytest

from ringback.cli.trace import render

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
            "turns": [], "lines": {}}  # fmt: skip
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
                "error_code": 30003, "uid": "evt_2"}  # fmt: skip
    text = traced(state="failed", callbacks=[callback])
    assert "message.undelivered error 30003: Handset is off" in text
    assert "error" not in traced(state="settled", callbacks=[callback | {"error_code": 0}])
