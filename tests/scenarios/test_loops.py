"""Loops of our own actions: the end of every kind, within depth, pace and budget."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringback.plugins.loader import load_plugins
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from simulation import life
from simulation.story import Story

ANN = "+15551000001"
REPLY = """
rules:
  - name: hello
    on: message.received
    do: [{reply: Hello.}]
"""
HTTP = "{http: {url: 'https://crm.example.org/${{ event.cause.rule }}'}}"
NOTIFY = "{notify: {text: 'It is ${{ event.type }}.'}}"
Begin = Callable[..., Story]


def told(story: Story) -> list[tuple[str, str]]:
    """Key and state of each incident."""
    rows = story.ask("select key, state from incidents order by id")
    return [(str(key), str(state)) for key, state in rows]


def made(story: Story, rule: str) -> int:
    """How many actions of a rule were carried out."""
    where = f"rule = '{rule}' and state = 'settled'"
    return int(story.ask(f"select count(*) from actions where {where}")[0][0])


def at_rest(story: Story) -> bool:
    """Whether nothing happens any more."""
    story.run(story.clock.now + 120.0)
    count = "select (select count(*) from actions), (select count(*) from events)"
    before = story.ask(count)
    story.run(story.clock.now + 30.0)
    return story.ask(count) == before and not story.open()


@pytest.mark.parametrize(
    ("on", "steps", "most"),
    [
        ("action.settled", HTTP, 4),
        ("action.settled", NOTIFY, 4),
        ("[action.settled, action.refused, action.failed]", NOTIFY, 4),
        ("action.settled", f"{HTTP}, {HTTP}, {HTTP}", 8),
        ("action.settled", f"{NOTIFY}, {HTTP}, {NOTIFY}, {NOTIFY}, {NOTIFY}", 10),
    ],
)
def test_a_rule_that_hears_of_its_own_notices_and_requests_ends(
    begin: Begin, on: str, steps: str, most: int
) -> None:
    """Of one text: as deep as five, and where each has several, at the pace of five rounds."""
    story = begin(rules=f"{REPLY}  - {{name: crm, on: {on}, do: [{steps}]}}\n")
    story.receive(story.text("hi", ANN))
    assert at_rest(story)
    assert len(story.twilio.records) == 1
    assert 1 < len(story.notices) == made(story, "crm") <= most
    assert told(story) == [("loop:crm", "open")]


def test_rules_that_cause_each_other_end(begin: Begin) -> None:
    rules = "".join(
        f"  - {{name: {name}, on: action.settled, do: [{step}]}}\n"
        for name, step in (("crm", HTTP), ("pager", NOTIFY), ("board", HTTP))
    )
    story = begin(rules=REPLY + rules)
    story.receive(story.text("hi", ANN))
    assert at_rest(story)
    assert len(story.notices) < 40
    assert {("loop:crm", "open"), ("loop:pager", "open"), ("loop:board", "open")} == {*told(story)}


def test_what_each_text_causes_goes_on_beside_a_loop(begin: Begin) -> None:
    """The first round after each reply is no loop, however many replies there are."""
    story = begin(rules=f"{REPLY}  - {{name: crm, on: action.settled, do: [{HTTP}]}}\n")
    for person in range(12):
        story.receive(story.text("hi", f"+1555100{person:04d}"))
    assert at_rest(story)
    assert story.notices.count("https://crm.example.org/hello") == 12
    assert len(story.notices) <= 12 + 5


@pytest.mark.parametrize("tagged", [True, False])
def test_texts_that_answer_their_own_delivery_end(begin: Begin, tagged: bool) -> None:
    """With the tag of the attempt and without: Event Streams and a service's callback have none."""
    rules = """
rules:
  - name: chain
    on: [message.received, message.delivered]
    do: [{send: {to: "+15551000001", body: "After ${{ event.sid }}"}}]
"""
    story = begin(rules=rules)
    if not tagged:
        deliver = story.twilio._deliver
        story.twilio._deliver = lambda route, _, fields: deliver(route, "", fields)
    story.receive(story.text("hi", ANN))
    assert at_rest(story)
    assert len(story.twilio.records) == 5
    assert told(story) == [("loop:chain", "open")]


@pytest.mark.parametrize("wish", ["notify('It ended.')", "HttpRequest('https://crm.example.org/')"])
def test_a_hook_that_acts_on_the_ends_of_its_own_actions_ends(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "tell.py").write_text(
        "from ringback import HttpRequest, hookimpl, notify\n\n\n"
        f"@hookimpl\ndef on_settled(action, ctx):\n    return {wish}\n"
    )
    (folder / "rules.yaml").write_text(REPLY)
    loaded, real = load_rules([folder / "rules.yaml"]), load_plugins(folder)
    assert not real.problems
    ruleset: Any = RuleSet(loaded.rules, loaded.language)
    given = life.Rules(ruleset, real)
    monkeypatch.setattr(life, "rules", lambda: given)
    story = begin()
    story.receive(story.text("hi", ANN))
    assert at_rest(story)
    assert len(story.twilio.records) == 1
    assert 1 < len(story.notices) <= 5
    assert told(story) == [("loop:tell.on_settled", "open")]


@pytest.mark.slow
def test_a_loop_is_over_ten_minutes_after_its_last_round(begin: Begin) -> None:
    story = begin(rules=f"{REPLY}  - {{name: crm, on: action.settled, do: [{HTTP}]}}\n")
    story.receive(story.text("hi", ANN))
    story.run(300.0)
    story.kill()
    story.start()
    assert told(story) == [("loop:crm", "open")]
    ((fields,),) = story.ask("select details from incidents")
    assert json.loads(fields)["Fault"] == "ours"
    assert "--rule crm" in json.loads(fields)["Mend"]
    story.run(300.0 + 900.0)
    assert told(story) == [("loop:crm", "resolved")]


@pytest.mark.slow
def test_notices_and_requests_have_a_budget_of_the_hour_and_the_day(begin: Begin) -> None:
    """Whatever began them. Texts are counted by themselves, and a restart forgets nothing."""
    rules = f"""
rules:
  - name: forward
    on: message.received
    do: [{HTTP}, {{reply: Noted.}}]
  - name: page
    on: message.received
    budget: {{per_day: 3}}
    do: [{NOTIFY}, {{reply: Paged.}}]
"""
    story = begin(rules=rules, notices_per_hour=10)
    for number in range(6):
        if number == 4:
            story.kill()
            story.start()
        story.receive(story.text(f"text {number}", f"+1555100{number:04d}"))
        story.run(story.clock.now + 5.0)
    paged = "select count(*) from actions where rule = 'page' and kind = '{}' and state = 'settled'"
    assert story.ask(paged.format("notify")) == [(3,)]
    assert ("budget:page", "open") in told(story)
    for number in range(6, 10):
        story.receive(story.text(f"text {number}", f"+1555100{number:04d}"))
        story.run(story.clock.now + 5.0)
    assert len(story.notices) == 10
    assert len(story.twilio.records) == 10 + 3
    ((why,),) = story.ask(
        "select reason from actions where rule = 'forward' and state = 'refused' limit 1"
    )
    assert "RINGBACK_NOTICES_PER_HOUR" in why
    story.run(story.clock.now + 3700.0)
    story.receive(story.text("later", ANN))
    story.run(story.clock.now + 5.0)
    assert len(story.notices) == 11
