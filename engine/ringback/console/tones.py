"""Tones of states: good, bad, held, under way, or a person is needed; each with a shape of its own,
so that no state is told by colour alone."""

from collections.abc import Mapping, Sequence
from typing import Any

SHAPES = {"in": "➜", "good": "●", "bad": "■", "person": "◆", "way": "○", "held": "▲", "none": "·"}

_ACTIONS = {
    "planned": "way", "deferred": "held", "sending": "way", "unknown": "person",
    "accepted": "way", "settled": "good", "failed": "bad", "refused": "held", "parked": "person",
    "cancelled": "none", "captured": "none",
}  # fmt: skip
_RUNS = {
    "pending": "way", "running": "way", "waiting": "held", "done": "good", "failed": "bad",
    "skipped": "none", "cancelled": "none",
}  # fmt: skip
_GOOD = ("delivered", "read", "completed")
_BAD = ("undelivered", "failed", "busy", "no-answer", "canceled")
_WEIGHT = ("bad", "person", "held", "way", "none", "good")


def of_action(action: Mapping[str, Any]) -> str:
    """The tone of an action, by its state and by how it ended."""
    tone = _ACTIONS.get(action["state"], "none")
    if tone in ("good", "way") and action["outcome"] in _BAD:
        return "bad"
    return tone


def of_run(run: Mapping[str, Any]) -> str:
    """The tone of a run."""
    return _RUNS.get(run["state"], "none")


def of_event(kind: str) -> str:
    """The tone of a type of event, by its last word."""
    last = kind.rpartition(".")[2]
    if kind.startswith("debugger.") or kind in ("action.failed", "incident.opened"):
        return "bad"
    if kind in ("action.unknown", "watch.stuck", "watch.silent"):
        return "person"
    if last in _GOOD or kind in ("action.settled", "incident.resolved"):
        return "good"
    if last in _BAD:
        return "bad"
    if last == "received":
        return "in"
    return "way" if last in ("queued", "sending", "sent", "accepted", "initiated") else "none"


def words_of(action: Mapping[str, Any]) -> str:
    """How an action stands, in a word or two."""
    if action["state"] in ("settled", "failed", "accepted") and action["outcome"]:
        said = str(action["outcome"])
    elif action["state"] == "settled":
        said = "done"
    else:
        said = str(action["state"])
    return f"{said} {action['error_code']}" if action["error_code"] else said


def by_weight(actions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Actions, those first that a person should see first."""
    return sorted(actions, key=lambda each: _WEIGHT.index(of_action(each)))


def worst(actions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The action that a person should see first."""
    return next(iter(by_weight(actions)), None)
