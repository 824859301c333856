"""Status of a call that comes twice, by its webhook and from the API: it is one event."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ringback.runtime import REAL
from ringback.store.log import Entry, LogReader
from ringback.store.upkeep.rebuild import rebuild
from ringback.testing.backtest import recorded
from simulation.checker import judge
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT

CALLER = "+15551000001"
CALL = {
    "AccountSid": ACCOUNT, "CallSid": "CA" + "7" * 32, "From": "+15550000001", "To": CALLER,
    "CallStatus": "in-progress",
}  # fmt: skip
Begin = Callable[..., Story]
HUNG_UP = "select state from runs where rule = 'hang-up'"
"""Twilio knows no such call, so the hang-up fails, which another rule hears of."""


def webhook(story: Story, number: int = 2) -> Entry:
    """The call is answered, as Twilio says it."""
    return story.entry("call/status", "", {**CALL, "SequenceNumber": str(number)})


def repaired(story: Story) -> Entry:
    """The call is answered, as the worker has read it and the receiver recorded it."""
    return story.entry("call/status", "", CALL)._replace(source="repair", trust="confirmed")


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", [(webhook, repaired), (repaired, webhook)])
def test_whichever_comes_first_counts(
    begin: Begin, order: tuple[Callable[[Story], Entry], ...], together: bool
) -> None:
    """One event and one run, also when both are read in one batch; and so it stays in a journal
    that is made again from the log, and in a backtest."""
    story = begin()
    for make in order:
        story.receive(make(story))
        if not together:
            story.run(story.clock.now + 10.0)
    story.run(story.clock.now + 60.0)
    assert story.ask("select type from events where subject_sid like 'CA%'") == [("call.answered",)]
    assert story.ask(HUNG_UP) == [("done",)]
    assert judge(story).problems == []
    log = LogReader(story.folder / "log.db")
    assert len(list(recorded(log))) == 1
    log.close()
    story.end()
    assert rebuild(story.folder, lambda: REAL.uid("evt"), "then").events == 1


def test_a_status_that_comes_under_two_numbers_is_one_event(begin: Begin) -> None:
    """The number of a call and the request that placed it may each ask for the same status."""
    story = begin()
    story.receive(webhook(story, 2))
    story.receive(webhook(story, 3))
    story.run(60.0)
    keys = [key for (key,) in story.ask("select dedupe_key from events where log_id > 0")]
    assert keys == [f"cs:{CALL['CallSid']}:answered:"]
    assert story.ask(HUNG_UP) == [("done",)]


def test_a_claim_that_is_read_back_is_proven(begin: Begin) -> None:
    """Without a signature a webhook is a claim. What the API says of the same call confirms it."""
    story = begin(hook_secret="s3cr3t-path-of-this-hook-4711", auth_tokens=())
    story.receive(webhook(story)._replace(trust="claimed"))
    story.run(30.0)
    assert story.ask("select trust from events where subject_sid like 'CA%'") == [("claimed",)]
    assert story.ask("select rule from runs") == []
    story.receive(repaired(story))
    story.run(60.0)
    assert story.ask("select trust from events where subject_sid like 'CA%'") == [("confirmed",)]
    assert story.ask(HUNG_UP) == [("done",)]


def test_a_late_webhook_of_a_call_that_was_looked_up_is_nothing_new(begin: Begin) -> None:
    """All callbacks of a call are lost. After ten minutes the worker reads what became of it; then
    they come after all."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.receive(story.text("ring me", CALLER))
    story.run(1200.0)
    looked_up = story.ask("select type from events where source = 'repair'")
    assert looked_up == [("call.completed",)]
    story.calm_down()
    (call,) = story.twilio.records.values()
    story.twilio.call_back(call, "completed")
    story.run(story.clock.now + 60.0)
    assert story.ask("select count(*) from events where type = 'call.completed'") == [(1,)]
    assert story.ask("select state, outcome from actions") == [("settled", "completed")]
