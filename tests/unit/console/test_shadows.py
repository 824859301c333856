"""Rules in shadow beside others: the same, something else, or nothing."""

from typing import Any

from ringback.console.shadows import compared


def action(rule: str, body: str, to: str = "+447911123456", **more: Any) -> dict[str, Any]:
    return {
        "rule": rule, "kind": "send_message", "params": {"to": to, "body": body},
        "event_uid": "evt_1", "planned_at": "2026-03-04T17:00:00.000Z", "state": "settled", **more,
    }  # fmt: skip


def test_the_same_is_of_one_kind_to_one_person_in_the_same_words() -> None:
    would = action("new", "Open until 6.", state="captured")
    notice = action("old", "Open until 6.", kind="notify")
    found = compared(
        [
            (would, [notice, action("old", "Open until 6.")]),
            (would, [notice, action("old", "Closed.")]),
            (would, [action("old", "Open until 6.", to="+447911000000")]),
            (would, []),
        ]
    )
    assert (found["actions"], found["same"], found["other"], found["alone"]) == (4, 1, 2, 1)
    assert [each["is"] for each in found["examples"]] == ["other", "other", "alone", "same"]
    assert found["examples"][1]["did"][0]["to"] == "+447911000000"
