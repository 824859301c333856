"""The command `simulate clock`: the time of a node of `ringback dev`, moved ahead.

It moves from one due moment to the next, so what follows from a time-out comes at its own time and
in its order. The simulated Twilio goes along.
"""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from ringback.cli.control import tell_worker
from ringback.cli.http import ask
from ringback.cli.output import json_option, print_json
from ringback.cli.project_context import here, live_dev
from ringback.errors import UsageError
from ringback.runtime import ClockFile, from_iso, iso

MOST_STEPS = 100
LONGEST = timedelta(days=400).total_seconds()
QUIET_SECONDS = 10.0
"""How long one step waits for what it caused, before it goes on all the same."""


@click.command()
@click.argument("ahead", default="", metavar="[+TIME]")
@json_option
def clock(ahead: str, as_json: bool) -> None:
    """Move the clock of `ringback dev` ahead: +90s, +1h, +2d. Without it, show the time.

    Waits, time-outs and schedules that are due meanwhile happen, one after the other. A clock that
    was moved stays so; it begins anew when the folder dev of the data is deleted.
    """
    data = here().settings().data
    dev = live_dev(data) or live_dev(data.parent)  # the console of dev names the folder of its node
    if dev is None or not dev.get("clock"):
        raise UsageError(
            "only the clock of `ringback dev` can be moved: start `ringback dev` first"
        )
    seconds = _seconds(ahead) if ahead else 0.0
    file = ClockFile(Path(str(dev["clock"])))
    steps = move(file, str(dev["base_url"]), seconds)
    now = iso(from_iso(tell_worker({"op": "clock"})["now"]))
    if as_json:
        print_json({"now": now, "ahead": round(file.ahead, 3), "steps": steps})
        return
    apart, side = (
        timedelta(seconds=abs(round(file.ahead))),
        "behind" if file.ahead < 0 else "ahead of",
    )
    click.echo(f"it is {now}, {apart} {side} the wall clock")


def _seconds(text: str) -> float:
    """Read `+1h`. Raises UsageError."""
    from ringback.rules.timing.durations import parse_duration

    try:
        seconds = parse_duration(text.removeprefix("+"))
    except ValueError as error:
        raise UsageError(f"{text!r} is no time to move ahead: write +90s, +1h or +2d") from error
    if not 0 < seconds <= LONGEST:
        raise UsageError("the clock moves ahead alone, by 400 days at most")
    return seconds


def move(file: ClockFile, base: str, seconds: float) -> int:
    """Move node and simulator together, to each due moment on the way. Gives the steps taken."""
    left, steps = seconds, 0
    shortest = seconds / MOST_STEPS
    while left > 0:
        known = tell_worker({"op": "clock"})
        dues = [_until(known), ask(base, "/_sim/clock")["next"]]
        soonest = min((due for due in dues if due is not None and due > 0), default=left)
        step = min(left, max(soonest, shortest) + 0.001)
        file.move(step)
        ask(base, "/_sim/clock", {"advance": step})
        left, steps = left - step, steps + 1
        _settle(base)
    return steps


def _until(known: dict[str, Any]) -> float | None:
    """Seconds until the worker has something to do; nothing when it knows of none."""
    if not known["next_due"]:
        return None
    return (from_iso(known["next_due"]) - from_iso(known["now"])).total_seconds()


def _settle(base: str) -> None:
    """Wait until the worker has done what is due, and the simulator has told all it has to."""
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        known = tell_worker({"op": "clock"})
        due = _until(known)
        ask(base, "/_sim/idle", {"timeout": 2.0, "within": 0.0})
        status = tell_worker({"op": "status"})
        busy = status["jobs"] or status["sending"] or (due is not None and due <= 0)
        if not busy:
            return
        time.sleep(0.05)
