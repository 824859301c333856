"""Every question that people and conditions ask of a journal."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.cli.actions import STATES as ACTION_STATES
from ringback.cli.runs import STATES as RUN_STATES
from ringback.runtime import iso
from ringback.store.queries import filters
from ringback.store.queries.action_search import Wanted
from ringback.store.queries.questions import Questions
from simulation.twilio import OURS


@dataclass(frozen=True)
class Asked:
    """What is asked about: somebody, a rule, a SID, and some uids."""

    theirs: str = "+14155550123"
    rule: str = "one"
    sid: str = "SM1"
    event: str = "evt_1"
    action: str = "act_1"
    run: str = "run_1"
    code: int = 30003

    @classmethod
    def of(cls, asked: Questions) -> "Asked":
        """Somebody of this journal whose text a rule has answered."""
        sent = (row for row in asked.actions(limit=500) if row["remote_sid"])
        text = next(row for row in sent if "/" in row["conversation"])
        codes = [event["error_code"] for event in asked.events(error=True, limit=5)]
        return cls(
            text["conversation"].partition("/")[2],
            text["rule"],
            text["remote_sid"],
            text["event_uid"],
            text["uid"],
            text["run_uid"],
            *codes[:1],
        )


ANYBODY = Asked()


def event_filters(of: Asked) -> tuple[dict[str, Any], ...]:
    """How people narrow the list of events."""
    return (
        {}, {"type": "message.*"}, {"type": "call.received"}, {"number": of.theirs},
        {"sid": of.sid}, {"error": True}, {"code": of.code}, {"trust": "claimed"},
        {"source": "repair"}, {"own": True}, {"rule": of.rule},
        {"rule": of.rule, "verdict": "silent"}, {"verdict": "silent"},
        {"since": "2026", "until": "2027"},
    )  # fmt: skip


def ask_questions(ask: Any, since: str, now: datetime, of: Asked = ANYBODY) -> None:
    """Ask what people ask; `since` is a stored time, an hour ago."""
    for kind in ("", "message.received", "message.*"):
        for number in ("", of.theirs):
            for error in (True, False):
                for after in ("", since):
                    ask.events(type=kind, number=number, error=error, since=after)
                    ask.events(type=kind, number=number, error=error, follow=True, after=7)
    ask.events(sid=of.sid, error=True)
    for rule in ("", of.rule):
        for state in ("", *RUN_STATES):
            ask.runs(state=state, rule=rule)
        for state in ("", *ACTION_STATES):
            ask.actions(state=state, rule=rule)
            ask.actions(state=state, rule=rule, kind="notify")
    for each in (
        Wanted(), Wanted(number=OURS), Wanted(number=of.theirs, rule=of.rule, since=since),
        Wanted(outcome="undelivered"), Wanted(outcome="sent", since=since), Wanted(code=of.code),
        *(Wanted(rule=of.rule, kind="notify", state=state) for state in ("", *ACTION_STATES)),
    ):  # fmt: skip
        ask.search_actions(each, 5)
    pair = f"{OURS}/{of.theirs}"
    for before in (0, 1_900_000_000_000):
        ask.chat(pair, 5, before)
    ask.calls_going(now), ask.waited(since), ask.call_over("CA1")
    ask.standing(pair), ask.contact(pair), ask.muted(pair, since)
    for wanted in event_filters(of):
        for before in (0, 9):
            ask.events_part(filters.Events(**wanted), 5, before)
    for state in ("", *RUN_STATES):
        ask.runs_part(filters.Runs(state=state, rule=of.rule, until=since), 5)
    ask.runs_part(filters.Runs(event=of.event), 5)
    for state in ("", *ACTION_STATES):
        ask.actions_part(filters.Actions(state=state, rule=of.rule, code=of.code), 5)
    for each_action in (
        filters.Actions(number=OURS), filters.Actions(number=of.theirs),
        filters.Actions(sid=of.sid), filters.Actions(event=of.event), filters.Actions(run=of.run),
        filters.Actions(kind="notify"),
    ):  # fmt: skip
        ask.actions_part(each_action, 5)
    for each_attempt in (filters.Attempts(result="failed"), filters.Attempts(action=of.action),
                         filters.Attempts(event=of.event, code=20003)):  # fmt: skip
        ask.attempts_part(each_attempt, 5)
    ask.waiting(5)
    ask.in_state("parked")
    newest = ask.events(limit=1)
    ids = [row["uid"] for row in (*newest, *ask.runs(limit=1), *ask.actions(limit=1))]
    for text in (*ids, "att_1", of.sid, of.theirs):
        for uid in ask.find(text):
            ask.trace(uid)
    for after in ("", since):
        ask.doings(since=after, before=7)
        ask.doings(who="bob", since=after)
        ask.doings(op="retry", outcome="done", since=after)
        ask.doings(subject=of.action, since=after)
    ask.switched()
    ask.undecided(5, of.action)
    ask.undecided_count()
    ask.waiting_for_people()
    ask.newest()
    ask.came_of([of.event, "evt_2"])
    ask.by_minute(now, 60)
    ask.made_twice()
    ask.claimed(5)
    ask.bulks()
    ask.bulk("blk_1")
    ask.rules_in_use()
    ask.revisions(of.rule)
    ask.rule_runs(since)
    ask.held_by_gate(since)
    ask.last_run(of.rule)
    ask.beside(of.rule)
    ask.silence()
    ask.plugin_trouble()
    ask.opt_outs(since)
    for code in (None, 0, of.code):
        ask.failures(since, 100, iso(now), code)
    ask.with_problems([{"code": of.code, "last_at": since}], now)
    ask.first_failure(of.code, since)
    ask.open_failures(now)
    hour = newest[0]["received_at"][:13] if newest else "2026-03-04T17"
    span = (f"{hour}:00:00.000Z", f"{hour}:59:59.999Z")
    _ = [*ask.texts_between(*span), *ask.failures_between(*span), *ask.left_between(*span)]
    _ = [*ask.newest_texts(*span, timed=True), *ask.newest_left(*span)]
    ask.changed({})
    ask.oldest()
    ask.newest_ids()
    ask.open_incidents("sending")
    ask.incidents(kind="delivery")
    ask.incidents(open_only=False, since=since)
    ask.incident("inc_1")
    ask.sent_texts(since, 100)
    for number in ("", of.theirs):
        for after in ("", since):
            for state in ("", "out"):
                ask.consents(state=state, number=number, sender=OURS, since=after)
                ask.consents(state=state, number=number, since=after)
    for who in (OURS, *(row["sender"] for row in newest)):
        ask.contacts(who)
        ask.transcript(ask.conversations(who), 10)
    ask.left_since(now - timedelta(hours=1))
    ask.fired(of.rule, since)
    ask.verdicts()


def ask_facts(facts: Any, now: datetime) -> None:
    """Ask what conditions ask."""
    for kind in ("message.failed", "message.*"):
        for pair in ("", "+15550001111/+14155550123"):
            facts.count(kind, 900, pair, "recipient_unreachable")
    for key in (("all", ""), ("sender", "+15550001111")):
        facts.ended_texts(*key, 900)
        facts.pending_texts(600, key[1])
    facts.end_before("SM1")
    facts.rule_of("SM1", "tag")
    facts.last_inbound("a/b", now)
    facts.last_outbound("a/b", now)
