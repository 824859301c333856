"""`ringback failures`: each failed text once, by what they have in common, with the remedies."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringback.cli.main import run
from ringback.error_codes import explain_error
from ringback.store.queries.questions import Questions
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

OTHER = "+15550001112"
PEOPLE = {
    "ann": "+12065550142",
    "bob": "+442079460123",
    "eva": "whatsapp:+493012345678",
    "mia": "whatsapp:+525512345678",
}
RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    do: [{reply: We are open.}]
"""
REPORTS = [
    # sender, recipient, status, code; in the order in which they come
    (OURS, "ann", "undelivered", "30007"),
    (OURS, "bob", "undelivered", "30007"),
    (OTHER, "bob", "failed", "30034"),
    (OTHER, "eva", "undelivered", "63016"),
    (OTHER, "eva", "delivered", ""),
    (OURS, "ann", "failed", ""),
    (OTHER, "mia", "undelivered", "63016"),
]


@pytest.fixture
def story(begin: Callable[..., Story]) -> Story:
    """An answer of a rule fails (30003), and texts that others sent over the account; one of them
    is reported twice."""
    lived = begin(replace(calm(), undelivered=1.0), rules=RULES)
    lived.receive(lived.text("hello", PEOPLE["ann"]))
    lived.run(60.0)
    for number, (sender, who, status, code) in enumerate(REPORTS):
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "MessageStatus": status,
            "From": sender, "To": PEOPLE[who], "ErrorCode": code,
        }  # fmt: skip
        for _ in range(2 if number == 0 else 1):
            lived.receive(lived.entry("message/status", "", fields))
    lived.run(120.0)
    return lived


@pytest.fixture
def counted(story: Story, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[Any]]:
    """The rows that the command gives as JSON."""

    def ask(*words: str) -> list[Any]:
        assert run(["--data", str(story.folder), "failures", "--json", *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


def test_by_code_each_text_counts_once_and_has_its_remedy(counted: Callable[..., Any]) -> None:
    rows = counted("--since", "1000d")
    assert [(row["code"], row["failures"]) for row in rows] == [
        (30007, 2), (63016, 2), (0, 1), (30003, 1), (30034, 1),
    ]  # fmt: skip
    for row in rows:
        known = explain_error(row["code"])
        assert row["remedy"] == known.remedy
        if row["code"]:
            assert (row["meaning"], row["retry"]) == (known.title, known.wait)
            assert row["error"]["steps"] == list(known.steps)


BY: dict[str, dict[tuple[Any, ...], int]] = {
    "sender": {(OURS,): 4, (OTHER,): 3},
    "rule": {("",): 6, ("hours",): 1},
    "country": {("US",): 3, ("GB",): 2, ("DE",): 1, ("MX",): 1},
    "line_type": {("landline_or_mobile",): 4, ("landline",): 3},
    "class": {
        ("carrier_filtered",): 2, ("unknown",): 1, ("content_rejected",): 2,
        ("sender_unregistered",): 1, ("recipient_unreachable",): 1,
    },
    "sender,code": {
        (OURS, 30007): 2, (OURS, 0): 1, (OURS, 30003): 1, (OTHER, 30034): 1, (OTHER, 63016): 2,
    },
}  # fmt: skip


def test_by_what_they_have_in_common(counted: Callable[..., Any]) -> None:
    for by, expected in BY.items():
        rows = counted("--since", "1000d", "--by", by)
        found = {tuple(row[way] for way in by.split(",")): row["failures"] for row in rows}
        assert found == expected, by


def test_by_hour_stands_in_the_order_of_time(counted: Callable[..., Any]) -> None:
    rows = counted("--since", "1000d", "--by", "hour,sender")
    assert [row["hour"] for row in rows] == sorted(row["hour"] for row in rows)
    assert sum(row["failures"] for row in rows) == 7


def test_only_those_that_are_asked_for(counted: Callable[..., Any]) -> None:
    for option, value, number in (
        ("--code", "30007", 2), ("--number", PEOPLE["bob"], 2), ("--number", OTHER, 3),
        ("--number", "whatsapp:+5215512345678", 1), ("--rule", "hours", 1), ("--rule", "nobody", 0),
    ):  # fmt: skip
        rows = counted("--since", "1000d", option, value)
        assert sum(row["failures"] for row in rows) == number, option


def test_nothing_within_the_span_and_a_way_that_is_not_there(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--data", str(story.folder), "failures", "--since", "2099-01-01"]) == 0
    assert "no failures" in capsys.readouterr().err
    assert run(["--data", str(story.folder), "failures", "--by", "weather"]) == 2
    assert (
        "--by takes code, class, sender, rule, country, line_type, hour" in capsys.readouterr().err
    )


def test_the_example_leads_to_the_trace(story: Story, counted: Callable[..., Any]) -> None:
    (row,) = counted("--since", "1000d", "--rule", "hours")
    with Questions(story.folder) as asked:
        ((cause,),) = story.ask("select event_uid from actions where effect = 'message'")
        assert asked.find(row["example"]) == [cause]


def test_a_text_that_was_not_accepted_counts_too(
    begin: Callable[..., Story], capsys: pytest.CaptureFixture[str]
) -> None:
    lived = begin(replace(calm(), create={"rejected": 1.0}), rules=RULES)
    lived.receive(lived.text("hello", PEOPLE["ann"]))
    lived.run(60.0)
    assert lived.ask("select state, remote_sid from actions") == [("failed", "")]
    ((code,),) = lived.ask("select error_code from actions")
    assert run(["--data", str(lived.folder), "failures", "--since", "1000d", "--json"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["code"], row["failures"], row["example"][:4]) == (code, 1, "act_")
