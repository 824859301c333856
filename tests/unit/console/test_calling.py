"""Calls of the console: what a caller hears in words, and queues made of those who wait."""

from typing import Any

from ringback.console.calling import heard, queues


def call(sid: str, queue: str, position: int, waited: int) -> dict[str, Any]:
    return {"sid": sid, "queue": {"sid": queue, "position": position, "waited": waited, "size": 2}}


def test_twiml_is_told_by_its_verbs() -> None:
    document = (
        '<?xml version="1.0"?><Response><Say voice="x">Tom &amp; Ann\n here.</Say>'
        '<Gather numDigits="1"><Play>https://a.example/m.mp3</Play></Gather><Hangup/></Response>'
    )
    assert heard(document) == [
        "Say: Tom & Ann here.", "Gather", "Play: https://a.example/m.mp3", "Hangup"
    ]  # fmt: skip
    assert heard("") == []


def test_queues_have_those_who_wait_in_their_order() -> None:
    """And those that somebody has left today, with how long they waited."""
    calls = [
        call("CA2", "QU1", 2, 10), call("CA1", "QU1", 1, 30), {"sid": "CA3", "queue": None},
        call("CA4", "QU2", 1, 5),
    ]  # fmt: skip
    first, second, third = queues(calls, {"QU1": [10, 21], "QU3": [7]})
    assert (first["sid"], first["waiting"], first["longest"]) == ("QU1", 2, 30)
    assert (first["calls"], first["average_today"], first["left_today"]) == (["CA1", "CA2"], 16, 2)
    assert (second["sid"], second["average_today"]) == ("QU2", None)
    assert (third["sid"], third["waiting"], third["longest"]) == ("QU3", 0, 0)
