"""Escalation with the real worker: steps, hours, answers and the end of an incident."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from ringback.cli.main import run
from ringback.incident_links import KEY
from ringback.worker.match.judge import ACKNOWLEDGED
from simulation.story import Story

Begin = Callable[..., Story]
ANNA, BEN, STRANGER = "+15551000001", "+15551000002", "+15551000009"
CHANNELS = {
    "chat": {"kind": "slack", "url": "https://chat.example.org/hook"},
    "anna": {"kind": "text", "to": ANNA},
    "ben": {"kind": "text", "to": BEN},
    "bell": {"kind": "call", "to": BEN},
}
POLICY = {
    "critical": ["trial"],
    "hours": {"tz": "UTC", "open": "daily 00:00-24:00"},
    "steps": [
        {"tell": "chat", "wait": "5m"},
        {"tell": "anna", "wait": "10m"},
        {"tell": ["ben"], "wait": "10m"},
    ],
}
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said: ${{ event.body }}"}]
"""


def start(begin: Begin, **changed: Any) -> Story:
    """A node with people on call."""
    return begin(rules=RULES, channels=CHANNELS, escalations={"oncall": {**POLICY, **changed}})


def happen(story: Story, work: str, *args: str) -> None:
    """Open or resolve an incident, as the watches of the worker do it."""
    assert story.life is not None
    task = story.life.loop.create_task(getattr(story.life.engine.incidents, work)(*args))
    story.run(story.clock.now + 3.0)
    task.result()


def decide(story: Story, **more: object) -> None:
    """What a person says by the shell, as the worker takes it."""
    assert story.life is not None
    task = story.life.loop.create_task(story.life.control.handle({"op": "incident", **more}))
    story.run(story.clock.now + 1.0)
    task.result()


def texts(story: Story, to: str) -> list[str]:
    """The texts that somebody got."""
    return [
        json.loads(params)["body"]
        for (params,) in story.ask(
            "select params from actions where kind = 'send_message' "
            "and state in ('accepted', 'settled') "
            f"and json_extract(params, '$.to') = '{to}' order by id"
        )
    ]


def after(story: Story, seconds: float) -> None:
    story.run(story.clock.now + seconds)


@pytest.mark.slow
def test_one_after_the_other_is_told_until_it_is_over(begin: Begin) -> None:
    """The chat, then Anna, then Ben, each once, also when the worker dies between two steps; all of
    them hear of the end, and nobody else is told."""
    story = start(begin)
    happen(story, "open", "trial", "trial", "little space is left")
    (notice,) = story.notices
    assert "\nAcknowledge: https://hooks.example.org/incident/inc_" in notice
    story.kill()
    after(story, 200.0)
    story.start()
    assert texts(story, ANNA) == []
    after(story, 200.0)
    (told,) = texts(story, ANNA)
    assert told.startswith("little space is left Reply OK ")
    story.kill()
    story.start()
    after(story, 300.0)
    assert (len(texts(story, ANNA)), texts(story, BEN)) == (1, [])
    after(story, 400.0)
    assert len(texts(story, BEN)) == 1
    happen(story, "resolve", "trial", "trial", "")
    after(story, 3000.0)
    assert len(story.notices) == 2
    for person in (ANNA, BEN):
        _, over = texts(story, person)
        assert over.startswith("Incident ")
        assert over.endswith("is over: little space is left")


def reply(story: Story, sender: str, body: str) -> None:
    """A text comes in, and whatever follows happens."""
    story.receive(story.text(body, sender))
    after(story, 5.0)


def test_who_is_called_is_told_of_the_end_by_a_text(begin: Begin) -> None:
    """The call reads out what is wrong; the end rings nobody's bell."""
    story = start(begin, steps=[{"tell": "bell"}])
    happen(story, "open", "trial", "trial", "little space is left")
    calls = "select json_extract(params, '$.to'), params from actions where kind = 'place_call'"
    ((to, params),) = story.ask(calls)
    assert to == BEN
    assert "little space is left" in params
    happen(story, "resolve", "trial", "trial", "")
    after(story, 60.0)
    assert len(story.ask(calls)) == 1
    (over,) = texts(story, BEN)
    assert over.endswith("is over: little space is left")


STATE = "select key, acked_by from incidents order by id"


@pytest.mark.slow
def test_a_reply_of_somebody_who_was_told_ends_it(begin: Begin) -> None:
    """A stranger's ok and that of who was not told yet are ordinary texts. Anna's is answered once,
    by no rule; the next people are not told, and she is told of the end."""
    story = start(begin)
    happen(story, "open", "trial", "trial", "little space is left")
    after(story, 310.0)
    reply(story, STRANGER, "ok")
    reply(story, BEN, "ok")
    assert texts(story, STRANGER) == texts(story, BEN) == ["You said: ok"]
    reply(story, ANNA, "OK!")
    reply(story, ANNA, "Okay\uff1f")
    assert texts(story, ANNA)[-1] == "You said: Okay\uff1f"
    reply(story, ANNA, "Okay.")
    _, first, _, second = texts(story, ANNA)
    assert first.endswith(" is acknowledged: little space is left")
    assert second.endswith(" was acknowledged before: little space is left")
    assert story.ask(STATE) == [("trial", f"text from {ANNA}")]
    after(story, 3000.0)
    assert texts(story, BEN) == ["You said: ok"]
    happen(story, "resolve", "trial", "trial", "")
    after(story, 10.0)
    assert texts(story, ANNA)[-1].endswith("is over: little space is left")
    reply(story, ANNA, "ok")
    assert texts(story, ANNA)[-1] == "You said: ok"


@pytest.mark.slow
def test_of_two_incidents_the_newest_or_the_named_one_is_meant(begin: Begin) -> None:
    """Both told to one person at once."""
    story = start(begin, steps=[{"tell": "anna", "wait": "10m"}, {"tell": "ben"}])
    happen(story, "open", "one", "trial", "the first")
    happen(story, "open", "two", "trial", "the second")
    happen(story, "open", "three", "trial", "the third")
    ((uid,),) = story.ask("select uid from incidents where key = 'one'")
    reply(story, ANNA, f"ok {uid[-4:]}")
    assert dict(story.ask(STATE)) == {"one": f"text from {ANNA}", "two": "", "three": ""}
    reply(story, ANNA, "ok")
    assert dict(story.ask(STATE))["three"]
    reply(story, ANNA, "ok thanks")
    assert texts(story, ANNA)[-1] == "You said: ok thanks"
    after(story, 700.0)
    (told,) = texts(story, BEN)
    assert told.startswith("the second")


def test_an_answer_outlives_a_crash_between_it_and_what_it_does(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is matched, and then the worker dies."""
    story = start(begin, steps=[{"tell": "anna"}])
    happen(story, "open", "trial", "trial", "little space is left")
    assert story.life is not None
    story.life.engine.escalator.acknowledgements.people = {}  # this life does nothing about it
    monkeypatch.setattr(story.life.engine.matcher, "taken", lambda *_: ACKNOWLEDGED)
    reply(story, ANNA, "ok")
    assert story.ask(STATE) == [("trial", "")]
    story.kill()
    story.start()
    after(story, 5.0)
    assert story.ask(STATE) == [("trial", f"text from {ANNA}")]
    assert len(texts(story, ANNA)) == 2


@pytest.mark.slow
def test_a_policy_that_changed_goes_on_from_the_next_step(begin: Begin) -> None:
    """Anna is on holiday now: the second step of the new list is Ben's, and nothing comes again. Of
    a policy that is no more nobody is told but of the end."""
    story = start(begin)
    happen(story, "open", "trial", "trial", "little space is left")
    change(story, {"oncall": {**POLICY, "steps": [{"tell": "chat"}, {"tell": "ben"}]}})
    after(story, 310.0)
    assert (len(story.notices), texts(story, ANNA), len(texts(story, BEN))) == (1, [], 1)
    change(story, {"other": POLICY})
    after(story, 4000.0)
    happen(story, "resolve", "trial", "trial", "")
    after(story, 10.0)
    assert (len(story.notices), texts(story, ANNA), len(texts(story, BEN))) == (2, [], 2)


def change(story: Story, escalations: dict[str, object]) -> None:
    """New settings: the worker starts again with them."""
    story.kill()
    story._settings = replace(story._settings, escalations=escalations)
    story.start()


def test_the_shell_shows_who_was_told_and_what_comes_next(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    """And who acknowledged it how."""
    story = start(begin)
    happen(story, "open", "trial", "trial", "little space is left")
    after(story, 310.0)
    show = ["--data", str(story.folder), "incidents", "show", "trial"]
    assert run(show) == 0
    shown = capsys.readouterr().out
    assert "told      chat at " in shown
    assert "told      anna at " in shown
    assert "step 2 of oncall" in shown
    assert "next      step 3 of oncall at " in shown
    reply(story, ANNA, "ok")
    assert run(show) == 0
    shown = capsys.readouterr().out
    assert f", by text from {ANNA}" in shown
    assert "next " not in shown


@pytest.mark.parametrize("said", [{"ack": True}, {"mute": 3600}])
def test_what_the_shell_says_stops_it(begin: Begin, said: dict[str, object]) -> None:
    """Nobody else is told."""
    story = start(begin, steps=[{"tell": "chat", "wait": "5m"}, {"tell": "anna"}])
    happen(story, "open", "trial", "trial", "little space is left")
    ((uid,),) = story.ask("select uid from incidents")
    decide(story, uid=uid, **said)
    after(story, 1000.0)
    assert (len(story.notices), texts(story, ANNA)) == (1, [])


@pytest.mark.parametrize("said", [{"ack": True}, {"mute": 3600}, None])
def test_a_notice_that_has_not_left_is_withdrawn(
    begin: Begin, said: dict[str, object] | None
) -> None:
    """Sending is paused while Anna's turn comes. Somebody acknowledges, mutes, or it is over: she
    is told nothing when sending goes on, and not of an end of what she never heard of."""
    story = start(begin, steps=[{"tell": "anna"}, {"tell": "ben"}])
    after(story, 1.0)
    decide(story, op="pause")
    happen(story, "open", "trial", "trial", "little space is left")
    ((uid, state),) = story.ask("select i.uid, a.state from incidents i, actions a")
    assert state == "planned"
    if said is not None:
        decide(story, uid=uid, **said)
    happen(story, "resolve", "trial", "trial", "")
    decide(story, op="resume")
    after(story, 60.0)
    assert story.ask("select state from actions") == [("cancelled",)]
    assert story.ask("select told from incidents") == [("[]",)]


def test_without_policies_an_incident_costs_no_further_write(begin: Begin) -> None:
    """Nobody is to be told: nothing is due, and nothing is written to say so."""
    story = begin(rules=RULES, channels=CHANNELS)
    with closing(sqlite3.connect(story.folder / "journal.db")) as beside, beside:
        beside.execute("create table moved (due text)")
        beside.execute(
            "create trigger moves after update of step_due on incidents when old.step is new.step "
            "begin insert into moved values (new.step_due); end"
        )
    happen(story, "open", "trial", "trial", "little space is left")
    after(story, 200.0)
    assert story.ask("select step_due from incidents") == [(None,)]
    assert story.ask("select * from moved") == []


def test_a_notice_goes_without_its_link_when_the_key_is_damaged(begin: Begin) -> None:
    """It says what is wrong all the same."""
    story = start(begin)
    (story.folder / KEY).write_bytes(b"")
    happen(story, "open", "trial", "trial", "little space is left")
    (notice,) = story.notices
    assert "little space is left" in notice
    assert "Acknowledge" not in notice


def test_a_step_that_reaches_nobody_is_not_waited_for(begin: Begin) -> None:
    """Anna's number left us, so the text to her is refused: Ben is told at once."""
    story = start(begin, steps=[{"tell": "anna", "wait": "2h"}, {"tell": "ben"}], rounds=2)
    reply(story, ANNA, "STOP")
    happen(story, "open", "trial", "trial", "little space is left")
    after(story, 5.0)
    (told,) = texts(story, BEN)
    assert told.startswith("little space is left")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "outside", "first", "second"), [
    ("trial", "wait", 0, 1), ("urgent", "wait", 1, 1), ("trial", "next", 0, 0),
])  # fmt: skip
def test_what_is_not_critical_waits_for_the_morning(
    begin: Begin, kind: str, outside: str, first: int, second: int
) -> None:
    """Anna's hours begin one hour from now; what is critical passes, or another step has its
    turn, whose people may be told at any hour."""
    story = start(begin)
    now = story.clock.wall()
    story.end()
    opens = (int(now // 60) + 60) % 1440
    hours = {"tz": "UTC", "open": f"daily {opens // 60:02d}:{opens % 60:02d}-{_later(opens)}"}
    steps = [
        {"tell": "anna", "wait": "3h", "hours": hours, "outside": outside},
        {"tell": "chat"},
    ]
    story = start(begin, steps=steps, critical=["urgent"])
    happen(story, "open", "trial", kind, "little space is left")
    assert len(texts(story, ANNA)) == first
    assert len(story.notices) == (outside == "next")
    after(story, 3700.0)
    assert len(texts(story, ANNA)) == second


def _later(minute: int) -> str:
    later = (minute + 120) % 1440
    return f"{later // 60:02d}:{later % 60:02d}"
