"""Edge cases of rules: what fails late, what is too much, what is missing."""

import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringback.actions import AnswerCall, PlaceCall
from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files import load
from ringback.rules.files.load import compile_rule, load_rules
from ringback.rules.functions.function import Function
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.scope import NoFacts, Scope
from ringback.rules.language.templates import as_text
from ringback.rules.model import Rule, RuleSpec
from ringback.rules.timing.holidays import holidays_of
from ringback.verbs import Gather, Play

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
FACTS = NoFacts()
TEXT = Event(
    "e", "message.received", NOON, NOON, sender="+15551234567", recipient="+15557654321",
    subject_sid="SM1", conversation="+15557654321/+15551234567", fields={"Body": "abc"},
)  # fmt: skip
CALL = Event(
    "e", "call.received", NOON, NOON, sender="+15551234567", recipient="+15557654321",
    subject_sid="CA1", conversation="+15557654321/+15551234567", fields={"CallSid": "CA1"},
)  # fmt: skip


def rule(tmp_path: Path, do: str) -> Rule:
    (tmp_path / "a.yaml").write_text(
        "hours: {never: {tz: UTC, open: 'mon 09:00-10:00', holidays: ["
        + ", ".join(f"2026-{month:02d}-{day:02d}" for month in (11, 12) for day in range(1, 31))
        + "]}}\n"
        f"rules:\n  - name: it\n    on: [message.received, call.received]\n    do:\n      - {do}\n"
    )
    loaded = load_rules(tmp_path)
    assert loaded.problems == []
    return loaded.rules[0]


def start(it: Rule, event: Event = TEXT) -> Progress:
    assert it.language is not None
    return begin(it, event, FACTS, NOON, places=it.language.hours)


@pytest.mark.parametrize(
    "do",
    [
        "wait_for: {key: '${{ int(event.body) }}'}",
        "stop: ${{ int(event.body) }}",
        "call: {to: '${{ int(event.body) }}', say: x}",
        "call: {to: +15550000001, do: [{say: '${{ int(event.body) }}'}]}",
        "remember: {a: '${{ int(event.body) }}'}",
        "http: {url: https://e.org, json: {a: [1, {b: '${{ int(event.body) }}'}]}}",
        "send: {to: ['${{ int(event.body) }}'], body: x}",
    ],
)
def test_a_text_that_fails_in_any_step_fails_the_run(tmp_path: Path, do: str) -> None:
    progress = start(rule(tmp_path, do))
    assert re.match(r"failed: step `\w+` \(line 6\): \$\{\{ int", progress.end)
    assert progress.actions == ()


def test_waiting_for_a_place_that_is_not_there_any_more_fails_the_run(tmp_path: Path) -> None:
    it = rule(tmp_path, "wait: {until_open: never}")
    assert begin(it, TEXT, FACTS, NOON, places={}).end.endswith("does not open within 400 days")


def test_no_option_means_go_on(tmp_path: Path) -> None:
    it = rule(tmp_path, "choose: [{if: 'false', do: [stop]}]\n      - notify: after")
    assert [getattr(action, "text", "") for action in start(it).actions] == ["after"]


def test_a_state_that_points_nowhere_fails_the_run(tmp_path: Path) -> None:
    it = rule(tmp_path, "wait: 5m")
    for at in ([7], [0, "missing", 0], ["x"], [0, "do", 3]):
        progress = resume(it, TEXT, FACTS, NOON, {"at": at, "wait": {}}, Wake())
        assert progress.end == "failed: the rule changed while this run waited"


def test_files_are_played_to_callers_and_callees(tmp_path: Path) -> None:
    it = rule(tmp_path, "call: {to: +15550000001, play: https://e.org/a.mp3}")
    assert start(it).actions == (PlaceCall("+15550000001", (Play("https://e.org/a.mp3"),)),)
    asked = start(rule(tmp_path, "gather: {play: https://e.org/a.mp3, digits: 1}"), CALL).actions
    assert isinstance(asked[0], AnswerCall)
    assert isinstance(asked[0].verbs[0], Gather)
    assert asked[0].verbs[0].prompts == (Play("https://e.org/a.mp3"),)


def test_too_many_rules_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_RULES", 3)
    lines = "".join(f"  - {{name: r{n}, on: message.received, do: [stop]}}\n" for n in range(9))
    (tmp_path / "a.yaml").write_text(f"rules:\n{lines}")
    assert [str(each)[-34:] for each in load_rules(tmp_path).problems] == [
        "a.yaml:5:5: limit: more than 3 rules"[-34:]
    ]


def test_functions_of_plugins_that_cannot_be_used_are_problems(tmp_path: Path) -> None:
    bad = Function("keyword", str, ("string",), "string", plugin="mine")
    good = Function("shout", str.upper, ("string",), "string", plugin="mine")
    (tmp_path / "a.yaml").write_text(
        "rules: [{name: a, on: message.received, if: \"shout('a') == 'A'\", do: [stop]}]\n"
    )
    loaded = load_rules(tmp_path, functions=[bad, good])
    assert [(each.file, each.kind) for each in loaded.problems] == [("mine", "function")]
    assert len(loaded.rules) == 1


def test_a_python_rule_has_no_steps_and_needs_no_source(tmp_path: Path) -> None:
    words: dict[str, Any] = {"on": "message.received", "do": ["stop"]}
    found = compile_rule(RuleSpec("a.b", print, words, str(tmp_path / "missing.py"), 5))
    assert isinstance(found, list)
    assert [(each.line, each.message) for each in found] == [(5, "a rule in Python has no `do`")]
    del words["do"]
    made = compile_rule(RuleSpec("a.b", print, words, str(tmp_path / "missing.py"), 5))
    assert isinstance(made, Rule)
    namespace: dict[str, Any] = {}
    exec("def handler(event): return None", namespace)
    again = compile_rule(RuleSpec("a.b", namespace["handler"], words, "missing.py", 5))
    assert isinstance(again, Rule)
    assert again.rev != made.rev


def test_conditions_that_do_not_fit_together_are_evaluated_alone() -> None:
    language = Language()
    deep = "(" * 27 + "true" + ")" * 27
    program = language.compile(deep)
    assert isinstance(program, Program)
    specs = [
        RuleSpec(f"r{n}", print, {"on": "message.received", "if": line}, "x.py", 1)
        for n, line in enumerate([deep, "event.body == 'abc'", "event.body == 'x'"])
    ]
    rules = [each for spec in specs if isinstance(each := compile_rule(spec, language), Rule)]
    match = RuleSet(rules).match(TEXT, FACTS)
    assert [each.name for each in match.fired] == ["r0", "r1"]
    assert match.verdicts == {"r2": "if:1"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"event.at.local('UTC', '{'x' * 61}')", "longer than 60 letters"),
        ("next_open('never', event.at)", "is not open within the next 400 days"),
    ],
)
def test_functions_refuse_what_makes_no_sense(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "a.yaml").write_text("hours: {never: {tz: UTC, open: 'mon 09:00-10:00'}}\n")
    language = load_rules(tmp_path).language
    places = {"never": type(language.hours["never"])("UTC", ())}
    program = language.compile(source, want=())
    assert isinstance(program, Program)
    found = program.evaluate(Scope(TEXT, FACTS, places=places))
    assert isinstance(found, Fault)
    assert reason in found.message


def test_what_is_no_number_has_no_parts() -> None:
    language = Language()
    for source, expected in [
        ("national('24242')", "24242"),
        ("calling_code('client:bob')", ""),
        ("country('anonymous')", ""),
        ("is_phone('24242')", False),
        ("is_phone('whatsapp:+14155552671')", True),
        ("phone_in('no number here', 'US')", ""),
        ("event.body.replace('', 'x')", "abc"),
    ]:
        program = language.compile(source, want=())
        assert isinstance(program, Program)
        assert program.evaluate(Scope(TEXT, FACTS)) == expected


def test_holidays_are_dates_or_need_a_package() -> None:
    assert [day.isoformat() for day in holidays_of(" 2026-12-25 ")] == ["2026-12-25"]
    with pytest.raises(ValueError, match="is no date"):
        holidays_of("2026-02-30")
    installed = importlib.util.find_spec("holidays") is not None
    if installed:
        assert any(day.month == 7 and day.day == 4 for day in holidays_of("US-NY"))
    with pytest.raises(
        ValueError, match="no holidays are known" if installed else "needs the package"
    ):
        holidays_of("Atlantis")


def test_values_of_every_kind_are_written_as_people_write_them() -> None:
    assert as_text({"a": [1, 2.5], "b": None}) == "a: 1, 2.5, b: "
