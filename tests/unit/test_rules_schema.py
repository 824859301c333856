"""The JSON Schema for editors, reports of problems, and the rules that a project starts with."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from ringback.actions import AnswerCall, Notify, PlaceCall, SendMessage
from ringback.error_codes import explain_error
from ringback.errors import Problem
from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.rules.files.report import render
from ringback.rules.files.schema import json_schema
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import StepKind
from ringback.verbs import Enqueue, Say

ROOT = Path(__file__).parents[2]
STARTERS = sorted((ROOT / "rules").glob("*.yaml"))


class Pizza(BaseModel):
    """An order."""

    size: int


SCHEMA = json_schema([StepKind("pizza", print, Pizza, "size", "Order a pizza.")])
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(text: str) -> list[str]:
    """What an editor says: YAML 1.2 resolves numbers and booleans where we keep the text."""
    quoted = re.sub(r"(?<!\w)(on|off):", r"'\1':", text)
    data = json.loads(json.dumps(yaml.safe_load(quoted), default=str))
    return [error.message for error in VALIDATOR.iter_errors(data)]


def rule(do: str, more: str = "") -> str:
    return (
        f"version: 1\nrules:\n  - name: a\n    on: message.received\n{more}    do:\n      - {do}\n"
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.name)
def test_the_schema_takes_the_rules_of_this_project(path: Path) -> None:
    assert errors(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        rule("reply: Hello"),
        rule("reply: {body: 5, media: [https://e.org/a.png]}"),
        rule("send: {to: +15551234567, body: x}"),
        rule("send: {to: [+15551234567, '+15551234568'], body: x}"),
        rule("stop"),
        rule("pizza: 3"),
        rule("pizza: {size: 3}"),
        rule("wait: 15m"),
        rule("wait_for: {timeout: 1h, do: [{reply: x}], else: [stop]}"),
        rule("choose: [{if: 'true', do: [stop]}, {else: [stop]}]"),
        rule("remember: {name: x, age: 3}"),
        rule("let: {n: 3, at: '${{ now }}', all: [1, x], some: {a: true}}"),
        rule("reply: x", "    let: {n: 3, half: 0.5, yes: true}\n"),
        rule("http: {url: https://e.org, auth: a, as: b, timeout: 20s, retries: 2, else: [stop]}"),
        rule(
            "reply: x",
            "    once_within: 12h\n    priority: 5\n    backstop: true\n    from: +15551234567\n",
        ),
        rule("reply: x", "    budget: {per_day: 5, segments_per_day: '9', price_per_day: 5.5}\n"),
        rule("reply: x", "    cancel_on: message.received\n    if: ['true', event.body == 'x']\n"),
    ],
)
def test_the_schema_takes_what_we_take(text: str, tmp_path: Path) -> None:
    assert errors(text) == []
    (tmp_path / "a.yaml").write_text(text)
    kind = StepKind("pizza", print, Pizza, "size")
    assert load_rules(tmp_path, steps=[kind]).problems == []


@pytest.mark.parametrize(
    "text",
    [
        rule("replly: Hello"),
        rule("send: {body: x}"),
        rule("reply: {text: x}"),
        rule("say"),
        rule("reply: x", "    mode: singel\n"),
        rule("reply: x", "    onc_within: 12h\n"),
        rule("reply: x", "    budget: {per_hour: 5}\n"),
        rule("reply: x", "    budget: 5\n"),
        rule("pizza: {sise: 3}"),
        rule("let: 5"),
        rule("reply: x", "    let: [n]\n"),
        rule("http: {url: https://e.org, ass: order}"),
        "rules: {a: b}",
        "version: 2",
        "rules:\n  - name: a\n",
    ],
)
def test_the_schema_refuses_what_we_refuse(text: str, tmp_path: Path) -> None:
    assert errors(text)
    (tmp_path / "a.yaml").write_text(text)
    kind = StepKind("pizza", print, Pizza, "size")
    assert load_rules(tmp_path, steps=[kind]).problems


PROBLEM = Problem(
    "rules/a.yaml",
    3,
    8,
    "type",
    "unknown field 'event.x'",
    "\tif: event.x",
    "did you mean 'event.at'?",
)


def test_a_report_in_text_has_a_caret_under_the_letter() -> None:
    assert render([PROBLEM]).splitlines() == [
        "rules/a.yaml:3:8: type: unknown field 'event.x'; did you mean 'event.at'?",
        "  \tif: event.x",
        "  \t      ^",
    ]


def test_a_report_without_a_place_is_one_line() -> None:
    assert (
        render([Problem("a.yaml", 0, 0, "file", "cannot be read")])
        == "a.yaml: file: cannot be read"
    )


def test_a_caret_beyond_the_end_of_its_line_and_a_very_long_line() -> None:
    assert render([Problem("a", 1, 6, "yaml", "x", "abc")]).splitlines()[2] == "       ^"
    long = Problem("a", 1, 900, "type", "x", "y" * 899 + "!" + "z" * 900)
    shown, caret = render([long]).splitlines()[1:]
    assert len(shown) < 200
    assert shown[caret.index("^")] == "!"


def test_a_report_in_json_is_data() -> None:
    assert json.loads(render([PROBLEM], "json")) == [
        {
            "file": "rules/a.yaml",
            "line": 3,
            "column": 8,
            "kind": "type",
            "hint": "did you mean 'event.at'?",
            "message": "unknown field 'event.x'",
            "source": "\tif: event.x",
        }
    ]
    assert json.loads(render([], "json")) == []


def test_a_report_for_github_cannot_be_broken_out_of() -> None:
    evil = Problem("a,b:c.yaml", 1, 2, "type", "100%\n::error::owned")
    assert render([evil], "github") == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=2,title=type::100%25%0A::error::owned"
    )


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="text, json, github"):
        render([], "xml")


# -- the rules that a project starts with

NIGHT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)


def fired(type_: str, at: datetime, **more: Any) -> dict[str, tuple[Any, ...]]:
    loaded = load_rules(ROOT / "rules")
    ruleset = RuleSet(loaded.rules)
    given = {
        "sender": "+12065550100", "recipient": "+12125550101", "subject_sid": "SM1",
        "conversation": "+12125550101/+12065550100", **more,
    }  # fmt: skip
    event = Event("e", type_, at, at, **given)
    facts = NoFacts()
    return {
        rule.name: begin(rule, event, facts, at, places=ruleset.places).actions
        for rule in ruleset.match(event, facts).fired
    }


def test_the_starter_rules_have_no_problem() -> None:
    assert load_rules(ROOT / "rules").problems == []
    assert STARTERS


def test_a_text_at_night_is_answered_once_and_one_by_day_is_left_to_the_plugins() -> None:
    at_night = fired("message.received", NIGHT, fields={"Body": "Hello?"})
    assert list(at_night) == ["after-hours"]
    (action,) = at_night["after-hours"]
    assert isinstance(action, SendMessage)
    assert action.body == "We are closed now. We open again on Monday at 09:00 ET."
    assert (action.to, action.sender) == ("+12065550100", "+12125550101")
    assert fired("message.received", DAY, fields={"Body": "Hello?"}) == {}


def test_the_support_line_greets_and_queues() -> None:
    actions = fired("call.received", DAY, fields={"CallSid": "CA1"})["support-line"]
    assert actions == (
        AnswerCall(
            "CA1", (Say("Thanks for calling. Someone will be with you soon."), Enqueue("support"))
        ),
    )


def test_a_failed_reminder_becomes_a_call_and_a_notice() -> None:
    failed = {
        "sender": "+12125550101", "recipient": "+12065550100", "error_code": 30003,
        "error_class": "recipient_unreachable",
    }  # fmt: skip
    actions = fired("message.undelivered", DAY, **failed)
    (call,) = actions["failed-reminder-becomes-a-call"]
    assert isinstance(call, PlaceCall)
    assert (call.to, call.sender) == ("+12065550100", "+12125550101")
    (notice,) = actions["delivery-failure-notice"]
    assert isinstance(notice, Notify)
    assert notice.text == (
        "The text to +12065550100 failed with error 30003 (recipient_unreachable). "
        + explain_error(30003).remedy
    )
    assert notice.key == "delivery/recipient_unreachable"
    other = fired("message.failed", DAY, **{**failed, "sender": "+14155550100"})
    assert list(other) == ["delivery-failure-notice"]
    opted_out = fired("message.failed", DAY, **{**failed, "error_class": "recipient_opted_out"})
    assert opted_out == {}
