"""Incidents of deliveries with the real worker: from the first failures to the day after."""

import json
from collections.abc import Callable

import pytest

from ringback.cli.main import run
from ringback.errors import UsageError
from ringback.runtime import from_iso
from scenarios.test_delivery_rates import tell
from simulation.story import Story
from simulation.twilio import OURS

pytestmark = pytest.mark.slow
Begin = Callable[..., Story]
OTHER = "+15550001112"
RULES = """
rules:
  - name: alarm
    on: [incident.opened, incident.updated, incident.resolved]
    if: event.status == 'delivery'
    do:
      - notify: >-
          ${{ event.type }} ${{ event.field('By') }} ${{ event.field('Of') }} ${{ event.body }}
"""
KEY = f"delivery:failing:sender:{OURS}:carrier_filtered"
STATE = "select key, state, acked_at is not null, note from incidents where kind = 'delivery'"


def send(story: Story, first: int, failed: int, until: float) -> None:
    """Texts of two senders: those of the first fail, so many of twenty; both once a minute."""
    number = first
    while story.clock.now < until:
        for each in range(20):
            tell(story, number, "delivered", sender=OTHER)
            status = "undelivered" if each < failed else "delivered"
            tell(story, number + 1, status, code="30007")
            number += 2
        story.run(story.clock.now + 60.0)


def decide(story: Story, **more: object) -> None:
    """What a person says by the shell, as the worker takes it."""
    assert story.life is not None
    life = story.life
    task = life.loop.create_task(life.control.handle({"op": "incident", **more}))
    story.run(story.clock.now + 1.0)
    task.result()


def test_one_incident_from_its_opening_to_its_end(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two senders, one of which is filtered: one incident names it, grows, is seen and is over."""
    story = begin(rules=RULES)
    send(story, 0, 0, 300.0)
    assert story.ask(STATE) == []
    send(story, 1000, 6, 500.0)
    assert story.ask(STATE) == [(KEY, "open", 0, "")]
    (opened,) = story.notices
    assert opened.startswith(f"incident.opened sender {OURS} ")
    assert "failed as carrier_filtered within 5 min" in opened
    send(story, 2000, 20, 800.0)
    assert "incident.updated" in story.notices[1]
    ((uid,),) = story.ask("select uid from incidents where kind = 'delivery'")
    assert run(["--data", str(story.folder), "incidents", "show", uid, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["details"]["Fault"], shown["details"]["Code"]) == ("ours", "30007")
    assert shown["details"]["Examples"].split()[0].startswith("SM")
    assert run(["--data", str(story.folder), "incidents", "list"]) == 0
    assert uid in capsys.readouterr().out
    before = len(story.notices)
    decide(story, uid=uid, ack=True, note="the carrier knows")
    story.kill()  # the next worker goes on with it
    story.start()
    send(story, 3000, 20, 1000.0)
    assert len(story.notices) == before
    send(story, 4000, 0, 1700.0)
    ((key, state, acked, note),) = story.ask(STATE)
    assert (key, state, acked) == (KEY, "resolved", 1)
    assert note.endswith("the carrier knows")
    assert "incident.resolved" in story.notices[-1]


def test_who_mutes_a_cause_hears_nothing_of_it(begin: Begin) -> None:
    """Neither that it is over nor that it begins again, until the time has passed."""
    story = begin(rules=RULES)
    send(story, 0, 0, 120.0)
    send(story, 1000, 12, 400.0)
    before = len(story.notices)
    ((uid,),) = story.ask("select uid from incidents where kind = 'delivery'")
    decide(story, uid=uid, mute=7200)
    send(story, 2000, 0, 1100.0)
    send(story, 3000, 12, 1500.0)
    assert [row[1] for row in story.ask(STATE)] == ["resolved", "open"]
    assert len(story.notices) == before
    ((until, at),) = story.ask(
        "select muted_until, opened_at from incidents where state = 'open' and kind = 'delivery'"
    )
    assert from_iso(until) > from_iso(at)
    with pytest.raises(UsageError, match="incidents list"):
        decide(story, uid="inc_nothing", ack=True)


def test_it_can_be_turned_off(begin: Begin) -> None:
    story = begin(rules=RULES, delivery_incidents=False)
    send(story, 0, 15, 400.0)
    assert story.ask(STATE) == []


def test_what_was_written_before_the_clock_was_set_back_keeps_none_open(begin: Begin) -> None:
    """Failures of an hour that has not come yet are none of the last minutes: the incident stayed
    open until the clock had caught up."""
    story = begin(rules=RULES)
    send(story, 0, 0, 120.0)
    send(story, 1000, 12, 400.0)
    assert [row[1] for row in story.ask(STATE)] == ["open"]
    story.set_clock(-3600.0)
    send(story, 2000, 0, 800.0)
    assert [row[1] for row in story.ask(STATE)] == ["resolved"]
