"""Texts that Twilio writes or that leave later: templates, moments, options of a service."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringback.actions import SendMessage
from ringback.events import Event
from ringback.rules.files.load import Loaded, load_rules
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.scope import NoFacts
from ringback.testing import NOON, sms
from ringback.twilio.rest import request_for

CONTENT = "HX0123456789abcdef0123456789abcdef"
SERVICE = "MG0123456789abcdef0123456789abcdef"


def load(tmp_path: Path, step: str) -> Loaded:
    path = tmp_path / "a.yaml"
    head = "rules:\n  - name: r\n    on: message.received\n    do:\n"
    path.write_text(f"{head}      - {step}\n", "utf-8")
    return load_rules(path)


def made(tmp_path: Path, step: str, event: Event) -> SendMessage | str:
    """The text that a rule asks for, or why its run failed."""
    loaded = load(tmp_path, step)
    assert loaded.problems == []
    progress = begin(loaded.rules[0], event, NoFacts(), NOON)
    (action,) = progress.actions or (progress.end,)
    assert isinstance(action, SendMessage | str)
    return action


def form(action: SendMessage | str) -> dict[str, str]:
    """What Twilio is sent for a text."""
    assert isinstance(action, SendMessage)
    return dict(request_for(action, account_sid="AC" + "0" * 32).form)


def test_a_template_is_sent_with_its_variables(tmp_path: Path) -> None:
    step = f"reply: {{content: {CONTENT}, variables: {{1: '${{{{ event.body }}}}', who: Ünal}}}}"
    event = sms('Ann "A" Lee', from_="+14155550100", to="+14155550199")
    sent = form(made(tmp_path, step, event))
    assert json.loads(sent.pop("ContentVariables")) == {"1": 'Ann "A" Lee', "who": "Ünal"}
    assert sent == {"To": "+14155550100", "From": "+14155550199", "ContentSid": CONTENT}


def test_a_service_is_asked_for_what_it_does(tmp_path: Path) -> None:
    step = (
        f"send: {{to: +14155550100, body: See https://example.org, service: {SERVICE}, "
        "shorten: true, risk_check: disable, fallback_from: +14155550199}"
    )
    sent = form(made(tmp_path, step, sms("x")))
    assert sent == {
        "To": "+14155550100", "MessagingServiceSid": SERVICE, "Body": "See https://example.org",
        "ShortenUrls": "true", "RiskCheck": "disable", "FallbackFrom": "+14155550199",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        ("${{ event.at + duration('24h') }}", "2026-11-21T17:00:00.000Z"),
        ("${{ event.body }}", "2026-12-24T17:00:00.000Z"),
        ("2026-12-24T18:00+01:00", "2026-12-24T17:00:00.000Z"),
    ],
)
def test_a_text_leaves_at_a_moment(tmp_path: Path, at: str, moment: str) -> None:
    event = sms("2026-12-24T12:00-05:00", at=datetime(2026, 11, 20, 17, tzinfo=UTC))
    action = made(tmp_path, f'reply: {{body: x, at: "{at}"}}', event)
    assert isinstance(action, SendMessage)
    assert (action.not_before, action.extra) == (moment, {})


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("reply: {body: x, at: '${{ event.body }}'}", "'soon' is no time; write it like 2026-"),
        ("reply: {content: '${{ event.body }}'}", "'soon' is no content template; its SID begins"),
        ("send: {to: '+14155550100', body: x, at: '${{ event.body }}'}", "'soon' is no time"),
    ],
)
def test_a_value_that_means_nothing_fails_the_run(tmp_path: Path, step: str, why: str) -> None:
    end = made(tmp_path, step, sms("soon"))
    assert isinstance(end, str)
    assert end.startswith("failed: step `")
    assert why in end


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("reply: {}", "needs body, media or content"),
        (f"reply: {{body: x, content: {CONTENT}}}", "needs either body and media, or content"),
        ("reply: {content: HX1}", "'HX1' is no content template; write its SID, HX…"),
        ("reply: {body: x, variables: {1: a}}", "variables belong to content"),
        (f"reply: {{content: {CONTENT}, variables: {{1: [a]}}}}", "are texts, by their names"),
        ("reply: {body: x, at: tomorrow}", "'tomorrow' is no time"),
        (
            "reply: {body: x, at: '${{ event.media_count }}'}",
            "'at' takes a moment, and event.media",
        ),
        ("reply: {body: x, risk_check: off}", "must be one of"),
        (
            "send: {to: +14155550100, body: x, shorten: true}",
            "'shorten' needs a messaging `service`",
        ),
        (
            "send: {to: +14155550100, body: x, fallback_from: +14155550101}",
            "needs a messaging `ser",
        ),
        ("reply: {body: x, shorten: true}", "unknown key 'shorten'"),
    ],
)
def test_what_is_wrong_is_found_at_load(tmp_path: Path, step: str, why: str) -> None:
    problems = load(tmp_path, step).problems
    assert len(problems) == 1, problems
    assert why in str(problems[0])


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"ButtonPayload": "yes", "ButtonText": "Yes!"}, "yes"),
        ({"ListId": "room-2", "ListTitle": "Double"}, "room-2"),
        ({}, ""),
    ],
)
def test_what_they_pressed_is_known_by_its_id(
    tmp_path: Path, fields: dict[str, Any], choice: str
) -> None:
    action = made(tmp_path, 'reply: "<${{ event.choice }}>"', sms("Yes!", **fields))
    assert isinstance(action, SendMessage)
    assert action.body == f"<{choice}>"
