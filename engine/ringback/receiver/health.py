"""Health of a node: what keeps it from recording and working, what does not work beside that.

A problem takes a node out of rotation: it records nothing, or nobody reacts to what it records.
What is degraded does not. A node whose texts do not leave must go on receiving: Twilio repeats few
webhooks, and there is no other node on this data folder. One that stands by for another node of its
cluster is out of rotation too: calls need the answer of the one that works.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """By part: `problems`, what is `degraded`, and `notes` on what a person has chosen. `worker`
    is what the worker says of itself; empty while it is away."""

    problems: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As `/readyz` shows it; `degraded` and `notes` are there when they say something."""
        answer: dict[str, Any] = {"ready": not self.problems, "problems": dict(self.problems)}
        if self.degraded:
            answer["degraded"] = dict(self.degraded)
        if self.notes:
            answer["notes"] = dict(self.notes)
        return answer


def health_of(
    problems: Mapping[str, str], worker: Mapping[str, Any], restarts: str = "", disk: str = "",
    console: str = "",
) -> Health:  # fmt: skip
    """The health of a node by what its worker says (empty when it is away). `restarts` says that
    the worker keeps ending, when it does, `disk` that little space is left, `console`
    that the console does."""
    degraded: dict[str, str] = {}
    notes: dict[str, str] = {}
    if worker.get("standby"):
        problems = {**problems, "standby": worker["standby"]}
    stopped = [f"{each['says']}; {each['mend']}" for each in worker.get("stopped", ())]
    if worker.get("held"):
        stopped.append(f"held after a restore: {worker['held']}")
    if stopped:
        degraded["sending"] = "; ".join(stopped)
    if worker.get("paused"):
        notes["sending"] = "paused by a person: nothing is sent until `ringback resume`"
    for name, (since, why) in worker.get("failing", {}).items():
        degraded[name] = f"has failed since {since}: {why}"
    for name, count in worker.get("missed", {}).items():
        degraded[name] = f"is too slow and has missed {count} events"
    if worker.get("quarantined"):
        degraded["rules"] = f"in quarantine: {', '.join(sorted(worker['quarantined']))}"
    if restarts and "worker" not in problems:
        degraded["worker"] = restarts
    if disk and "log" not in problems:
        degraded["disk"] = disk
    if console:
        notes["console"] = console
    return Health(problems, degraded, notes, worker)
