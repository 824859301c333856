"""Parts of a node, each with how it is: the receiver, the worker, sending, rules, plugins, disk.

It follows from what the receiver and the worker say of themselves. What does not answer is bad,
and never shown as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.console.times import ago, span
from ringback.disk_space import free_bytes, nearly_full
from ringback.errors import StorageError
from ringback.runtime import REAL

FILES = ("log.db", "journal.db", "access.db")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name, its tone, how it is in a word, what it says, what mends it, and a page
    that shows more."""

    name: str
    tone: str
    word: str
    says: str = ""
    mend: str = ""
    link: str = ""


def parts_of(
    receiver: Mapping[str, Any], receiver_away: str, worker: Mapping[str, Any], worker_away: str,
    data: Path, version: str, *, counted: bool | None = None,
) -> list[Part]:  # fmt: skip
    """The parts, in the order in which a webhook meets them. `receiver` and `worker` are what they
    say of themselves; empty, with the reason, when they are away. `counted`: whether the counts by
    the hour are made; None where nobody makes them."""
    return [
        *_receiver(receiver, receiver_away, version),
        _worker(worker, worker_away, receiver),
        *(_sending(worker) if not worker_away else ()),
        *(_rules(worker) if not worker_away else ()),
        *_disk(data),
        *_counts(counted),
        *_notes(receiver),
    ]


def _receiver(said: Mapping[str, Any], away: str, version: str) -> Iterator[Part]:
    if away:
        mend = "Start the node: `ringback serve`."
        yield Part("Receiver", "bad", "away", f"Twilio gets no answer from here: {away}", mend)
        return
    problem = said.get("problems", {}).get("log")
    if problem:
        yield Part("Receiver", "bad", "records nothing", problem, "Make room, then look again.")
    else:
        took = span(float(said.get("commit_seconds") or 0.0))
        waits = int(said.get("in_flight") or 0)
        says = f"{_count(waits, 'webhook')} to be written; the last commit took {took}"
        yield Part("Receiver", "good", "records", says)
    other = said.get("version")
    if version and other and other != version:
        says = f"The node is of version {other}, the console of {version}."
        yield Part("Version", "held", "differs", says, "Restart the node.")


def _worker(said: Mapping[str, Any], away: str, receiver: Mapping[str, Any]) -> Part:
    again = receiver.get("degraded", {}).get("worker", "")
    if away:
        says = receiver.get("problems", {}).get("worker") or away
        return Part("Worker", "bad", "away", says, "See the log lines of the node.")
    if again:
        return Part("Worker", "bad", "restarts", again, "See the log lines of the node.")
    behind = max(int(said.get("last_row", 0)) - int(said.get("cursor", 0)), 0)
    says = (
        f"{_count(behind, 'webhook')} that no rule has seen, {_count(said.get('jobs', 0), 'run')} "
        f"on its hands, {_count(said.get('sending', 0), 'request')} under way"
    )
    return Part("Worker", "good", "works", says)


def _sending(said: Mapping[str, Any]) -> Iterator[Part]:
    waiting, oldest = said.get("waiting", 0), said.get("oldest")
    stopped = list(said.get("stopped", ()))
    for each in stopped:
        yield Part("Sending", "bad", "stopped", each["says"], each["mend"])
    if said.get("held"):
        yield Part("Sending", "held", "held", str(said["held"]), "See `ringback resume`.")
    elif said.get("paused"):
        yield Part("Sending", "held", "paused", "by a person", "Resume it above.")
    elif not stopped:
        since = f", the oldest came free {ago(oldest, REAL.now())}" if oldest and waiting else ""
        says = f"{_count(waiting, 'action')} to leave or without news{since}"
        yield Part("Sending", "good", "goes on", says)
    for name in said.get("breakers", ()):
        yield Part("Twilio", "bad", "not asked", f"{name} kept failing, and rests for a while")
    for name, (since, why) in said.get("failing", {}).items():
        yield Part("Look", "bad", "fails", f"{name}, since {since}: {why}", "Mend what it says.")


def _rules(said: Mapping[str, Any]) -> Iterator[Part]:
    quarantined = said.get("quarantined", {})
    others, count = len(said.get("overrides", {})), said.get("rules", 0)
    more = f"; {others} in another state than in the file" if others else ""
    if quarantined:
        names = ", ".join(sorted(quarantined))
        yield Part(
            "Rules", "person", "in quarantine", names, "Mend the rule, then let it run again.",
            "/console/rules?only=quarantined",
        )  # fmt: skip
    yield Part("Rules", "good", "in use", f"{_count(count, 'rule')}{more}", "", "/console/rules")
    hosts = said.get("hosts", {})
    running, lost = hosts.get("running", {}), sum(hosts.get("lost", {}).values())
    calls = hosts.get("calls", {})
    if sum(running.values()) or sum(calls.values()):
        says = (
            f"{_count(sum(running.values()), 'process', 'processes')}, {calls.get('done', 0)} "
            f"calls done, {calls.get('failed', 0)} failed, {calls.get('blocked', 0)} took too "
            f"long or ended their process; {lost} processes ended unasked"
        )
        yield Part("Plugins", "held" if calls.get("blocked") else "good", "in use", says)
    for name, missed in said.get("missed", {}).items():
        mend = "Let it do less, or use a rule, which misses nothing."
        yield Part("Plugins", "bad", "too slow", f"{name} has missed {missed} events", mend)


def _disk(data: Path) -> Iterator[Part]:
    try:
        free, little = free_bytes(data), nearly_full(data)
    except StorageError as error:
        yield Part("Disk", "bad", "lost", str(error))
        return
    sizes = ", ".join(f"{name} {_size(size)}" for name in FILES if (size := _bytes(data / name)))
    word = "nearly full" if little else "has room"
    yield Part("Disk", "bad" if little else "good", word, f"{_size(free)} free; {sizes}")


def _counts(counted: bool | None) -> Iterator[Part]:
    if counted:
        yield Part("Counts", "good", "follow", "counts by the hour, of which long spans are made")
    elif counted is not None:
        says = "the hours of the past are being counted; until then the newest 20,000 are shown"
        yield Part("Counts", "way", "under way", says)


def _notes(receiver: Mapping[str, Any]) -> Iterator[Part]:
    console = receiver.get("notes", {}).get("console")
    if console:
        yield Part("Console", "held", "restarts", str(console))


def _bytes(path: Path) -> int:
    """The size of a database with what lies beside it."""
    return sum(
        found.stat().st_size
        for end in ("", "-wal")
        if (found := path.with_name(path.name + end)).exists()
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
