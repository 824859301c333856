"""Calls taken out of expressions: the same values, each made once, and no memory lost."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.events import Event
from ringback.rules.functions.function import Function
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.scope import NoFacts, Scope
from ringback.rules.timing.calendar import Hours, parse_open

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
EVENT = Event(
    "e", "message.received", NOON, NOON, sender="+15551234567", recipient="+15557654321",
    conversation="a/b", fields={"Body": "Hours, 42 please?", "FromCity": "LONDON"},
)  # fmt: skip
COUNTED: list[str] = []


def counted(text: str) -> bool:
    COUNTED.append(text)
    return True


LANGUAGE = Language(
    lists={"vip": ["+15551234567"]},
    hours={"office": Hours("America/New_York", parse_open("mon-fri 09:00-17:00"))},
    functions=[Function("counted", counted, ("string",), "bool")],
)


def scope() -> Scope:
    return Scope(EVENT, NoFacts(), places=LANGUAGE.hours)


def compiled(source: str) -> Program:
    program = LANGUAGE.compile(source, want=())
    assert isinstance(program, Program), program
    return program


def left_inside(program: Program) -> Program:
    """The same expression with its calls made by the library."""
    code = LANGUAGE._env.compile(program.source)
    needs = LANGUAGE._needs(program.source)
    return replace(program, running=program.source, hoisted=(), needs=needs, code=code)


@pytest.mark.parametrize(
    ("source", "running"),
    [
        ("event.body == 'x'", "event.body == 'x'"),
        ("event.body.keyword(['a', 'b'])", "bool__.k"),
        (
            "!is_open('office', event.at) && event.error_code in [1]",
            "!bool__.k && event.error_code in [1]",
        ),
        ("event.body.lower().contains('x')", "string__.k.contains('x')"),
        ("event.field('FromCity') == 'LONDON'", "string__.k == 'LONDON'"),
        ("next_open('office', event.at).local('UTC', '%H') == '17'", "string__.k == '17'"),
        ("event.body.matches('x') || matches(event.body, 'y')", "bool__.k || bool__.k"),
        ("(event.body + '!').upper()", "string__.k"),
        ("size(event.body.split(' ')) > 1", "size(list__.k) > 1"),
        ("event.at.getHours('UTC') > 8", "event.at.getHours('UTC') > 8"),
        ("[event.body].exists(x, x.lower() == 'a')", "[event.body].exists(x, x.lower() == 'a')"),
        ("lists.vip.exists(x, x == event.body.trim())", "lists.vip.exists(x, x == string__.k)"),
        ("event.body.keyword('a')  // why\n && true", "bool__.k  // why\n && true"),
        ("message_count() > 1", "message_count() > 1"),
        ("{'a': event.body.upper()}['a']", "{'a': string__.k}['a']"),
        ("event.body.part(0, 2) == 'Ho' ? number('7'.trim() + '1') : 1.0", None),
    ],
)
def test_calls_leave_the_expression(source: str, running: str | None) -> None:
    if running is None:
        assert isinstance(LANGUAGE.compile(source, want=()), list)
        return
    assert re.sub(r"__\.k\d+", "__.k", compiled(source).running) == running


CALLS = [
    "event.body.keyword('hours')",
    "event.body.keyword(['x', 'please'])",
    "is_phone(event.from)",
    "event.body.number() > 40.0",
    "event.body.part(0, 5).number() > 1.0",
    "event.body.lower().size() > 3",
    "event.body.matches('(?i)HOURS')",
    "event.body.matches(event.body + '(')",
    "is_open('office', event.at)",
    "is_open(event.body, event.at)",
    "event.field('FromCity').lower() == 'london'",
    "event.body.split(',').size() == 2",
    "['b', 'a'].join('-').upper() == 'B-A'",
    "event.body.word(1) == '42'",
    "event.from in lists.vip",
    "lists.vip.exists(x, x.digits_only() == '15551234567')",
    "replied_within(event.body)",
    "1 / event.error_code == 1",
    "event.at.local('Nowhere/Here' + '', '%H') == '1'",
    "('a' + event.body).begins_with('ahours')",
]
EXPRESSION = st.recursive(
    st.sampled_from(CALLS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(" ".join),
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, inner, inner).map(lambda three: "(({}) ? ({}) : ({}))".format(*three)),
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=80)
@given(EXPRESSION)
def test_the_value_is_what_the_library_gives(source: str) -> None:
    program = LANGUAGE.compile(source)
    if isinstance(program, list):
        return
    here, there = program.evaluate(scope()), left_inside(program).evaluate(scope())
    assert isinstance(here, Fault) is isinstance(there, Fault)
    assert isinstance(here, Fault) or here is there


def test_the_same_call_is_made_once_for_an_event() -> None:
    COUNTED.clear()
    programs = [compiled(f"counted(event.body) && {more}") for more in ("true", "1 == 1", "2 == 2")]
    together = LANGUAGE.batch(programs)
    assert together is not None
    here = scope()
    assert together.evaluate(here) == [True, True, True]
    assert [program.evaluate(here) for program in programs] == [True, True, True]
    assert len(COUNTED) == 1
    programs[0].evaluate(scope())
    assert len(COUNTED) == 2


def test_a_call_that_fails_matters_only_when_it_is_reached() -> None:
    assert compiled("false && event.body.part(0, 2).number() > 1.0").evaluate(scope()) is False
    found = compiled("true && event.body.part(0, 2).number() > 1.0").evaluate(scope())
    assert found == Fault("no number in the text")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    "source",
    [
        "event.body.keyword(['hours', 'open'])",
        "event.body.matches('(?i)hours') && is_phone(event.from)",
        "next_open('office', event.at).local('UTC', '%H') == '17'",
    ],
)
def test_evaluating_for_ever_needs_no_more_memory(source: str) -> None:
    program = compiled(source)
    for _ in range(2000):
        program.evaluate(scope())
    before = resident()
    for _ in range(10_000):
        program.evaluate(scope())
    assert resident() - before < 700_000


def test_the_maps_are_ours_alone() -> None:
    found = LANGUAGE.compile("event.body == '' || bool__.k0")
    assert isinstance(found, list)
    assert [(each.offset, each.message) for each in found] == [(20, "unknown name 'bool__.k0'")]
