"""Groups of people and fields of contacts in rule files, and on a bench."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ringback.actions import Broadcast, SendMessage, SetMember
from ringback.rules.files.load import load_rules
from ringback.rules.language.membership import Group
from ringback.testing import Bench, broadcast_ended, sms

HEAD = "groups: {news: {}, drivers: {from: contacts/drivers.csv}}\nrules:\n"
RULE = '  - {{name: a, on: message.received, if: "{}", do: [{}]}}\n'
MEXICO = ("+525512345678", "+5215512345678")
"""One telephone, as two networks write it."""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write a project with one rule file, and drivers; its folder."""

    def write(text: str, drivers: str = "number,name\n+15550001111,Ada\n") -> Path:
        for folder in ("rules", "contacts"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "rules" / "a.yaml").write_text(text)
        (tmp_path / "contacts" / "drivers.csv").write_text(drivers)
        return tmp_path

    return write


WRONG = {
    "event.from in groups.nws": "unknown field 'groups.nws'; did you mean 'groups.news'?",
    "groups.news.size() > 0": "groups.news is a group; ask with `in`: event.from in groups.news",
    "groups.news == groups.drivers": "groups.news is a group; ask with `in`",
    "event.from + '0' in groups.news": "only a value that stands for itself can be looked up",
    "['a'].exists(x, x in groups.news)": "only a value that stands for itself can be looked up",
    "event.media_count in groups.news": "can't look for int",
    "contact.nam == ''": "unknown field 'contact.nam'; did you mean 'contact.name'?",
}


@pytest.mark.parametrize("condition", WRONG)
def test_a_group_stands_behind_in_and_nowhere_else(
    condition: str, project: Callable[..., Path]
) -> None:
    """Whatever else is asked of it is a mistake with the mend."""
    folder = project(HEAD + RULE.format(condition, "stop"))
    found = [str(each) for each in load_rules(folder / "rules").problems]
    assert WRONG[condition] in found[0], found
    assert found[0].startswith("rules/a.yaml:3:")


STEPS = {
    "join: nws": "no group is named 'nws'; did you mean 'news'?",
    "join: drivers": "the members of 'drivers' are those of contacts/drivers.csv; change that file",
    "leave: {group: news, who: 15550001111}": "has no +",
    "leave: {}": "'group' is missing",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_names_a_group_that_it_can_change(step: str, project: Callable[..., Path]) -> None:
    folder = project(HEAD + RULE.format("true", f"{{{step}}}"))
    found = [str(each) for each in load_rules(folder / "rules").problems]
    assert len(found) == 1, found
    assert STEPS[step] in found[0]


def test_a_schedule_has_nobody_who_could_join(project: Callable[..., Path]) -> None:
    """Unless somebody is named."""
    rule = "  - {{name: a, schedule: '0 9 * * *', do: [join: {}]}}\n"
    folder = project(HEAD + rule.format("news"))
    (problem,) = load_rules(folder / "rules").problems
    assert "'join' needs somebody on the other side" in problem.message
    assert load_rules(
        project(HEAD + rule.format("{group: news, who: +15550001111}")) / "rules"
    ).rules


def test_every_line_of_a_file_that_is_wrong_is_named(project: Callable[..., Path]) -> None:
    """With its number; and a file that is not there, at the word that names it."""
    lines = "name;Phone\nAda;+1 555 000 1111\nBob;5550002222\nEve\nDan;+1;x\n"
    folder = project(HEAD + RULE.format("true", "stop"), lines)
    found = [str(each) for each in load_rules(folder / "rules").problems]
    assert [each.partition(": ")[0] for each in found] == [
        f"contacts/drivers.csv:{line}:1" for line in (3, 4, 5)
    ]
    wrong = ("has no +", "is missing", "3 values")
    assert [what in each for what, each in zip(wrong, found, strict=True)] == [True] * 3
    (folder / "contacts" / "drivers.csv").write_text("who,name\n+15550001111,Ada\n")
    (problem,) = load_rules(folder / "rules").problems
    assert "no column is named number: who, name" in str(problem)
    outside = project(HEAD.replace("contacts/", "../contacts/") + RULE.format("true", "stop"))
    (problem,) = load_rules(outside / "rules").problems
    assert "is not in the folder contacts of the project" in problem.message
    folder = project(HEAD + RULE.format("true", "stop"))
    (folder / "contacts" / "drivers.csv").unlink()
    (problem,) = load_rules(folder / "rules").problems
    assert str(problem).startswith("rules/a.yaml:1:36: file: contacts/drivers.csv: there is no")


@pytest.mark.parametrize("written", [*MEXICO, f"whatsapp:{MEXICO[1]}", "+52 55 1234-5678"])
def test_a_number_is_a_member_in_every_spelling(written: str, project: Callable[..., Path]) -> None:
    """From a file and from the journal, on every channel."""
    condition = "event.from in groups.news && event.from in groups.drivers"
    folder = project(HEAD + RULE.format(condition, "reply: Hi"), f"number\n{written}\n")
    bench = Bench.load(folder)
    bench.know(written, groups=["news"])
    for sender in (*MEXICO, f"whatsapp:{MEXICO[0]}", f"whatsapp:{MEXICO[1]}"):
        assert bench.react(sms("x", from_=sender)).fired == ["a"], sender
    assert bench.react(sms("x", from_="+525512345679")).fired == []


def test_a_run_sees_whom_it_has_put_into_a_group(project: Callable[..., Path]) -> None:
    """In the step behind it, before anything is written; and whom it took out."""
    choose = (
        "choose: [{if: 'event.from in groups.news', do: [{reply: in}]}, {else: [{reply: out}]}]"
    )
    steps = f"{{join: news}}, {{{choose}}}, {{leave: news}}, {{{choose}}}"
    bench = Bench.load(project(HEAD + RULE.format("true", steps)))
    made = bench.react(sms("x", from_="+15550001111")).by["a"]
    assert [getattr(each, "body", getattr(each, "member", None)) for each in made] == [
        True, "in", False, "out",
    ]  # fmt: skip
    assert made[0] == SetMember("news", "+15550001111")


def test_fields_of_a_contact_are_what_was_said_last(project: Callable[..., Path]) -> None:
    """Imported, then remembered in the conversation, then forgotten."""
    body = "${{ contact.name }}/${{ contact.field('city') }}/${{ remembered('name') }}"
    steps = (f'{{reply: "{body}"}}', "{remember: {name: Eve}}", "{forget: name}")
    words = ("who", "set", "drop")
    rules = (
        RULE.format(f"event.body == '{word}'", step).replace("name: a", f"name: {word}")
        for word, step in zip(words, steps, strict=True)
    )
    bench = Bench.load(project(HEAD + "".join(rules)))
    bench.know(sms("x").theirs, name="Ada", city="Bonn")
    told = [bench.react(sms(word)) for word in ("who", "set", "who", "drop", "who")]
    said = [each.body for one in told for each in one.actions if isinstance(each, SendMessage)]
    assert said == ["Ada/Bonn/Ada", "Eve/Bonn/Eve", "/Bonn/"]


def test_a_broadcast_is_played_in_python(project: Callable[..., Path]) -> None:
    """Its end wakes the run that waits for its result, and no other."""
    step = "{broadcast: {to: groups.news, body: Hi, as: done}}, {reply: '${{ done.text }}'}"
    bench = Bench.load(project(HEAD + RULE.format("true", step)))
    (made,) = bench.react(sms("x")).actions
    assert isinstance(made, Broadcast)
    assert (made.to, made.rate) == ("groups.news", 10.0)
    assert bench.react(broadcast_ended(replace(made, key="blk_other"))).actions == ()
    (said,) = bench.react(broadcast_ended(made, sent=2, failed=1)).actions
    assert isinstance(said, SendMessage)
    assert said.body == "sent 2, refused 0, failed 1"


RATES = {"10/s": "", "30/m": "", "600/h": "", "0/s": "is no rate", "101/s": "is no rate",
         "fast": "is no rate", "10": "is no rate"}  # fmt: skip


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_says_how_many_in_which_time(rate: str, project: Callable[..., Path]) -> None:
    step = f"{{broadcast: {{to: groups.drivers, body: Hi, rate: {rate}}}}}"
    folder = project(HEAD + RULE.format("true", step))
    found = [str(each) for each in load_rules(folder / "rules").problems]
    assert [RATES[rate] in each for each in found] == ([True] if RATES[rate] else [])


def test_a_broadcast_goes_to_a_group(project: Callable[..., Path]) -> None:
    """By its whole name, to one that is there."""
    for to, why in (("news", "write groups.news"), ("groups.nws", "did you mean 'news'?")):
        step = f"{{broadcast: {{to: {to}, body: Hi}}}}"
        (problem,) = load_rules(project(HEAD + RULE.format("true", step)) / "rules").problems
        assert why in str(problem)


def test_a_group_has_its_file_among_those_that_are_watched(project: Callable[..., Path]) -> None:
    folder = project(HEAD + RULE.format("true", "stop"))
    loaded = load_rules(folder / "rules")
    assert folder / "contacts" / "drivers.csv" in loaded.files
    assert loaded.language.groups["news"] == Group()
