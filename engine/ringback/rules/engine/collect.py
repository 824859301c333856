"""Collecting: several events joined into one run, until it is quiet or there are enough."""

from datetime import datetime, timedelta
from typing import Any

from ringback.events import Event
from ringback.rules.model import Rule

MOST = 200
"""How many texts of a burst are kept; later ones are counted and not kept."""


def step(
    rule: Rule, state: dict[str, Any], event: Event | None, now: datetime
) -> tuple[str, datetime | None]:
    """Take in one more event, or none when a moment came: `wait` and until when, `go` or `drop`.

    `once_after` waits until nothing came for that span, at most `max_wait` from the first event.
    `accumulate_within` waits until `threshold` events lie within one span that slides along.
    """
    burst: list[dict[str, str]] = state.setdefault("burst", [])
    if event is not None:
        state.setdefault("since", now.isoformat())
        state["last"] = event.uid
        if len(burst) < max(MOST, rule.threshold):
            burst.append({"text": event.body, "at": now.isoformat(), "uid": event.uid})
        else:
            state["unkept"] = state.get("unkept", 0) + 1
    if rule.accumulate_within:
        return _enough(rule, burst, now)
    return _quiet(rule, state, event, now)


def _quiet(
    rule: Rule, state: dict[str, Any], event: Event | None, now: datetime
) -> tuple[str, datetime | None]:
    if event is None:
        return "go", None
    due = now + timedelta(seconds=rule.once_after)
    if rule.max_wait:
        latest = datetime.fromisoformat(state["since"]) + timedelta(seconds=rule.max_wait)
        due = min(due, latest)
    return "wait", due


def _enough(rule: Rule, burst: list[dict[str, str]], now: datetime) -> tuple[str, datetime | None]:
    span = timedelta(seconds=rule.accumulate_within)
    burst[:] = [item for item in burst if datetime.fromisoformat(item["at"]) > now - span]
    if len(burst) >= rule.threshold:
        return "go", None
    if not burst:
        return "drop", None
    return "wait", datetime.fromisoformat(burst[0]["at"]) + span
