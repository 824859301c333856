"""Shapes of public objects: no row number, no secret, and rows that stay as they are."""

from typing import Any

from ringback.store.queries import shapes

TAG = "q7Zk3vB0Yw2mXc9"
RUN: dict[str, Any] = {
    "id": 3, "uid": "run_1", "rule": "hours", "rule_rev": "a1", "state": "done", "memory": "{}",
    "turns": [{"run": "run_1", "event": "evt_2", "ordinal": 1, "until": None, "woken_by": None}],
}  # fmt: skip
ATTEMPT = {"id": 9, "uid": "att_1", "n": 1, "tag": TAG, "result": "accepted"}
ACTION = {
    "id": 4, "uid": "act_1", "kind": "send_message", "state": "failed", "error_code": 30003,
    "params": {"to": "+15550001111", "body": "Open"}, "segments": 1, "price": None,
    "price_unit": "", "remote_sid": "SM1", "attempts": [ATTEMPT], "callbacks": [],
}  # fmt: skip
EVENT = {
    "id": 1, "uid": "evt_1", "type": "message.received", "tag": TAG, "error_code": 0,
    "fields": {"Body": "hours?"}, "verdicts": {"vip": "if: 2", "hours": "fired"},
}  # fmt: skip


def test_a_trace_shows_no_row_number_and_no_whole_tag() -> None:
    """A tag is a capability: whoever knows it may report on the attempt."""
    tree = {
        "event": EVENT, "cause": None, "runs": [{**RUN, "actions": [ACTION]}], "answer": None,
        "replays": "", "replayed": [], "turns": [], "overrides": {},
        "lines": {"vip": ["a", "b", "c"], "hours": ["d"]},
    }  # fmt: skip
    shown = shapes.trace(tree, {})
    assert TAG not in repr(shown)
    assert "'id':" not in repr(shown)
    fired, silent = shown["rules"]
    (action,) = fired["run"]["actions"]
    assert action["to"] == "+15550001111"
    assert action["error"]["code"] == 30003
    assert action["attempts"][0]["tag"] == "q7Zk3v…"
    assert [each["held"] for each in silent["lines"]] == [True, False]


def test_a_row_is_not_changed_by_its_shape() -> None:
    """Two readers may share one row."""
    before = repr((EVENT, RUN, ACTION, ATTEMPT))
    for shape, row in (
        (shapes.event, EVENT), (shapes.run, RUN), (shapes.action, ACTION),
        (shapes.attempt, ATTEMPT),
    ):  # fmt: skip
        shown = shape(row)
        shown.clear()
    assert repr((EVENT, RUN, ACTION, ATTEMPT)) == before
