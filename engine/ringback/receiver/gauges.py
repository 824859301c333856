"""Gauges of the worker, read when somebody asks for the metrics: what has stopped, what waits."""

from datetime import datetime

from ringback.receiver.health import Health
from ringback.receiver.metrics import Counts
from ringback.runtime import REAL, from_iso


def show(counts: Counts, health: Health, now: datetime | None = None) -> None:
    """Set the gauges by what the worker says. While it is away, what only it knows is left out."""
    worker, now = health.worker, now or REAL.now()
    stopped = dict.fromkeys(worker.get("reasons", ()), 0.0)
    stopped |= {each["reason"]: 1.0 for each in worker.get("stopped", ())}
    stopped |= {
        "held": float(bool(worker.get("held"))),
        "paused": float(bool(worker.get("paused"))),
        "worker": float("worker" in health.problems or "worker" in health.degraded),
    }
    counts.family(
        "sending_stopped", "1 while messages and calls do not leave, by reason.", "reason", stopped
    )
    counts.family(
        "watch_failing_seconds", "How long a look of the worker has failed, by its name.", "watch",
        {name: _age(since, now) for name, (since, _) in worker.get("failing", {}).items()},
    )  # fmt: skip
    counts.family(
        "hook_missed", "Events that a hook of a plugin missed because it is too slow.", "hook",
        {name: float(count) for name, count in worker.get("missed", {}).items()},
    )  # fmt: skip
    for name in ("waiting_actions", "oldest_waiting_seconds"):
        counts.gauges.pop(name, None)
    if worker:
        oldest = worker.get("oldest")
        counts.gauge(
            "waiting_actions", "Actions that wait to leave, or for news of what became of them.",
            float(worker.get("waiting", 0)),
        )  # fmt: skip
        counts.gauge(
            "oldest_waiting_seconds", "How long the oldest of them has been free to leave.",
            _age(oldest, now) if oldest else 0.0,
        )  # fmt: skip


def _age(since: str, now: datetime) -> float:
    return max((now - from_iso(since)).total_seconds(), 0.0)
