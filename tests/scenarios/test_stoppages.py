"""Sending stops for every reason that it may stop for, with the real worker in a stepped world: an
incident tells of it within half a minute, with its true beginning, and ends by itself."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ringback.runtime import from_iso, iso
from simulation.faults import Faults, calm
from simulation.story import Story

ANN = "+15551000001"
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said: ${{ event.body }}"}]
  - name: alarm
    on: [incident.opened, incident.resolved]
    do: [{notify: "${{ event.type }} ${{ event.status }}"}]
"""
Begin = Callable[..., Story]
ALL = {"create": 1.0, "read": 1.0}


def faults(create: str, read: str = "") -> Faults:
    """A world in which every create fails so, and every read."""
    return replace(calm(), create={create: 1.0}, read={read: 1.0} if read else {})


def become(story: Story, world: Faults) -> None:
    """From now on things go so."""
    story.faults = story.twilio.faults = world


def texts(story: Story, *, first: int = 0, count: int = 1) -> None:
    """So many people write."""
    for number in range(first, first + count):
        story.receive(story.text(f"hello {number}", f"+155510001{number:02d}"))


def incidents(story: Story) -> list[tuple[Any, ...]]:
    """The incidents about sending: key, state, when it began, text."""
    return story.ask(
        "select key, state, opened_at, text from incidents where kind = 'sending' order by id"
    )


def until_told(story: Story, limit: float) -> float:
    """Let time pass until an incident is open; how long that took."""
    began = story.clock.now
    while not incidents(story) and story.clock.now < began + limit:
        story.run(story.clock.now + 1.0)
    return story.clock.now - began


def moment(story: Story, question: str) -> datetime:
    """The one moment that a question asks for."""
    ((text,),) = story.ask(question)
    return from_iso(text)


def near(text: str, moment: datetime) -> bool:
    """Whether a stored time is that moment: an attempt is on disk a little before it leaves."""
    return abs((from_iso(text) - moment).total_seconds()) < 0.5


@pytest.mark.parametrize(
    ("create", "read", "reason", "within"),
    [
        ("401", "401", "credentials", 10.0),
        pytest.param("suspended", "", "account", 10.0, marks=pytest.mark.slow),
        pytest.param("unconnected", "unconnected", "connection", 30.0, marks=pytest.mark.slow),
        ("expired", "expired", "connection", 30.0),
        pytest.param("refused", "refused", "unreachable", 30.0, marks=pytest.mark.slow),
        ("reset_before", "reset", "unreachable", 30.0),
        pytest.param("timeout_before", "timeout", "unreachable", 30.0, marks=pytest.mark.slow),
        ("500_before", "", "failing", 30.0),
        pytest.param("500_before", "500", "failing", 30.0, marks=pytest.mark.slow),
        pytest.param("429", "429", "throttled", 90.0, marks=pytest.mark.slow),
        ("429_wait", "", "throttled", 90.0),
    ],
)
@pytest.mark.parametrize("count", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_person_hears_within_half_a_minute_that_nothing_leaves(
    begin: Begin, create: str, read: str, reason: str, within: float, count: int
) -> None:
    """One text that waits is enough. It is one incident, from the first request that failed to the
    first that went well, however often a breaker lets something try."""
    story = begin(rules=RULES)
    story.run(20.0)
    become(story, faults(create, read))
    texts(story, count=count)
    assert until_told(story, 200.0) <= within + 1.0
    ((key, state, began, text),) = incidents(story)
    assert (key, state) == ("sending", "open")
    assert near(began, moment(story, "select min(started_at) from attempts"))
    assert f"sending has stopped since {began}: " in text
    assert f"; {count} action" in text
    ((fields,),) = story.ask("select fields from events where type = 'incident.opened'")
    told = json.loads(fields)
    assert (told["Reason"], told["Since"], told["Waiting"]) == (reason, began, str(count))
    assert told["Mend"]
    assert told["Mend"][1:] in text
    story.run(story.clock.now + 2.0)
    assert story.notices == ["incident.opened sending"]

    story.run(story.clock.now + 400.0)
    assert [row[:3] for row in incidents(story)] == [(key, "open", began)]
    story.calm_down()
    texts(story, first=90)
    story.run(story.clock.now + 400.0)
    assert [row[:3] for row in incidents(story)] == [(key, "resolved", began)]
    assert story.notices == ["incident.opened sending", "incident.resolved sending"]


def test_what_is_held_says_why_and_since_when(begin: Begin) -> None:
    """The trace shows the reason of an action: the beginning in it is that of the stoppage, and not
    the time of the last look."""
    story = begin(rules=RULES)
    story.run(20.0)
    become(story, faults("401", "401"))
    texts(story)
    story.run(60.0)
    began = moment(story, "select min(started_at) from attempts")
    texts(story, first=1)
    for _ in range(5):
        story.run(story.clock.now + 100.0)
        for (reason,) in story.ask("select reason from actions where rule = 'answer'"):
            assert reason.startswith("held since ")
            assert near(reason.split(": ")[0].removeprefix("held since "), began)
            assert "the credentials were refused" in reason


@pytest.mark.slow
def test_a_look_at_twilio_that_is_held_says_since_when(begin: Begin) -> None:
    """What waits for evidence, too: the breaker keeps the looks back."""
    story = begin(rules=RULES)
    story.run(20.0)
    become(story, faults("500_before", "401"))
    texts(story, count=30)
    story.run(400.0)
    began = moment(story, "select min(started_at) from attempts")
    reasons = [text for (text,) in story.ask("select reason from actions where state = 'unknown'")]
    held = [text.partition("held since ")[2] for text in reasons if "held since " in text]
    assert held
    assert all(near(text.split(": ")[0], began) for text in held)


def test_a_restart_goes_on_with_the_incident(begin: Begin) -> None:
    """It neither ends because a new process knows nothing, nor begins again."""
    story = begin(rules=RULES)
    story.run(20.0)
    become(story, faults("401", "401"))
    texts(story, count=3)
    story.run(60.0)
    ((_, _, began, _),) = incidents(story)
    for _ in range(3):
        story.kill()
        story.run(story.clock.now + 50.0)
        story.start()
        story.run(story.clock.now + 50.0)
    assert [row[:3] for row in incidents(story)] == [("sending", "open", began)]
    story.calm_down()
    story.run(story.clock.now + 600.0)
    assert [row[1] for row in incidents(story)] == ["resolved"]
    assert story.ask("select count(*) from actions where remote_sid <> ''") == [(3,)]
    assert story.notices == ["incident.opened sending", "incident.resolved sending"]


def test_a_fault_that_passes_is_no_incident(begin: Begin) -> None:
    """One request of many is refused, reset or told to wait, and the next goes well."""
    story = begin(replace(calm(), create={"refused": 0.2, "429": 0.2}), rules=RULES)
    for number in range(60):
        texts(story, first=number)
        story.run(story.clock.now + 2.0)
    assert story.twilio.injected
    assert incidents(story) == []


def test_an_idle_node_tells_that_its_credentials_are_no_longer_good(begin: Begin) -> None:
    """Nothing waits yet; the look for what no webhook brought finds out."""
    story = begin(rules=RULES)
    become(story, faults("401", "401"))
    story.run(700.0)
    ((_, state, _, text),) = incidents(story)
    assert state == "open"
    assert "; 0 actions wait" in text
    story.calm_down()
    story.run(story.clock.now + 700.0)
    assert [row[1] for row in incidents(story)] == ["resolved"]


def test_credentials_that_may_send_and_not_read_have_not_stopped(begin: Begin) -> None:
    """Looks for missed webhooks fail, and that shows as what it is; texts leave all the same."""
    story = begin(rules=RULES)
    become(story, faults("none", "suspended"))
    story.run(20.0)
    for number in range(15):
        texts(story, first=number)
        story.run(story.clock.now + 60.0)
    assert story.ask("select count(*) from actions where remote_sid <> ''") == [(15,)]
    assert [row[1] for row in incidents(story)] == ["resolved"]
    assert story.life is not None
    assert "repair" in story.life.engine.watch.failing


@pytest.mark.slow
def test_a_text_about_the_incident_waits_with_the_others(begin: Begin) -> None:
    """A rule that tells of a dead gateway through the gateway makes no second incident; the notice
    of another rule goes out at once, by its own way, beside 70 texts that wait for the gateway."""
    rules = (
        RULES
        + """
  - name: by-text
    on: [incident.opened, incident.resolved]
    do: [{send: {to: "+15551000099", body: "${{ event.type }}"}}]
"""
    )
    story = begin(rules=rules)
    story.run(20.0)
    become(story, faults("timeout_before", "timeout"))
    texts(story, count=70)
    until_told(story, 60.0)
    story.run(story.clock.now + 2.0)
    assert story.notices == ["incident.opened sending"]
    assert story.ask("select remote_sid from actions where rule = 'by-text'") == [("",)]
    story.run(story.clock.now + 100.0)
    assert len(incidents(story)) == 1
    story.calm_down()
    story.run(story.clock.now + 400.0)
    assert [row[1] for row in incidents(story)] == ["resolved"]
    assert story.ask("select count(*) from actions where rule = 'by-text' and remote_sid <> ''")


@pytest.mark.slow
def test_texts_that_wait_for_their_turn_for_too_long_are_an_incident(begin: Begin) -> None:
    """Forty texts at one in five seconds; the bound is a minute."""
    story = begin(rules=RULES, sender_rate=0.2, late_seconds=60)
    story.run(20.0)
    texts(story, count=40)
    told = until_told(story, 200.0)
    assert 60.0 <= told <= 90.0
    ((key, state, began, text),) = incidents(story)
    assert (key, state) == ("sending:backlog", "open")
    assert from_iso(began) == moment(story, "select min(planned_at) from actions")
    assert "sending is behind" in text
    story.run(story.clock.now + 200.0)
    assert [row[:2] for row in incidents(story)] == [(key, "resolved")]
    assert story.notices == ["incident.opened sending", "incident.resolved sending"]


@pytest.mark.slow
def test_what_leaves_by_and_by_after_a_stoppage_is_no_second_incident(begin: Begin) -> None:
    """Forty texts that were held leave at one in five seconds; the bound is a minute."""
    story = begin(rules=RULES, sender_rate=0.2, late_seconds=60)
    story.run(20.0)
    become(story, faults("401", "401"))
    texts(story, count=40)
    story.run(story.clock.now + 100.0)
    story.calm_down()
    story.run(story.clock.now + 400.0)
    assert story.ask("select count(*) from actions where state = 'planned'") == [(0,)]
    assert [row[:2] for row in incidents(story)] == [("sending", "resolved")]


def test_a_pause_is_a_person_s_wish_and_no_incident(begin: Begin) -> None:
    """Nor is what has gathered in it one when it ends."""
    story = begin(rules=RULES, late_seconds=60)
    story.run(20.0)
    assert story.life is not None
    story.life.ask("pause")
    story.run(21.0)
    texts(story, count=5)
    story.run(600.0)
    assert incidents(story) == []
    story.life.ask("resume")
    story.run(700.0)
    assert story.ask("select count(*) from actions where remote_sid <> ''") == [(5,)]
    assert incidents(story) == []


def test_resume_asks_the_gateway_at_once(begin: Begin) -> None:
    """A person has mended it: nobody waits until the pause of the breaker is over."""
    story = begin(rules=RULES)
    story.run(20.0)
    become(story, faults("401", "401"))
    texts(story)
    story.run(900.0)
    story.calm_down()
    assert story.life is not None
    asked = story.life.ask("resume")
    story.run(907.0)
    assert asked.result()["state"] == "stopped"
    assert "the credentials were refused" in asked.result()["why"]
    assert story.ask("select count(*) from actions where remote_sid <> ''") == [(1,)]


def test_a_node_without_credentials_keeps_what_it_is_to_send(begin: Begin) -> None:
    """It says so, and when it has some, all goes out."""
    story = begin(rules=RULES, auth_tokens=())
    story.run(20.0)
    texts(story, count=2)
    assert until_told(story, 60.0) <= 10.0
    ((_, state, began, text),) = incidents(story)
    assert (state, near(began, moment(story, "select min(planned_at) from actions"))) == (
        "open", True,
    )  # fmt: skip
    assert "no gateway is configured; 2 actions wait. Set MATON_API_KEY" in text
    for (reason,) in story.ask("select reason from actions where rule = 'answer'"):
        assert reason.startswith("held since ")
    story.kill()
    story._settings = replace(story._settings, auth_tokens=("0123456789abcdef" * 2,))
    story.start()
    story.run(story.clock.now + 100.0)
    assert story.ask("select count(*) from actions where remote_sid <> ''") == [(2,)]
    assert [row[1] for row in incidents(story)] == ["resolved"]


def test_a_worker_tells_that_those_before_it_kept_ending(begin: Begin) -> None:
    """The disk had refused what they wrote, so none of them could. It is over when this one has
    lived for a while."""
    story = begin(rules=RULES)
    story.run(40.0)
    story.kill()
    story.run(60.0)
    story.start()
    assert story.life is not None
    since = story.life.runtime.now() - timedelta(seconds=20)
    story.life.engine.sending.trouble = (since, "the worker has ended 9 times")
    story.run(63.0)
    assert story.ask("select kind, state, opened_at, text from incidents") == [
        ("worker", "open", iso(since), "the worker has ended 9 times")
    ]
    story.run(80.0)
    assert story.ask("select state from incidents") == [("resolved",)]
    assert story.notices == ["incident.opened worker", "incident.resolved worker"]


def test_a_look_that_fails_shows_and_is_well_again(begin: Begin) -> None:
    """What no webhook brought is not fetched back: the health page and the doctor say so."""
    story = begin(rules=RULES)
    become(story, faults("none", "500"))
    story.run(10.0)
    assert story.life is not None
    failing = story.life.engine.watch.failing
    assert list(failing) == ["repair"]
    began, why = failing["repair"]
    assert "500" in why
    story.run(400.0)
    assert failing["repair"][0] == began
    story.calm_down()
    story.run(story.clock.now + 400.0)
    assert failing == {}
