"""Envelope of an operation: who asks, for which request, and what they expect to be true. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.errors import RoleTooSmall, UsageError
from ringback.ipc import Message
from ringback.runtime import Runtime, from_person, iso
from ringback.store.operations.doings import TAG, By, Doing

ROLES = ("read", "operate", "admin")
"""What a person may: look, decide, and everything; each may what those before it may."""
VIAS = ("console", "api", "shell", "dev", "link", "worker")
"""The ways by which people do something. `worker` is a caller that does not say."""
EXPECTED = ("state", "tries", "outcome")
LONGEST = 200
_REQUEST = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@dataclass(frozen=True, slots=True)
class Sort:
    """An operation: the kind of its subject, the word of the message that names it, and the words
    that say what is wanted."""

    kind: str = ""
    subject: str = ""
    words: tuple[str, ...] = ()


SORTS: Mapping[str, Sort] = {
    "pause": Sort("switch"),
    "resume": Sort("switch", "", ("may_duplicate",)),
    "retry": Sort("action", "uid", ("may_duplicate",)),
    "cancel_action": Sort("action", "uid"),
    "approve": Sort("action", "uid"),
    "decline": Sort("action", "uid"),
    "resolve": Sort("action", "uid", ("outcome", "sid")),
    "cancel_run": Sort("run", "uid"),
    "wake_run": Sort("run", "uid"),
    "postpone": Sort("action", "uid", ("until",)),
    "consent": Sort("consent", "", ("state",)),
    "write": Sort("conversation"),
    "hang_up": Sort("call", "call"),
    "dequeue": Sort("call", "call"),
    "cards": Sort("contacts"),
    "broadcast": Sort("group", "to", ("rate",)),
    "mute": Sort("mute", "", ("until",)),
    "replay": Sort("event", "uid", ("rule", "may_duplicate")),
    "incident": Sort("incident", "uid", ("ack", "mute")),
    "rule_state": Sort("rule", "rule", ("state", "until")),
    "problem": Sort("problem", "key", ("state", "until", "above")),
    "bulk": Sort("", "", ("bulk",)),
    "bulk_start": Sort("bulk", "uid"),
    "bulk_stop": Sort("bulk", "uid"),
    "start": Sort("rule", "rule"),
    "release": Sort("", "rule"),
    "reload": Sort(),
}
"""Every operation that changes something."""


def doing_of(message: Message, runtime: Runtime) -> Doing:
    """What a message asks for, as a doing. A message without an envelope is taken as it is: the
    socket is its owner's. Raises UsageError for an envelope that cannot be read."""
    operation = str(message.get("op") or "")
    sort = SORTS[operation]
    subject = str(message.get(sort.subject) or "") if sort.subject else ""
    wanted = {name: message[name] for name in sort.words if message.get(name) not in (None, "")}
    if "note" in message:
        wanted["note"] = bool(message["note"])
    return Doing(
        uid=runtime.uid("op"), at=iso(runtime.now()), by=_by(message.get("by")), op=operation,
        kind=_kind(operation, subject, sort), subject=subject,
        wanted=wanted, request=_request(message.get("request")),
        expect=_expect(message.get("expect")),
    )  # fmt: skip


def _kind(operation: str, subject: str, sort: Sort) -> str:
    """What the operation is about: a wait is put off as an action is."""
    return "run" if operation == "postpone" and subject.startswith("run_") else sort.kind


def require_role(doing: Doing, role: str, what: str = "") -> None:
    """Raise RoleTooSmall unless whoever does it has at least this role; `what` says what it wants
    that role for, where the operation as such wants less."""
    if ROLES.index(doing.by.role) < ROLES.index(role):
        who = doing.by.who or "the caller"
        wish = what or doing.op.replace("_", " ")
        raise RoleTooSmall(f"{wish} wants the role {role}, and {who} has {doing.by.role}", role)


def _by(given: Any) -> By:
    if given is None:
        return By()
    if not isinstance(given, Mapping) or set(given) - set(By.__slots__):
        raise UsageError(f"`by` wants the words {', '.join(By.__slots__)}")
    said = {name: str(value)[:LONGEST] for name, value in given.items()}
    by = By(**said)
    if not by.who or by.role not in ROLES or by.via not in VIAS:
        raise UsageError(
            f"`by` wants who it is, a role ({', '.join(ROLES)}) and a way ({', '.join(VIAS)})"
        )
    return by


def _request(given: Any) -> str:
    if given in (None, ""):
        return ""
    if not isinstance(given, str) or not _REQUEST.fullmatch(given):
        raise UsageError("`request` wants a ULID: 26 letters and digits, made anew for each form")
    return given


def _expect(given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or set(given) - {*EXPECTED, TAG}:
        raise UsageError(f"`expect` wants some of the words {', '.join(EXPECTED)}")
    return dict(given)


def until_of(given: Any, now: datetime, longest: timedelta) -> str | None:
    """The end of what is said for a while, as it is stored; None where none is given. Raises
    UsageError for one that does not lie ahead, or too far."""
    if given in (None, ""):
        return None
    return iso(time_of(given, now, longest))


def time_of(given: Any, now: datetime, longest: timedelta) -> datetime:
    """A time to come. Raises UsageError for one without a zone, in the past, or too far."""
    try:
        end = from_person(str(given or ""))
    except ValueError as error:
        raise UsageError(f"until: {error}") from None
    if end <= now:
        raise UsageError(f"until: {given} is in the past; it is {iso(now)} now")
    if end > now + longest:
        raise UsageError(f"until: {given} is not within the next {longest.days} days")
    return end
