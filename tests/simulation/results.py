"""Checks of results: what the journal says became of each action, against what Twilio reported.

The order of statuses stands here a second time, as Twilio's pages have it, so that a fault in the
worker's own cannot hide. https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from collections import defaultdict
from typing import NamedTuple
from urllib.parse import parse_qs

from ringback.runtime import from_iso
from simulation.books import Books, Row
from simulation.loop import EPOCH
from simulation.story import Story
from simulation.twilio import Record
from simulation.verdict import Verdict

ORDER = {
    "message": ("queued", "sending", "sent", "failed", "undelivered", "delivered", "read"),
    "call": ("queued", "initiated", "ringing", "answered", "failed", "no-answer", "busy",
             "completed"),
}  # fmt: skip
GOOD = {"delivered", "read", "completed"}
BAD = {"failed", "undelivered", "canceled", "no-answer", "busy"}
ENDED = {"settled", "failed", "refused", "cancelled"}
CODES = {"rejected": 21211, "stopped": 21610, "429": 20429, "500": 20500, "503": 20500}
"""Twilio's code in its answer, by the fault."""
CLASSES = {"rejected": {"rejected", "stopped"}, "throttled": {"429"}, "refused": {"401"}}
"""What Twilio must have answered when an attempt says that it came to this."""
FOLLOWED = 1000.0
"""So many seconds after it was planned, a send is followed to its end without any callback, by a
worker that has lived through the last of them."""
LIVED = 400.0
SOON = 240.0
"""A price that is there so many seconds after the end is found by the first look for it."""


class Told(NamedTuple):
    """One report of a status that was acknowledged: of which record, and with which error code."""

    sid: str
    status: str
    code: int


def judge_results(verdict: Verdict, story: Story, books: Books, *, drained: bool) -> None:
    """Each action and attempt says what Twilio has answered and reported, no more and no less."""
    made: dict[str, list[Record]] = defaultdict(list)
    tags = books.tags
    for record in story.twilio.records.values():
        made[tags.get(record.tag, "")].append(record)
    told = _reported(books, tags)
    twice = {row["key"] for row in books.incidents if row["kind"] == "duplicate"}
    for action in books.actions:
        uid = action["uid"]
        where = f"{uid} ({action['rule']}) is {action['state']} {action['outcome']}"
        if bool(action["settled_at"]) != (action["state"] in ENDED):
            verdict.blame("untrue", f"{where}, and its end is at {action['settled_at']}")
        if not action["effect"]:
            continue
        for problem in _outcome(action, told[uid], made[uid]):
            verdict.blame("untrue", f"{where}, {problem}")
        for problem in _cost(story, action, drained=drained):
            verdict.blame("untrue", f"{where}, {problem}")
        if drained and _unfollowed(story, action, made[uid]):
            verdict.blame("untrue", f"{where}, and Twilio has had {made[uid][0].status} for long")
        known = {report.sid for report in told[uid]} & {record.sid for record in made[uid]}
        if (f"duplicate:{uid}" in twice) != (len(known) > 1):
            verdict.blame("untrue", f"{where}, reported of {known}, and the incident disagrees")
    effects = {action["uid"]: action["effect"] for action in books.actions}
    for attempt in books.attempts:
        uid, where = attempt["action_uid"], f"attempt {attempt['uid']}"
        if drained and not (attempt["ended_at"] and attempt["result"]):
            verdict.blame("stuck", f"{where} of {uid} has no end")
        for problem in _attempt(story, attempt, made[uid]) if effects[uid] else ():
            verdict.blame("untrue", f"{where}: {problem}")
    for tag in story.twilio.asked.keys() - tags.keys():
        verdict.blame("unexplained", f"the request {tag[:6]} left and is no attempt")


def _reported(books: Books, tags: dict[str, str]) -> dict[str, list[Told]]:
    """What was reported of each action: by the tag of its attempt, or else by its SID."""
    holders = {row["remote_sid"]: row["uid"] for row in books.actions if row["effect"]}
    told: dict[str, list[Told]] = defaultdict(list)
    for entry in books.matched:
        family, _, status = entry.route.partition("/")
        if status != "status":
            continue
        fields = {name: values[0] for name, values in parse_qs(entry.body.decode()).items()}
        sid = fields[f"{family.title()}Sid"]
        report = Told(
            sid, _normal(fields[f"{family.title()}Status"]), int(fields.get("ErrorCode", 0))
        )
        told[tags.get(entry.tag) or holders.get(sid, "")].append(report)
    return told


def _outcome(action: Row, told: list[Told], made: list[Record]) -> list[str]:
    """What is wrong with the outcome of an action, its state, its SID and its error code."""
    outcome, state, order = action["outcome"], action["state"], ORDER[action["effect"]]
    problems = []
    furthest = max((report.status for report in told), key=order.index, default="")
    if furthest and (not outcome or order.index(outcome) < order.index(furthest)):
        problems.append(f"and {furthest} was reported")
    known = {(report.status, report.code) for report in told} | {
        (_normal(status), int(code or 0)) for record in made for status, code in record.history
    }
    if outcome and outcome not in {status for status, _ in known}:
        problems.append("which no record of it ever was")
    meant = "settled" if outcome in GOOD else "failed" if outcome in BAD else "accepted"
    if outcome and state != meant:
        problems.append(f"which means {meant}")
    if not outcome and state in ("accepted", "settled"):
        problems.append("without a status")
    if bool(outcome) != bool(action["remote_sid"]):
        problems.append(f"and its SID is {action['remote_sid']!r}")
    codes = {code for status, code in known if status == outcome}
    if outcome and action["error_code"] not in codes:
        problems.append(f"with the error {action['error_code']} instead of {sorted(codes)}")
    return problems


def _cost(story: Story, action: Row, *, drained: bool) -> list[str]:
    """What is wrong with what an action is said to have cost: it is what its record says, and a
    price that was there soon is known after a while."""
    segments, price = action["segments"], action["price"]
    record = story.twilio.records.get(action["remote_sid"])
    if record is None:
        return [] if segments is price is None else [f"and cost {price} without a record"]
    problems, now = [], story.clock.now
    if segments not in (None, record.segments if record.resource == "messages" else None):
        problems.append(f"with {segments} segments instead of {record.segments}")
    if price is not None and (price != record.price.rstrip("0") or record.priced_at > now):
        problems.append(f"and cost {price} instead of {record.price}")
    if price is None and drained and action["settled_at"] and not story.jumps:
        ended = from_iso(action["settled_at"]).timestamp() - EPOCH
        soon, long_ago = record.priced_at < ended + SOON, now - ended > FOLLOWED
        if soon and long_ago and now - story.born > LIVED:
            problems.append(f"and Twilio has said for long that it cost {record.price}")
    return problems


def _unfollowed(story: Story, action: Row, made: list[Record]) -> bool:
    """Whether a send is open though it has come to its end at Twilio long ago. By a clock that was
    set, it may be looked after later."""
    if story.jumps or action["state"] != "accepted":
        return False
    if any(_normal(record.status) not in GOOD | BAD for record in made):
        return False
    planned = next(when for when, move in story.moves if move.uid == action["uid"])
    now = story.clock.now
    return now - planned > FOLLOWED and now - story.born > LIVED


def _attempt(story: Story, attempt: Row, made: list[Record]) -> list[str]:
    """What is wrong with what an attempt says that its request came to."""
    result, code = attempt["result"], attempt["twilio_code"]
    fault = story.twilio.answers.get(attempt["tag"], "").partition("_")[0]
    problems = []
    if (
        result == "accepted"
        and attempt["http_status"] // 100 == 2
        and fault not in ("none", "unreadable")
    ):
        problems.append(f"it was accepted, and Twilio answered {fault}")
    if result == "accepted" and not made and fault not in ("", "none"):
        problems.append("it was accepted, and nothing was made")
    if result in CLASSES and fault not in CLASSES[result]:
        problems.append(f"it was {result}, and Twilio answered {fault}")
    if code and code != CODES.get(fault):
        problems.append(f"its error is {code}, and Twilio answered {fault}")
    if result == "rejected" and not code:
        problems.append("it was rejected without Twilio's error")
    return problems


def _normal(status: str) -> str:
    return "answered" if status == "in-progress" else status
