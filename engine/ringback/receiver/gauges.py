"""Gauges of the worker, read when somebody asks for the metrics: what has stopped, what waits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ringback.receiver.health import Health
from ringback.receiver.metrics import Counts
from ringback.runtime import REAL, from_iso

_HELD = {
    "runs_in_memory": ("jobs", "Runs and events that the worker holds to do."),
    "sends_under_way": ("sending", "Requests to Twilio and notices under way."),
    "rules": ("rules", "Rules in force."),
    "rules_quarantined": ("quarantined", "Rules that do not run until a person releases them."),
}
"""Gauges and what of the worker they show: a number, or how many there are."""


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
    _of_worker(counts, worker)
    _of_plugins(counts, worker)
    _of_budgets(counts, worker)
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


def _of_worker(counts: Counts, worker: Mapping[str, Any]) -> None:
    """What the worker counts and holds. While it is away, its counts are left out: a counter that
    begins at 0 again is understood as a restart, and one that stands still would say that nothing
    happens."""
    counts.gauge("worker_up", "1 while the worker answers.", float(bool(worker)))
    counts.foreign["actions_ended"] = (
        "Actions that came to an end, or whose answer got lost, by kind, state and class of error.",
        ("kind", "state", "class"),
        {tuple(labels): float(number) for *labels, number in worker.get("ended", ())},
    )
    took = worker.get("took")
    counts.histograms.pop("action_seconds", None)
    if took:
        counts.histograms["action_seconds"] = (
            "Seconds from the wish for an action until its end.",
            [(str(bound), float(number)) for bound, number in took["buckets"]], float(took["sum"]),
        )  # fmt: skip
    for name, (key, about) in _HELD.items():
        counts.gauges.pop(name, None)
        if worker:
            value = worker.get(key, 0)
            counts.gauge(name, about, float(value if isinstance(value, int) else len(value)))
    counts.gauges.pop("match_lag", None)
    if "last_row" in worker:
        behind = float(max(int(worker["last_row"]) - int(worker["cursor"]), 0))
        counts.gauge("match_lag", "Webhooks on disk that no rule has seen yet.", behind)
    counts.family(
        "incidents_open", "Incidents that are open, by kind.", "kind",
        {kind: float(number) for kind, number in worker.get("incidents", {}).items()},
    )  # fmt: skip
    counts.family(
        "breaker_open", "1 while a resource of Twilio is not asked because it kept failing.",
        "resource", dict.fromkeys(worker.get("breakers", ()), 1.0),
    )  # fmt: skip


def _of_plugins(counts: Counts, worker: Mapping[str, Any]) -> None:
    """The processes of plugins: what runs, what was called, what ended unasked, what was blamed."""
    hosts = worker.get("hosts", {})
    counts.family("plugin_hosts", "Processes of plugins that take calls.", "kind",
                  _numbers(hosts.get("running", {})))  # fmt: skip
    for name, label, text, values in (
        ("plugin_calls", "result", "Calls of plugins' code.", hosts.get("calls", {})),
        ("plugin_restarts", "process", "Processes of plugins that ended unasked.",
         hosts.get("lost", {})),
        ("plugin_strikes", "kind", "Strikes of rules and functions, and faults of hooks.",
         worker.get("strikes", {})),
    ):  # fmt: skip
        by_label: dict[tuple[str, ...], float] = {
            (of,): value for of, value in _numbers(values).items()
        }
        counts.foreign[name] = (text, (label,), by_label)


def _of_budgets(counts: Counts, worker: Mapping[str, Any]) -> None:
    """What each budget allows, and what is left. A rule is named, a recipient never is."""
    budgets, words = worker.get("budgets", ()), ("rule", "budget")
    counts.families["budget_size"] = (
        "What a budget allows; `rule` is empty for those of all.", words,
        {(rule, word): float(size) for rule, word, size, _ in budgets},
    )  # fmt: skip
    counts.families["budget_left"] = (
        "What is left of it in this hour or day.", words,
        {(rule, word): float(left) for rule, word, _, left in budgets},
    )  # fmt: skip


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _age(since: str, now: datetime) -> float:
    return max((now - from_iso(since)).total_seconds(), 0.0)
