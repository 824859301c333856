"""Checks of Twilio's ledger for each action: made once, claimed rightly, and wanted."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from simulation.story import Story
from simulation.twilio import Record
from simulation.verdict import Verdict

PROVEN = {"accepted", "settled"}
FAST_SETTLE = 0.25
"""The share of the settle time after which `fast` begins to look."""
LEAST_BETWEEN = 20.0
LOOKS = 3
RESEND_PAUSE = 30.0
"""At most so long it pauses before the second time that it sends again; then twice as long."""
SLACK = 3.0
"""Twilio's clock shows whole seconds, and an answer takes a while."""
GUARD = 5.0
"""So long after the gate was asked, or a pause was answered, a request may still leave."""
PACED = 5.0
"""So long it may have waited for the rate before."""


def judge_sends(
    verdict: Verdict,
    story: Story,
    actions: list[dict[str, Any]],
    tags: dict[str, str],
    *,
    drained: bool,
) -> None:
    """Each action left at most one record at Twilio, and says so; nobody was texted who had said
    STOP, and nothing left in a pause."""
    made: dict[str, list[Record]] = defaultdict(list)
    for record in story.twilio.records.values():
        action_uid = tags.get(record.tag)
        if action_uid is None:
            verdict.blame("doubled", f"{record.sid} was made for nobody")
        else:
            made[action_uid].append(record)
    verdict.sends = len(story.twilio.records)
    for action in actions:
        if not action["effect"]:
            continue
        uid, state, records = action["uid"], action["state"], made[action["uid"]]
        sids = [record.sid for record in records]
        where = f"{uid} ({action['rule']}, {state}: {action['reason']})"
        if len(sids) > 1 and action["policy"] == "fast" and _late(story, records):
            verdict.fast_doubled += 1
        elif len(sids) > 1:
            verdict.blame("doubled", f"{where} was sent {len(sids)} times")
        if action["remote_sid"] and action["remote_sid"] not in sids:
            verdict.blame("false_claim", f"{where} claims {action['remote_sid']}")
        if state in PROVEN and not sids:
            verdict.blame("lost", f"{where} was never made")
        if drained and state == "failed" and not action["outcome"] and sids:
            verdict.blame("false_claim", f"{where} was made as {sids[0]}")
    _wanted(verdict, story)


def _late(story: Story, records: list[Record]) -> bool:
    """Whether `fast` may have sent again, by its contract: each record but the last showed in the
    list only after the three looks that the policy promises, and none of them was shown it. From
    the second time on it pauses between the looks and the request."""
    asked = story.twilio.asked
    settle = story.settle_seconds
    looks = settle * FAST_SETTLE + (LOOKS - 1) * LEAST_BETWEEN * settle / 60.0 - SLACK
    pause = RESEND_PAUSE * settle / 60.0
    ordered = sorted(records, key=lambda record: asked[record.tag])
    return all(
        record.listed_at >= asked[record.tag] + looks
        and asked[again.tag] >= asked[record.tag] + looks
        and record.shown_at > asked[again.tag] - (pause * 2.0 ** (number - 1) if number else 0.0)
        for number, (record, again) in enumerate(pairwise(ordered))
    )


def _wanted(verdict: Verdict, story: Story) -> None:
    """No request for a text or a call left for a person whose STOP was on record, or in a pause."""
    for tag, (recipient, moment) in story.twilio.recipients.items():
        if _stopped(story, recipient, moment):
            verdict.blame("unwanted", f"{tag[:6]} left for {recipient}, who had said STOP")
        if any(begun + PACED + GUARD < moment < ended for begun, ended in story.paused):
            verdict.blame("unwanted", f"{tag[:6]} left at {moment:.3f}, in a pause")


def _stopped(story: Story, recipient: str, moment: float) -> bool:
    """Whether the last word on record of this person was a STOP at this moment. By a clock that was
    set, where a word belongs that was fetched back cannot be known."""
    said = story.said.get(recipient, ())
    if story.jumps and any(word.late for word in said):
        return False
    known = [
        word
        for word in said
        if (word.heard <= moment if word.word == "START" else word.heard + GUARD < moment)
    ]
    # Of two in the same instant, the one that was noted last.
    return bool(known) and max(reversed(known), key=lambda word: word.order).word == "STOP"
