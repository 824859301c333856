"""Catalogue of Twilio's error codes: meaning, class, fault, remedy in steps, and use of a retry.

The table beside this file holds our own words and our own judgement, made from the causes that
Twilio documents; a row names only what its class does not say already. It is read when the first
code is asked for. Twilio adds and splits codes without notice: one that is not listed gets what its
range says. https://www.twilio.com/docs/api/errors
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

FAULTS: Mapping[str, str] = {
    "ours": "ours: a text, rule, document, request or server of our own",
    "account": "ours at Twilio: the account, a sender or its registration",
    "recipient": "the recipient's: the person, their number or their phone",
    "carrier": "the carrier's, or of the networks on the way to the phone",
    "channel": "of the provider of a channel, such as WhatsApp",
    "twilio": "Twilio's",
    "nobody": "nobody's: a note, or what had to be expected",
    "unknown": "not known",
}
"""Whose fault an error is, and so who can end it."""

AFFECTS: Mapping[str, str] = {
    "this": "this text, call or request alone",
    "content": "everything with the same content, document or request",
    "recipient": "everything to this person from this sender",
    "sender": "everything from this sender: stop sending from it",
    "carrier": "everything to this carrier from this sender",
    "country": "everything to this country from this sender",
    "account": "everything of the account: stop sending",
    "webhook": "everything that Twilio asks for at this URL",
}
"""What else fails of the same cause, as long as nobody ends it."""

RETRIES: Mapping[str, str] = {
    "yes": "the same again may work soon",
    "later": "it may work after a while, or once the cause is mended",
    "no": "the same again fails the same way",
}
"""Whether the same text, call or request may be repeated unchanged."""

INSTEAD: Mapping[str, str] = {
    "content": "other content",
    "sender": "another sender",
    "channel": "another channel",
}
"""What may be tried in place of the same again."""

PHASES: Mapping[str, str] = {
    "api": "answer to a request to the API",
    "send": "answer to the request to send a text",
    "delivery": "end of a text that Twilio had accepted",
    "channel": "end of a message on a channel such as WhatsApp",
    "inbound": "a text that came in",
    "voice": "a call, or the document that it got",
    "webhook": "a webhook of ours, or the document that it answered",
    "eventstream": "a sink of Event Streams",
}
"""Where a code is met."""

KINDS: Mapping[str, str] = {
    "webhook": "the receiver, its URL, TLS or document",
    "twiml": "a verb or attribute of a call's document",
}
"""What of ours is at fault, for the class `webhook_fault`."""

RANGES: tuple[tuple[int, int, str], ...] = (
    (10000, 10999, "the account"),
    (11000, 11999, "the way to our webhooks"),
    (12000, 12999, "documents that webhooks answer"),
    (13000, 13999, "TwiML of calls"),
    (14000, 14199, "TwiML of messages"),
    (14200, 14999, "TwiML of queues"),
    (15000, 15999, "calls under way"),
    (16000, 16999, "conferences and recordings"),
    (20000, 20999, "requests to the REST API"),
    (21000, 21599, "requests about calls and numbers"),
    (21600, 21999, "requests to send a text"),
    (22000, 22999, "the queue of calls"),
    (30000, 30999, "delivery of texts"),
    (31000, 31999, "calls of browsers and apps"),
    (32000, 32999, "SIP and trunks"),
    (63000, 63999, "channels such as WhatsApp"),
    (90000, 92999, "messages, templates and Event Streams"),
)
"""What the ranges of numbers are about that have codes in this catalogue."""


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """One class of errors: what its codes have in common.

    All but the meaning are what a code of the class has unless its row says otherwise; `steps` come
    after those of the code.
    """

    meaning: str
    fault: str
    affects: str
    retryable: str = "no"
    retry_after: int = 0
    instead: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


_LOOK = "See what Ringback knows of it: `ringback trace` with the SID."

CLASS_TABLE: Mapping[str, ErrorClass] = {
    "account": ErrorClass(
        "the account, its credentials or its rights stand in the way", "account", "account",
        steps=("Check the mend with `ringback doctor`, then send again what still matters.",),
    ),
    "bad_request": ErrorClass(
        "the API cannot do what was asked: a parameter, a SID, or the state that it met",
        "ours", "content",
        steps=("Find the rule that asked for it: `ringback trace` with the SID.",),
    ),
    "call_not_in_progress": ErrorClass(
        "the call had ended before an update reached it", "nobody", "this",
    ),
    "carrier_failed": ErrorClass(
        "the network did not deliver and gives no reason", "carrier", "recipient", "later", 1800,
    ),
    "carrier_filtered": ErrorClass(
        "a filter of the carrier, the channel or Twilio held it back", "ours", "content",
    ),
    "content_rejected": ErrorClass(
        "the content cannot be sent as it is", "ours", "content", instead=("content",),
        steps=("Change the rule or plugin that wrote it; `ringback trace` with the SID names it.",),
    ),
    "invalid_number": ErrorClass(
        "the number does not exist or cannot be reached this way", "recipient", "recipient",
        steps=("Keep rules from trying the number again until it is corrected.",),
    ),
    "platform_fault": ErrorClass(
        "Twilio or a provider behind it failed", "twilio", "this", "later", 300,
        steps=(
            "See https://status.twilio.com; report it to Twilio's support with the SID when it "
            "lasts.",
        ),
    ),
    "rate_limited": ErrorClass(
        "too much at once, or more than a quota allows", "ours", "sender", "later", 60,
        steps=("Give the node a pace of its own with `sender_rate`, below the limit.",),
    ),
    "recipient_opted_out": ErrorClass(
        "the person does not want messages of this sender", "recipient", "recipient",
    ),
    "recipient_unreachable": ErrorClass(
        "the phone or the far end cannot be reached", "recipient", "recipient",
    ),
    "sender_misconfigured": ErrorClass(
        "the sender cannot be used like this", "account", "sender", instead=("sender",),
        steps=("See what Twilio knows of your numbers: `ringback gateway numbers list`.",),
    ),
    "sender_unregistered": ErrorClass(
        "the sender is not registered, or no longer", "account", "sender", instead=("sender",),
        steps=(
            "See in Twilio's console what the registration lacks, then send what still matters.",
        ),
    ),
    "unknown": ErrorClass(
        "not classed", "unknown", "this", steps=(_LOOK,),
    ),
    "webhook_fault": ErrorClass(
        "a mistake of our own side: a webhook, or the document that it answered", "ours", "content",
    ),
}  # fmt: skip
"""Every class, by the name that `event.error_class` has."""

CLASSES: tuple[str, ...] = tuple(CLASS_TABLE)
"""Every value that `event.error_class` may have, besides the empty one for "no error"."""

_KIND_STEPS: Mapping[str, tuple[str, ...]] = {
    "webhook": ("Run `ringback doctor`: it asks the public address as Twilio does.",),
    "twiml": ("Find the rule that wrote the document: `ringback trace` with the call's SID.",),
}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One error code of Twilio.

    `title` is what it means in a few words. `fault` is a key of FAULTS, `affects` of AFFECTS,
    `phase` of PHASES, `kind` of KINDS or empty. `retryable` is `yes` (the same may be repeated
    soon), `later` or `no`; `retry_after` is how many seconds to wait first, and 0 with `later`
    means: not by itself, but once the cause is mended. `twice`: a repeat may reach the person a
    second time. `instead` is what may be tried in place of the same. `remedy` is the first of the
    `steps`. `unclassed` says why a listed code has no class. `level` is how Twilio logs it.
    """

    code: int
    title: str
    error_class: str
    retryable: str = "no"
    remedy: str = ""
    fault: str = ""
    affects: str = ""
    retry_after: int = 0
    twice: bool = False
    instead: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    phase: str = ""
    level: str = "error"
    kind: str = ""
    unclassed: str = ""
    listed: bool = True

    @property
    def url(self) -> str:
        """Twilio's page about this code; empty for no error."""
        return f"https://www.twilio.com/docs/api/errors/{self.code}" if self.code else ""

    @property
    def retry(self) -> str:
        """Whether a retry can help and after how long, in words; empty for no error."""
        if not self.listed:
            return self.wait
        says = f"no: {RETRIES['no']}" if self.retryable == "no" else self.wait
        says += "; each try is charged" if self.charged and self.may_retry else ""
        return says + ("; a repeat may reach the person twice" if self.twice else "")

    @property
    def wait(self) -> str:
        """The same in short: `no`, `after 30 min`, `once mended`, `not known`."""
        if not self.listed:
            return "not known" if self.code else ""
        if self.retryable == "no":
            return "no"
        return f"after {_span(self.retry_after)}" if self.retry_after else "once mended"

    @property
    def charged(self) -> bool:
        """Whether each further try costs as much as the first: a carrier was asked already."""
        return self.phase == "delivery"

    @property
    def may_retry(self) -> bool:
        """Whether the same may be repeated by a machine, after `retry_after` seconds."""
        return self.retryable != "no" and self.retry_after > 0


NO_ERROR = ErrorCode(0, "", "", retryable="", level="", listed=False)
"""What stands where there is no error: every text in it is empty."""


def _span(seconds: int) -> str:
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def error_class(code: int) -> str:
    """The class of a code: "" for 0, `unknown` (or its family's class) for one not listed."""
    return explain_error(code).error_class


def explain_error(code: int) -> ErrorCode:
    """All that is known about a code. Never raises: an unlisted code gets its family's defaults,
    and 0 is `NO_ERROR`."""
    if not code:
        return NO_ERROR
    return _table().get(code) or _unlisted(code)


def listed() -> tuple[ErrorCode, ...]:
    """Every code in the table, in order."""
    return tuple(_table().values())


def facts(code: ErrorCode) -> dict[str, Any]:
    """All that the catalogue knows of a code, as JSON says it."""
    near = {} if code.listed else {"range": range_about(code.code), "nearest": nearest(code.code)}
    return {
        "code": code.code, "title": code.title, "class": code.error_class,
        "class_meaning": meaning(code), "unclassed": code.unclassed, "fault": code.fault,
        "affects": code.affects, "phase": code.phase, "level": code.level,
        "retryable": code.retryable, "retry": code.retry, "retry_after": code.retry_after,
        "twice": code.twice, "charged": code.charged, "instead": list(code.instead),
        "remedy": code.remedy, "steps": list(code.steps), "url": code.url,
        "listed": code.listed, **near,
    }  # fmt: skip


def meaning(code: ErrorCode) -> str:
    """What the class of a code means, or why it has none."""
    return code.unclassed or CLASS_TABLE[code.error_class].meaning


def range_about(code: int) -> str:
    """What the range of a number is about, by the nearest one that is known; empty far from all."""
    first, last, about = min(RANGES, key=lambda each: max(each[0] - code, code - each[1], 0))
    if first <= code <= last:
        return f"{first} to {last}: {about}"
    near = first - code if code < first else code - last
    return f"nearest is {first} to {last}: {about}" if near < 10_000 else ""


def nearest(code: int) -> list[int]:
    """The three known codes that stand nearest to a number."""
    return sorted(sorted((each.code for each in listed()), key=lambda each: abs(each - code))[:3])


def _unlisted(code: int) -> ErrorCode:
    family = code // 1000
    name = "webhook_fault" if family in (11, 12) else "unknown"
    remedy = f"Read Twilio's page on it: https://www.twilio.com/docs/api/errors/{code}"
    common = CLASS_TABLE[name]
    return ErrorCode(
        code, f"Twilio error {code}", name, "later" if family == 30 else "no", remedy,
        common.fault, common.affects, steps=(remedy, *common.steps), listed=False,
    )  # fmt: skip


@cache
def _table() -> dict[int, ErrorCode]:
    import json
    from pathlib import Path

    text = Path(__file__).with_suffix(".json").read_text("utf-8")
    return {row["code"]: _whole(row) for row in json.loads(text)}


def _whole(row: Mapping[str, Any]) -> ErrorCode:
    """A row with all that its class adds."""
    common, steps, kind = CLASS_TABLE[row["class"]], row["steps"], row.get("kind", "")
    retryable = row.get("retry", common.retryable)
    wait = common.retry_after if retryable == common.retryable else 0
    general = (*_KIND_STEPS.get(kind, ()), *common.steps)
    return ErrorCode(
        row["code"], row["title"], row["class"], retryable, steps[0],
        fault=row.get("fault", common.fault), affects=row.get("affects", common.affects),
        retry_after=row.get("after", wait), twice=row.get("twice", False),
        instead=tuple(row.get("instead", common.instead)),
        steps=(*steps, *(step for step in general if _is_new(step, steps))),
        phase=row["phase"], level=row.get("level", "error"), kind=kind,
        unclassed=row.get("unclassed", ""),
    )  # fmt: skip


def _is_new(step: str, steps: Sequence[str]) -> bool:
    """Whether none of a code's own steps names the command of this general one."""
    command = step.partition("`")[2].partition("`")[0]
    return not command or not any(command in each for each in steps)
