"""Checks of what the journal tells people beside its sends: verdicts, texts, contacts, consents,
incidents and times, against what the world said and did.
"""

import json
from collections import defaultdict
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs

from ringback.runtime import from_iso, iso
from ringback.worker.recovery.restore_guard import KIND as HELD
from simulation.books import Books, Row
from simulation.loop import EPOCH
from simulation.story import Said, Story
from simulation.twilio import OURS, SERVICE
from simulation.verdict import Verdict

FIXED = {
    "hours": "We are open from 9 to 5.", "desk": "We are open from 9 to 5.",
    "alert": "Somebody needs you.", "gave-up": "An action has failed.", "tick": "Five minutes.",
}  # fmt: skip
QUOTED = {
    "echo": "You said: ", "later": "It is later: ", "quick": "Your code: ", "once": "Only once: ",
    "served": "Served: ", "asked": "Asked: ", "project.plain": "Plainly: ",
    "project.awaited": "Awaited: ",
}  # fmt: skip
"""What a rule puts in front of the text that it answers."""
ELSEWHERE = {
    "alert": "+15550199999", "undelivered": "+15550188888", "tick": "+15550177777",
}  # fmt: skip
"""To whom a rule writes that does not answer the one who wrote."""
RULES = {*FIXED, *QUOTED, *ELSEWHERE, "ring", "hang-up", "doubtful"}
"""The rules of the simulated project. What those of another one are for is not known here."""
PATIENCE = 90.0
TICK = 300.0
SLOW = 120.0
"""So long after its time the schedule has rung, when no halt was in its way."""


def judge_facts(
    verdict: Verdict, story: Story, books: Books, wanted: dict[str, set[str]], *, drained: bool
) -> None:
    """What people are told is so. `wanted` has the rules that each event (uid) is for."""
    problems = [*_contacts(books), *_incidents(books), *_waits(story, books)]
    if {run["rule"] for run in books.runs} <= RULES:
        problems += [*_verdicts(books, wanted), *_texts(story, books)]
    if drained:
        problems += [*_consents(story, books), *_rest(story, books), *_ticks(story, books)]
    for problem in problems:
        verdict.blame("untrue", problem)


def _verdicts(books: Books, wanted: dict[str, set[str]]) -> list[str]:
    """The verdicts of an event name the rules that it is for, and each of those has its run."""
    runs: dict[str, set[str]] = defaultdict(set)
    for run in books.runs:
        runs[run["event_uid"]].add(run["rule"])
    problems = []
    for event in books.events:
        if event["verdicts"] is None or event["uid"] not in wanted:
            continue
        uid, found = event["uid"], json.loads(event["verdicts"])
        fired = {rule for rule, why in found.items() if why == "fired"}
        if fired != wanted[uid] or fired != runs[uid]:
            problems.append(
                f"{uid} is for {sorted(wanted[uid])}, its verdicts are {found} and its runs "
                f"{sorted(runs[uid])}"
            )
        if not all(found.values()):
            problems.append(f"{uid} has a verdict without words: {found}")
    for run in books.runs:
        over = run["state"] in ("done", "failed", "skipped", "cancelled")
        if over != bool(run["ended_at"]) or (over and run["due_at"]):
            problems.append(f"run {run['uid']} is {run['state']}, ended at {run['ended_at']}")
    return problems


def _texts(story: Story, books: Books) -> list[str]:
    """Each action says what its rule says of its event, and Twilio was asked for just that."""
    events = {event["uid"]: event for event in books.events}
    said = {
        f"in:{record.sid}": record.body for record in story.twilio.heard.values()
    }  # fmt: skip
    problems = []
    params = {}
    for action in books.actions:
        given, event, rule = (
            json.loads(action["params"]),
            events[action["event_uid"]],
            action["rule"],
        )
        params[action["uid"]] = given
        body = FIXED.get(rule) or QUOTED.get(rule, "") + said.get(event["dedupe_key"], "")
        if rule == "undelivered":
            body = f"Not delivered: {event['subject_sid']}"
        if given.get("body", given.get("text", body)) != body:
            problems.append(f"{action['uid']} ({rule}) says {given} and not {body!r}")
        to = ELSEWHERE.get(rule, event["sender"])
        if given.get("to", to) != to:
            problems.append(f"{action['uid']} ({rule}) goes to {given['to']} and not to {to}")
        if rule == "hang-up" and given["call_sid"] != event["subject_sid"]:
            problems.append(f"{action['uid']} ends {given['call_sid']}, not {event['subject_sid']}")
    tags = books.tags
    for record in story.twilio.records.values():
        given = params.get(tags.get(record.tag, ""), {})
        if given and (record.to, record.body) != (given["to"], given.get("body", "")):
            problems.append(f"{record.sid} was made to {record.to} as {record.body!r}, not {given}")
    return problems


def _contacts(books: Books) -> list[str]:
    """How many texts came and went in a conversation, and when the last one came."""
    came: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in books.matched:
        if entry.route != "message":
            continue
        fields = {name: values[0] for name, values in parse_qs(entry.body.decode()).items()}
        moment = fields.get("Timestamp", "")
        at = iso(parsedate_to_datetime(moment)) if moment else entry.received_at
        came[f"{fields['To']}/{fields['From']}"].setdefault(fields["MessageSid"], at)
    went: dict[str, int] = defaultdict(int)
    for action in books.actions:
        if action["effect"] == "message" and action["remote_sid"]:
            went[action["conversation"]] += 1
    known: dict[str, Row] = {row["conversation"]: row for row in books.contacts}
    problems = []
    for conversation in known.keys() | came.keys() | went.keys():
        row = known.get(conversation, {"inbound": 0, "last_inbound_at": None, "outbound": 0})
        texts = came.get(conversation, {})
        if (row["inbound"], row["last_inbound_at"]) != (
            len(texts), max(texts.values(), default=None)
        ):  # fmt: skip
            problems.append(f"{len(texts)} texts came in {conversation}, and it says {row}")
        if row["outbound"] != went[conversation]:
            problems.append(f"{went[conversation]} texts went in {conversation}, and it says {row}")
    return problems


def _incidents(books: Books) -> list[str]:
    """Each incident and its events go together; further news of one is told once each, or not at
    all while somebody has said that they know."""
    keys = {event["dedupe_key"] for event in books.events if event["type"].startswith("incident.")}
    owed = {f"incident.opened:{row['uid']}" for row in books.incidents} | {
        f"incident.resolved:{row['uid']}" for row in books.incidents if row["state"] == "resolved"
    }
    keys -= {
        f"incident.updated:{row['uid']}:{number}"
        for row in books.incidents
        for number in range(2, row["count"] + 1)
    }
    return [f"{key} is in one of events and incidents only" for key in sorted(keys ^ owed)]


def _waits(story: Story, books: Books) -> list[str]:
    """Nothing that waits for a time begins before it. A worker that holds its sends, as it was away
    for long, takes the time from when the text came in: it may have been answered."""
    if story.jumps:
        return []
    held = any(row["kind"] == HELD for row in books.incidents)
    events = {event["uid"]: event for event in books.events}
    planned = {move.uid: when for when, move in reversed(story.moves)}
    problems = []
    for action in books.actions:
        if action["rule"] != "later":
            continue
        event = events[action["event_uid"]]
        came = from_iso(event["received_at"]).timestamp() - EPOCH
        begun = came if held else story.heard[event["dedupe_key"]]
        if planned[action["uid"]] - begun < PATIENCE - 0.01:
            problems.append(f"{action['uid']} waited for less than {PATIENCE:g} s")
    return problems


def _same_second(latest: Said, words: list[Said]) -> bool:
    return any(word is not latest and int(word.order) == int(latest.order) for word in words)


def _consents(story: Story, books: Books) -> list[str]:
    """Consent is the last word that a person said. By a clock that was set, which of two that was
    cannot be known of one that was fetched back."""
    problems = []
    known = {(row["sender"], row["recipient"]): row["state"] for row in books.consents}
    for (sender, recipient), state in known.items():
        if recipient not in story.said:
            problems.append(f"{recipient} is {state} with {sender}, and has said nothing")
    for person, words in story.said.items():
        if story.jumps and any(word.late for word in words):
            continue
        latest = max(reversed(words), key=lambda word: word.order)
        last = latest.word
        if latest.late and last == "START" and _same_second(latest, words):
            continue  # Twilio's date does not tell which was the last: refused is right then
        state = "out" if last == "STOP" else "in"
        found = [known.get((sender, person)) for sender in (OURS, SERVICE)]
        if found != [state, state]:
            problems.append(f"the last word of {person} was {last}, and consent is {found}")
    return problems


def _rest(story: Story, books: Books) -> list[str]:
    """When the world has come to rest, nothing is wrong any more, and what is settled was done."""
    given_up = any(action["state"] == "parked" for action in books.actions)
    # Nothing has left since the last request failed: nobody knows whether anything would.
    given_up = given_up or any(each["result"] != "accepted" for each in books.attempts[-1:])
    # That a number has gone silent ends with the next text, which no longer comes; a loop and a
    # budget that is used up, an hour after the last refusal.
    stays_open = {"duplicate", "silent", "loop", "budget", *(("sending",) if given_up else ())}
    problems = [
        f"incident {row['key']} is still open: {row['text']}"
        for row in books.incidents
        if row["state"] == "open" and row["kind"] not in stays_open
    ]
    given = sum(
        action["kind"] == "notify" and action["state"] == "settled" for action in books.actions
    )
    if given > len(story.notices):
        problems.append(f"{given} notices are settled, and {len(story.notices)} were given")
    memory = {row["conversation"]: json.loads(row["memory"]) for row in books.contacts}
    for action in books.actions:
        if action["kind"] == "remember" and not memory[action["conversation"]].get("doubtful"):
            problems.append(f"{action['uid']} is not remembered")
        call = json.loads(action["params"]).get("call_sid", "")
        ended = action["kind"] == "end_call" and action["state"] == "settled"
        if ended and call not in story.twilio.updated:
            problems.append(f"{action['uid']} is settled, and {call} was not ended")
    return problems


def _ticks(story: Story, books: Books) -> list[str]:
    """A schedule rings once at each of its times, and at all of them that the worker lived through.
    By a clock that was set, nobody knows which those are."""
    at = [
        from_iso(event["at"]).timestamp() - EPOCH
        for event in books.events
        if event["type"] == "timer.due"
    ]
    problems = [f"{moment:g} s is no time of the schedule" for moment in at if moment % TICK]
    if len(set(at)) < len(at):
        problems.append("a time of the schedule has come twice")
    if story.more_rules and not story.jumps:
        problems += [
            f"the schedule did not ring at {moment} s"
            for moment in range(int(TICK), int(story.clock.now), int(TICK))
            if moment not in at and story.lived(moment - 1.0, moment + SLOW)
        ]
    return problems
