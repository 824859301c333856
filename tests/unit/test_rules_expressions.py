"""Expressions and texts: types at load, faults at run time, bounded cost, no injection."""

import json
import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.events import Event
from ringback.rules.functions.builtins import WIDEST
from ringback.rules.functions.declared import check_function
from ringback.rules.functions.function import Function
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.complaints import Complaint
from ringback.rules.language.scope import FIELDS, RUN_FIELDS, NoFacts, Scope
from ringback.rules.language.templates import Template, compile_template, split_template
from ringback.rules.language.tokens import literal, names, tokens
from ringback.rules.timing.calendar import Hours, parse_open

SLACK = 4
"""The machine is shared: a bound of time is this much wider than what is promised."""
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
EVENT = Event(
    "evt_1", "message.received", NOON, NOON, sender="+15551234567", recipient="+15557654321",
    conversation="+15557654321/+15551234567", subject_sid="SM1",
    fields={"Body": "Hours, please?", "FromCity": "LONDON"},
)  # fmt: skip
LANGUAGE = Language(
    lists={"vip": ["+15551234567"]},
    hours={"office": Hours("America/New_York", parse_open("mon-fri 09:00-17:00"))},
)


def value(source: str, event: Event = EVENT, **more: Any) -> Any:
    program = LANGUAGE.compile(source, want=(), running=True)
    assert isinstance(program, Program), program
    return program.evaluate(Scope(event, NoFacts(), places=LANGUAGE.hours, **more))


def text(source: str, body: str = "") -> str | Fault:
    template = compile_template(source, LANGUAGE)
    assert isinstance(template, Template), template
    fields = {"Body": body} if body else EVENT.fields
    event = Event("e", "message.received", NOON, NOON, sender="+1", fields=fields)
    return template.render(Scope(event, NoFacts(), places=LANGUAGE.hours))


def test_every_field_has_the_type_that_it_is_declared_with() -> None:
    for name, field in {**FIELDS, **RUN_FIELDS}.items():
        program = LANGUAGE.compile(name, want=(), running=True)
        assert isinstance(program, Program)
        assert program.type == field.type
        assert not isinstance(value(name), Fault), name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.from in lists.vip", True),
        ("event.field('FromCity')", "LONDON"),
        ("event.field('Nothing')", ""),
        ("event.at.getHours('America/New_York')", 12),
        ("is_open('office', event.at)", True),
        ("is_open('office', event.at + duration('5h'))", False),
        ("event.body.matches('(?i)^hours')", True),
        ("reply.body == '' && reply.error_code == 0", True),
        ("burst.count == 0", True),
        ("contact.last_outbound == timestamp(0)", True),
    ],
)
def test_values(source: str, expected: object) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / (event.error_code - 0)", "divide by zero"),
        ("int(event.body) > 1", "cannot convert string to int"),
        ("event.body.number() > 1.0", "no number in the text"),
        ("is_open(event.body, event.at)", "no hours are named 'Hours, please?' (known: office)"),
        ("event.body.matches(event.body + '(')", "invalid regular expression"),
        ("event.at.getHours(event.body)", "Invalid timezone"),
        ("{'a': 1}[event.body]", "there is no"),
        ("replied_within(event.body)", "is not a span of time"),
    ],
)
def test_what_fails_at_run_time_is_a_value_with_its_reason(source: str, reason: str) -> None:
    found = value(source)
    assert isinstance(found, Fault)
    assert reason in found.message


def test_a_failure_does_not_matter_when_the_other_side_decides() -> None:
    assert value("int(event.body) > 1 || true") is True
    assert value("false && int(event.body) > 1") is False


def test_a_failing_past_is_a_fault_and_no_exception() -> None:
    class Broken(NoFacts):
        def message_count(self, conversation: str) -> int:
            raise OSError("disk lost")

    program = LANGUAGE.compile("contact.message_count == 1")
    assert isinstance(program, Program)
    assert program.evaluate(Scope(EVENT, Broken())) == Fault("disk lost")


def test_has_on_a_field_is_refused_with_the_mend() -> None:
    found = LANGUAGE.compile("has(event.body)")
    assert isinstance(found, list)
    assert found[0].hint == "has() is only for maps; compare with '' or 0"


@pytest.mark.parametrize(
    "source",
    [
        "{0}.all(a, {0}.all(b, {0}.all(c, a + b + c >= 0)))".format(list(range(100))),
        "{0}.map(a, {0}.map(b, {0}.map(c, a))).size() > 0".format(list(range(100))),
        "event.body.matches('(a+)+$')",
        "event.body.matches('(a|aa)*b')",
        "event.body.matches('((a{30}){30})')",
        "event.body.replace('a', event.body).replace('a', event.body).size() > 0",
        "event.body.split('').map(x, event.body).join('').size() > 0",
        "event.body.keyword([event.body, 'x'])",
    ],
)
def test_hostile_expressions_cost_bounded_time_and_memory(source: str) -> None:
    event = Event("e", "message.received", NOON, NOON, fields={"Body": "a" * 1600})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.thread_time()
    value(source, event)
    assert time.thread_time() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    "source",
    [
        "(" * 500 + "true" + ")" * 500,
        "1" + "+1" * 1900,
        "!" * 3999 + "x",
        "a" * 4001,
        "[" * 60 + "]" * 60,
    ],
)
def test_expressions_that_are_too_long_or_too_deep_are_refused(source: str) -> None:
    found = LANGUAGE.compile(source)
    assert isinstance(found, list)
    assert found


def test_long_results_are_cut() -> None:
    assert (
        len(
            value(
                "'a'.replace('a', event.body).size() > 0 ? event.body.replace('o', 'oooooooo') : ''"
            )
        )
        < WIDEST
    )
    many = Event("e", "message.received", NOON, NOON, fields={"Body": "a" * 16000})
    assert len(value("event.body.replace('a', 'bbbbbbbbbb')", many)) == WIDEST
    assert isinstance(value("[event.body, event.body].join('-')", many), Fault)  # no list is cut


def test_functions_of_plugins_are_typed_and_isolated() -> None:
    def crash(text: str) -> bool:
        raise KeyError(text)

    language = Language(
        functions=[
            Function("shout", lambda text: text.upper(), ("string",), "string"),
            Function("crash", crash, ("string",), "bool"),
            Function("wrong", lambda: "text", (), "int"),
        ]
    )
    free, member = language.compile("shout('a') == 'A'"), language.compile("'a'.shout() == 'A'")
    assert isinstance(free, Program)
    assert isinstance(member, Program)
    assert free.evaluate(Scope(EVENT, NoFacts())) is True
    assert member.evaluate(Scope(EVENT, NoFacts())) is True
    mistaken = language.compile("shout(1)")
    assert isinstance(mistaken, list)
    assert mistaken[0].hint == "write shout(string)"
    for source in ("crash('x')", "wrong() == 1"):
        program = language.compile(source)
        assert isinstance(program, Program)
        assert isinstance(program.evaluate(Scope(EVENT, NoFacts())), Fault)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (Function("keyword", str, ("string",), "string"), "a function of the language already"),
        (Function("Bad Name", str, (), "string"), "no name for a function"),
        (Function("fine", str, ("text",), "string"), "unknown type 'text'"),
        (Function("fine", str, ("string",), "strng"), "did you mean 'string'"),
        (Function("fine", str, ("string",), "string"), ""),
    ],
)
def test_functions_that_cannot_be_declared_say_why(function: Function, wrong: str) -> None:
    found = check_function(function)
    assert wrong in found
    assert bool(found) is bool(wrong)


# -- texts


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("plain", "plain"),
        ("${{ event.body }}", "Hours, please?"),
        ("a ${{ event.error_code }} b ${{ 1.5 }} ${{ 2.0 }} ${{ true }} c", "a 0 b 1.5 2 true c"),
        ("${{ event.at }}", "2026-11-20T17:00:00Z"),
        ("${{ duration('90m') }}", "1h30m"),
        ("${{ lists.vip }}", "+15551234567"),
        ("${{ '}}' + '${{' }}", "}}${{"),
        ("${{ {'a': {'b': 'c'}}['a']['b'] }}", "c"),
        ("$${{ event.body }}", "${{ event.body }}"),
        (
            "${ event.body } {{ event.body }} {event.body} %(body)s",
            "${ event.body } {{ event.body }} {event.body} %(body)s",
        ),
    ],
)
def test_texts(source: str, rendered: str) -> None:
    assert text(source) == rendered


def test_a_text_that_fails_names_the_expression() -> None:
    assert text("x ${{ int(event.body) }}") == Fault(
        "${{ int(event.body) }}: cannot convert string to int"
    )


def test_a_text_is_cut_to_its_cap() -> None:
    template = compile_template("ab${{ event.body }}", LANGUAGE)
    assert isinstance(template, Template)
    short = Template(template.source, template.parts, 7)
    assert short.render(Scope(EVENT, NoFacts())) == "abHours"


PAYLOADS = [
    "${{ event.from }}",
    "$${{ event.from }}",
    "{{ 7*7 }}",
    "{{''.__class__.__mro__}}",
    "{% for x in y %}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{0.__class__}",
    "{event.from}",
    "%(from)s",
    "%s%s%s%n",
    "${{ ${{ event.from }} }}",
    "}} ${{ event.from",
    "\\${{ event.from }}",
    "{{event}}",
    "`id`",
    "$(id)",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_an_event_brings_is_put_in_as_it_is_and_never_evaluated(payload: str) -> None:
    assert text("You wrote: ${{ event.body }}", payload) == f"You wrote: {payload}"
    assert text("${{ event.body + event.body }}", payload) == payload * 2


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_data(body: str) -> None:
    shown = body.replace("\0", "\ufffd")
    assert text("<${{ event.body }}>", "x" + body) == f"<x{shown}>"


@settings(deadline=None)
@given(st.text(alphabet="${} 'x\"\\", max_size=40))
def test_splitting_a_text_never_fails_and_loses_nothing(source: str) -> None:
    pieces = split_template(source)
    if isinstance(pieces, Complaint):
        assert source[pieces.offset :].startswith("${{")
        return
    for piece, offset, is_expression in pieces:
        if is_expression:
            assert source[offset : offset + len(piece)] == piece


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_expression_compiles_or_is_refused_inside_of_its_text(source: str) -> None:
    found = LANGUAGE.compile(source)
    if isinstance(found, list):
        assert found
        assert all(0 <= each.offset <= len(source) for each in found)
        assert all(each.message for each in found)


PIECES = [
    "event.body",
    "event.from",
    "event.error_code",
    "lists.vip",
    "'a'",
    '"b"',
    "r'\\d'",
    "1",
    "1.5",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "==",
    "<",
    "+",
    "-",
    "in",
    "keyword",
    "matches",
    "duration",
    "true",
    "null",
    "x",
    "all",
    "has",
    "\n",
    "// c\n",
    "'",
    "and",
    "=",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_any_row_of_words_compiles_or_is_refused_inside_of_its_text(source: str) -> None:
    found = LANGUAGE.compile(source)
    if isinstance(found, list):
        assert all(0 <= each.offset <= len(source) for each in found)
    else:
        found.evaluate(Scope(EVENT, NoFacts()))


# -- tokens


def test_tokens_undo_quotes_and_escapes() -> None:
    source = r"""'a\'b' "c\x41" r'\d' '''d'e''' b"f" """
    assert [literal(token) for token in tokens(source)] == ["a'b", "cA", r"\d", "d'e", "f"]


def test_names_are_dotted_and_selections_on_results_are_none() -> None:
    found = [
        (name.text, name.called) for name in names("event.body.lower().size() + f(x.y) // z.z")
    ]
    assert found == [("event.body.lower", True), ("f", True), ("x.y", False)]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_tokens_cover_every_letter_that_is_no_space(source: str) -> None:
    covered = "".join(token.text for token in tokens(source.replace("/", "")))
    assert "".join(covered.split()) == "".join(source.replace("/", "").split())


def test_columns_of_the_manual_survive_every_style_of_yaml(tmp_path: Path) -> None:
    from ringback.rules.files.load import load_rules

    bad = "x ${{ event.bdy }} y"
    styles = {
        "plain": bad,
        "single": f"'{bad}'",
        "double": json.dumps("é\t" + bad),
        "literal": f"|\n          {bad}",
        "folded": f">\n          a\n          {bad}",
    }
    for name, style in styles.items():
        (tmp_path / f"{name}.yaml").write_text(
            f"rules:\n  - name: {name}\n    on: message.received\n    do:\n      - reply: {style}\n"
        )
    for problem in load_rules(tmp_path).problems:
        assert problem.source[problem.column - 1 :].startswith("bdy"), problem
    assert len(load_rules(tmp_path).problems) == len(styles)


def test_a_span_of_a_scope_is_measured_from_now() -> None:
    class Facts(NoFacts):
        def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
            return NOON - timedelta(hours=11) if conversation == EVENT.conversation else None

    program = LANGUAGE.compile("replied_within('12h') && !replied_within('10h')")
    other = LANGUAGE.compile("replied_within('+19995550100', duration('12h'))")
    assert isinstance(program, Program)
    assert isinstance(other, Program)
    assert program.evaluate(Scope(EVENT, Facts())) is True
    assert other.evaluate(Scope(EVENT, Facts())) is False


CATASTROPHES = [
    "(a+)+$", "(a|aa)+$", "(a*)*b", "(a|a?)+$", "(.*a){20}", "^(a?){30}a{30}$", "(x+x+)+y",
    "(([a-z])+.)+[A-Z]([a-z])+$", "(.+)+$", "^((a+)*)+$", "(?:a*)*c", "(a{1,30}){1,30}b",
    "(?i)(A|a|AA)+!", "((a|b)*c|(a|b)*d)*e", "^(([a-z])+\\d)+$", "(\\w+\\s?)*!", "([a-zA-Z]+)*1",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CATASTROPHES)
def test_catastrophic_patterns_are_linear(pattern: str) -> None:
    event = Event("e", "message.received", NOON, NOON, fields={"Body": "a" * 1600})
    program = LANGUAGE.compile(f"event.body.matches(r'{pattern}')")
    assert isinstance(program, Program)
    start = time.thread_time()
    assert isinstance(program.evaluate(Scope(event, NoFacts())), bool)
    assert time.thread_time() - start < 0.05 * SLACK
