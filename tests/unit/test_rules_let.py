"""Values with names: typed when they are read, kept with their types over every wait."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import Loaded, load_rules
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.language.named_values import restored, saved
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
FACTS = NoFacts()


def text(body: str = "hi") -> Event:
    return Event(
        "evt_1", "message.received", NOON, NOON, sender="+15551234567", recipient="+15557654321",
        trust="signed", subject_sid="SM1", conversation="+15557654321/+15551234567",
        fields={"Body": body},
    )  # fmt: skip


def load(folder: Path, words: str) -> Loaded:
    head = "rules:\n  - name: it\n    on: message.received\n"
    (folder / "rules.yaml").write_text(
        head + "".join(f"    {line}\n" for line in words.split("\n"))
    )
    return load_rules(folder)


def rule(folder: Path, words: str) -> Rule:
    loaded = load(folder, words)
    assert loaded.problems == []
    return loaded.rules[0]


def said(progress: Progress) -> list[str]:
    return [getattr(each, "text", "") for each in progress.actions]


def go_on(it: Rule, before: Progress, wake: Event | None = None, seconds: float = 0) -> Progress:
    state = json.loads(json.dumps(before.state))
    return resume(it, text(), FACTS, NOON + timedelta(seconds=seconds), state, Wake(wake))


EVERY_TYPE = """let:
  n: ${{ size(event.body) }}
  half: 2.0
  yes: true
  word: a text
  at: ${{ event.at }}
  span: ${{ duration('90s') }}
  some: [1, 2]
  mixed: {a: 1, b: [x, 2.5, true], "$moment": no moment}
do:
  - let: {n: "${{ n + 1 }}", fresh: "${{ at + span }}"}
  - wait: 1h
  - notify: >-
      ${{ n }} ${{ half * 1.5 }} ${{ !yes }} ${{ word }} ${{ at.getHours() }}
      ${{ span > duration('1m') }} ${{ some[1] + 1 }} ${{ mixed.b[2] }} ${{ mixed['$moment'] }}
      ${{ fresh - at }} ${{ vars.n }}"""


def test_a_value_of_each_type_is_the_same_behind_a_wait(tmp_path: Path) -> None:
    it = rule(tmp_path, EVERY_TYPE)
    waits = begin(it, text(), FACTS, NOON)
    assert waits.wait is not None
    assert said(go_on(it, waits, seconds=3600)) == [
        "3 3 false a text 17 true 3 true no moment 1m30s 3"
    ]


def test_conditions_work_out_the_values_that_they_name(tmp_path: Path) -> None:
    it = rule(
        tmp_path,
        "let: {n: '${{ size(event.body) }}', more: '${{ n * 2 }}', who: 'x ${{ event.body }}'}\n"
        "if: [more > 4, \"vars.who == 'x abc'\"]\n"
        "key: ${{ who }}\n"
        "do: [{notify: '${{ more }}'}]",
    )
    rules = RuleSet([it])
    assert rules.match(text("abc"), FACTS).fired == (it,)
    assert rules.match(text("ab"), FACTS).verdicts["it"] == "if:1"
    assert rules.match(text("abd"), FACTS).verdicts["it"] == "if:2"
    assert it.key is not None


def test_what_ends_a_run_may_be_asked_about_values_that_steps_change(tmp_path: Path) -> None:
    it = rule(
        tmp_path,
        "let: {n: 1}\ncancel_on: {on: message.received, if: 'size(reply.body) == n'}\n"
        "do: [{let: {n: '${{ n + 2 }}'}}, {wait: 1h}]",
    )
    from ringback.rules.interpreter.answers import heeds

    state = begin(it, text(), FACTS, NOON).state
    assert it.cancel_on is not None
    found = [heeds(it.cancel_on, it, text(), state, text(body), FACTS, {}) for body in ("a", "abc")]
    assert found == [False, True]


def test_a_name_without_a_value_yet_is_empty(tmp_path: Path) -> None:
    branch = "{if: 'false', do: [{let: {n: 5, at: '${{ now }}', all: [1]}}]}"
    told = "{notify: '${{ n }} ${{ at.getFullYear() }} ${{ size(vars.all) }}'}"
    it = rule(tmp_path, f"do: [{{choose: [{branch}]}}, {told}]")
    assert said(begin(it, text(), FACTS, NOON)) == ["0 1970 0"]


def test_numbers_of_a_list_are_all_of_one_type(tmp_path: Path) -> None:
    told = "{notify: '${{ 0.5 + p.a }} ${{ p.b + l[0] }}'}"
    it = rule(tmp_path, f"let: {{p: {{a: 2, b: 1.5}}, l: [1, 2.5]}}\ndo: [{told}]")
    assert said(begin(it, text(), FACTS, NOON)) == ["2.5 2.5"]


def test_what_as_keeps_has_a_name_too(tmp_path: Path) -> None:
    it = rule(tmp_path, "do: [{wait_for: {as: day}}, {notify: '${{ day }} ${{ vars.day }}'}]")
    asked = begin(it, text(), FACTS, NOON)
    assert said(go_on(it, asked, text("friday"))) == ["friday friday"]


@pytest.mark.parametrize(
    ("words", "place", "wrong"),
    [
        ("let: {event: 5}\ndo: [hangup]", "4:11", "'event' is a word of the language already"),
        ("let: {A b: 5}\ndo: [{stop: x}]", "4:11", "'A b' is no name for a value"),
        ("let: {n: null}\ndo: [{stop: x}]", "4:14", "'n' cannot keep a null_type"),
        ("let: {n: ['${{ now }}']}\ndo: [{stop: x}]", "4:14", "'n' cannot keep a list(timestamp)"),
        ("let: {n: 99999999999999999999}\ndo: [{stop: x}]", "4:14", "'n' cannot keep a number of"),
        ("let: {n: '${{ m }}', m: 1}\ndo: [{stop: x}]", "4:19", "unknown name 'm'"),
        ("let: {n: '${{ reply.body }}'}\ndo: [{stop: x}]", "4:19", "'reply.body' is not known yet"),
        ("let: {n: 1}\nif: n == 'x'\ndo: [{stop: x}]", "5:11", "can't compare int with string"),
        ("let: {n: 'x ${{ 1.5 }}'}\nif: n == 'x'\ndo: [{stop: x}]", "5:9", "'n' is a text put"),
        ("let: {n: 1}\nif: '[1].exists(n, n > 1)'\ndo: [{stop: x}]", "5:10", "a value of `let`"),
        ("do: [{notify: '${{ n }}'}, {let: {n: 5}}]", "4:24", "unknown name 'n'"),
        ("do: [{let: {n: 5}}, {let: {n: '${{ n * 2.0 }}'}}]", "4:42", "can't multiply int and dou"),
        ("do: [{let: {n: 5}}, {let: {n: x}}]", "4:35", "'n' is string here, and int in line 4"),
        ("do: [{let: {n: 5}}, {wait_for: {as: n}}]", "4:41", "'n' is string here, and int in line"),
        ("do: [{let: {n: 5}}, {notify: '${{ m }} ${{ vars.m }}'}]", "4:39", "unknown name 'm'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    words: str, place: str, wrong: str, tmp_path: Path
) -> None:
    problems = [
        f"{each.line}:{each.column} {each.message}" for each in load(tmp_path, words).problems
    ]
    assert any(each.startswith(f"{place} {wrong}") for each in problems), problems


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("${{ int('abc') }}", "step `let` (line 4): n: ${{ int('abc') }}: "),
        ("${{ event.body + event.body }}", "the value has 20002 letters as JSON, 16384 at most"),
    ],
)
def test_a_value_that_cannot_be_kept_ends_the_run(value: str, why: str, tmp_path: Path) -> None:
    it = rule(tmp_path, f'do: [{{let: {{n: "{value}"}}}}, {{notify: x}}]')
    end = begin(it, text("x" * 10_000), FACTS, NOON)
    assert end.outcome[0] == "failed"
    assert why in end.outcome[1]


def test_all_values_of_a_run_are_bounded(tmp_path: Path) -> None:
    names = ", ".join(f"v{number}: '${{{{ event.body }}}}'" for number in range(5))
    end = begin(
        rule(tmp_path, f"let: {{{names}}}\ndo: [{{notify: x}}]"), text("x" * 15_000), FACTS, NOON
    )
    assert end.outcome == (
        "failed",
        "`let`: v4: all values of this run have more than 65536 letters as JSON",
    )


def test_steps_of_another_rule_have_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "rules:\n"
        "  - {name: a, on: message.received, let: {n: 5}, do: [{run: b}, {notify: '${{ n }}'}]}\n"
        "  - {name: b, on: message.received, do: [{notify: '${{ vars.n }}'}]}\n"
    )
    (problem,) = load_rules(tmp_path).problems
    assert (problem.line, problem.message) == (3, "no step keeps 'n'")


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.integers(0, 10**9).map(lambda each: NOON + timedelta(seconds=each))
SPANS = st.integers(-9999, 9999).map(lambda each: timedelta(seconds=each))
KEYS = st.sampled_from(["a", "$map", "$moment", "$seconds", "$"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | TIMES | SPANS,
    lambda inside: st.lists(inside) | st.dictionaries(KEYS, inside),
    max_leaves=8,
)


@settings(deadline=None, max_examples=25)
@given(VALUES)
def test_what_is_kept_is_the_same_with_its_type(value: Any) -> None:
    found = restored(json.loads(json.dumps(saved(value))))
    assert found == value
    assert repr(found) == repr(value)
