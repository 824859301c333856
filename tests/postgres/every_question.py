"""Every question that people and conditions ask of a journal."""

from datetime import datetime, timedelta
from typing import Any

from ringback.cli.actions import STATES as ACTION_STATES
from ringback.cli.runs import STATES as RUN_STATES
from ringback.runtime import iso
from ringback.store.queries import filters
from ringback.store.queries.action_search import Wanted
from simulation.twilio import OURS

EVENT_FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"type": "message.*"}, {"type": "call.received"}, {"number": "+14155550123"},
    {"sid": "SM1"}, {"error": True}, {"code": 30003}, {"trust": "claimed"}, {"source": "repair"},
    {"own": True},
    {"rule": "one"}, {"rule": "one", "verdict": "silent"}, {"verdict": "silent"},
    {"since": "2026", "until": "2027"},
)  # fmt: skip


def ask_questions(ask: Any, since: str, now: datetime) -> None:
    """Ask what people ask; `since` is a stored time, an hour ago."""
    for kind in ("", "message.received", "message.*"):
        for number in ("", "+14155550123"):
            for error in (True, False):
                for after in ("", since):
                    ask.events(type=kind, number=number, error=error, since=after)
                    ask.events(type=kind, number=number, error=error, follow=True, after=7)
    ask.events(sid="SM1", error=True)
    for rule in ("", "one"):
        for state in ("", *RUN_STATES):
            ask.runs(state=state, rule=rule)
        for state in ("", *ACTION_STATES):
            ask.actions(state=state, rule=rule)
            ask.actions(state=state, rule=rule, kind="notify")
    for each in (
        Wanted(), Wanted(number=OURS), Wanted(number="+14155550123", rule="one", since=since),
        Wanted(outcome="undelivered"), Wanted(outcome="sent", since=since), Wanted(code=30003),
        *(Wanted(rule="one", kind="notify", state=state) for state in ("", *ACTION_STATES)),
    ):  # fmt: skip
        ask.search_actions(each, 5)
    pair = f"{OURS}/+14155550123"
    for before in (0, 1_900_000_000_000):
        ask.chat(pair, 5, before)
    ask.calls_going(now), ask.waited(since), ask.call_over("CA1")
    ask.standing(pair), ask.contact(pair), ask.muted(pair, since)
    for wanted in EVENT_FILTERS:
        for before in (0, 9):
            ask.events_part(filters.Events(**wanted), 5, before)
    for state in ("", *RUN_STATES):
        ask.runs_part(filters.Runs(state=state, rule="one", until=since), 5)
    ask.runs_part(filters.Runs(event="evt_1"), 5)
    for state in ("", *ACTION_STATES):
        ask.actions_part(filters.Actions(state=state, rule="one", code=30003), 5)
    for each_action in (
        filters.Actions(number=OURS), filters.Actions(number="+14155550123"),
        filters.Actions(sid="SM1"), filters.Actions(event="evt_1"), filters.Actions(run="r"),
        filters.Actions(kind="notify"),
    ):  # fmt: skip
        ask.actions_part(each_action, 5)
    for each_attempt in (filters.Attempts(result="failed"), filters.Attempts(action="act_1"),
                         filters.Attempts(event="evt_1", code=20003)):  # fmt: skip
        ask.attempts_part(each_attempt, 5)
    ask.waiting(5)
    ask.in_state("parked")
    newest = ask.events(limit=1)
    ids = [row["uid"] for row in (*newest, *ask.runs(limit=1), *ask.actions(limit=1))]
    for text in (*ids, "att_1", "SM1", "+14155550123"):
        for uid in ask.find(text):
            ask.trace(uid)
    for after in ("", since):
        ask.doings(since=after, before=7)
        ask.doings(who="bob", since=after)
        ask.doings(op="retry", outcome="done", since=after)
        ask.doings(subject="act_1", since=after)
    ask.switched()
    ask.undecided(5, "act_1")
    ask.undecided_count()
    ask.waiting_for_people()
    ask.newest()
    ask.came_of(["evt_1", "evt_2"])
    ask.by_minute(now, 60)
    ask.made_twice()
    ask.claimed(5)
    ask.bulks()
    ask.bulk("blk_1")
    ask.rules_in_use()
    ask.revisions("one")
    ask.rule_runs(since)
    ask.held_by_gate(since)
    ask.last_run("one")
    ask.beside("one")
    ask.silence()
    ask.plugin_trouble()
    ask.opt_outs(since)
    for code in (None, 0, 30003):
        ask.failures(since, 100, iso(now), code)
    ask.with_problems([{"code": 30003, "last_at": since}], now)
    ask.first_failure(30003, since)
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
    for number in ("", "+14155550123"):
        for after in ("", since):
            for state in ("", "out"):
                ask.consents(state=state, number=number, sender=OURS, since=after)
                ask.consents(state=state, number=number, since=after)
    for who in (OURS, *(row["sender"] for row in newest)):
        ask.contacts(who)
        ask.transcript(ask.conversations(who), 10)
    ask.left_since(now - timedelta(hours=1))
    ask.fired("one", since)
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
