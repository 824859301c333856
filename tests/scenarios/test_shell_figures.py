"""`deliveries`, `spend`, `consents` and `eval`: their figures, by whatever they are asked for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.deliveries import span
from ringback.cli.main import run
from ringback.store.queries.delivery_groups import percentile
from ringback.store.sqlite.sqlite_files import connect_writer
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

ANN, BOB, EVA = "+12065550142", "+442079460123", "+12065550177"
OTHER = "+15550001112"
RULES = """version: 1
rules:
  - name: hours
    on: message.received
    if: event.body == 'hours'
    budget: {per_day: 5, segments_per_day: 9}
    do: [{reply: We are open.}]
  - name: tried
    on: message.received
    if: event.body == 'hours'
    state: shadow
    do: [{reply: Nobody gets this.}]
"""
Rows = list[dict[str, Any]]


@pytest.fixture
def story(begin: Callable[..., Story]) -> Story:
    """Ann gets an answer, and another system's text; Bob gets none; Eva has left."""
    lived = begin(rules=RULES)
    lived.receive(lived.text("hours", ANN))
    lived.run(20.0)
    lived.twilio.faults = replace(calm(), undelivered=1.0)
    lived.receive(lived.text("hours", BOB))
    lived.run(40.0)
    lived.calm_down()
    lived.receive(lived.text("STOP", EVA))
    lived.run(41.0)
    lived.receive(lived.text("hours", EVA))
    for number, status in enumerate(("sent", "delivered", "sent")):
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": f"SM{number // 2:032x}", "MessageStatus": status,
            "From": OTHER, "To": ANN,
        }  # fmt: skip
        lived.receive(lived.entry("message/status", "", fields))
    lived.run(60.0)
    return lived


@pytest.fixture
def asked(story: Story, capsys: pytest.CaptureFixture[str]) -> Callable[..., Rows]:
    """The rows that a command gives as JSON."""

    def ask(*words: str) -> Rows:
        assert run(["--data", str(story.folder), *words, "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


FIGURES = ("texts", "held", "pending", "failed", "delivered")


def test_each_text_counts_once_by_how_far_it_came(asked: Callable[..., Rows]) -> None:
    """Those of others over the account too; what a shadow would have sent does not."""
    for by, expected in {
        "all": {(): (5, 1, 1, 1, 2)},
        "sender": {(OURS,): (3, 1, 0, 1, 1), (OTHER,): (2, 0, 1, 0, 1)},
        "rule": {("hours",): (3, 1, 0, 1, 1), ("",): (2, 0, 1, 0, 1)},
        "line_type": {
            ("landline_or_mobile",): (4, 1, 1, 0, 2), ("landline",): (1, 0, 0, 1, 0),
        },
        "country,sender": {
            ("US", OURS): (2, 1, 0, 0, 1), ("GB", OURS): (1, 0, 0, 1, 0),
            ("US", OTHER): (2, 0, 1, 0, 1),
        },
    }.items():  # fmt: skip
        rows = asked("deliveries", "--since", "9000d", "--by", by)
        ways = [] if by == "all" else by.split(",")
        found = {tuple(row[way] for way in ways): tuple(row[n] for n in FIGURES) for row in rows}
        assert found == expected, by
    (row,) = asked("deliveries", "--since", "9000d", "--number", BOB)
    assert (row["share"], row["p50"]) == (0.0, None)
    (row,) = asked("deliveries", "--since", "9000d", "--number", ANN, "--rule", "hours")
    assert row["share"] == 1.0
    assert 0 < row["p50"] == row["p99"] < 20


@pytest.mark.parametrize(
    ("number", "percent", "expected"),
    [(1, 50, 1), (2, 50, 1), (4, 90, 4), (10, 90, 9), (100, 99, 99), (101, 99, 100), (0, 50, None)],
)
def test_a_percentile_is_one_of_the_values(number: int, percent: int, expected: int | None) -> None:
    assert percentile([(each, 1) for each in range(1, number + 1)], percent) == expected


def test_a_span_is_written_in_its_own_unit() -> None:
    said = [span(each) for each in (None, 0.84, 12.3, 300.0, 9000.0)]
    assert said == ["", "0.8 s", "12 s", "5.0 min", "2.5 h"]


def test_what_was_spent_and_what_is_left(
    story: Story, asked: Callable[..., Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules of the project around the data say the budgets; a price is Twilio's word."""
    monkeypatch.chdir(story.folder)
    (story.folder / "rules").mkdir()
    (story.folder / "rules.yaml").rename(story.folder / "rules" / "all.yaml")
    monkeypatch.setattr("ringback.cli.project_context.time", story.clock.wall)
    monkeypatch.setenv("RINGBACK_TOTAL_PER_DAY", "100")
    _price(story.folder, "0.0079")
    whole, hours = asked("spend")
    assert (whole["rule"], whole["texts"], whole["unpriced"]) == ("in all", 2, 1)
    assert whole["price"] == {"USD": "0.0079"}
    assert whole["left"]["per_day"] == {"of": 100, "left": 98}
    told = whole["segments"]  # of the text that was not delivered
    assert (told > 0, whole["estimated_segments"]) == (True, 1)
    _price(story.folder, "0.0079", segments=2)
    assert [row["segments"] for row in asked("spend")] == [told + 2] * 2
    assert [row["estimated_segments"] for row in asked("spend")] == [0, 0]
    assert hours["left"] == {
        "per_day": {"of": 5, "left": 3}, "segments_per_day": {"of": 9, "left": 7},
    }  # fmt: skip
    (_, by_sender) = asked("spend", "--by", "sender")
    assert (by_sender["sender"], by_sender["texts"]) == (OURS, 2)
    assert asked("spend", "--since", "2099-01-01")[0]["texts"] == 0


def _price(folder: Path, price: str, segments: int | None = None) -> None:
    connection = connect_writer(folder / "journal.db")
    connection.execute(
        "update actions set price = ?, price_unit = 'USD', segments = ? "
        "where outcome = 'delivered'",
        (price, segments),
    )
    connection.close()


def test_who_said_what_about_being_texted(asked: Callable[..., Rows]) -> None:
    assert {row["recipient"] for row in asked("consents", "list")} == {EVA}
    for words, found in (
        (("--state", "out"), True), (("--state", "in"), False), (("--number", EVA), True),
        (("--number", ANN), False), (("--sender", OURS), True), (("--sender", OTHER), False),
        (("--since", "9000d"), True), (("--since", "2099-01-01"), False),
        (("--number", EVA, "--state", "in"), False),
        (("--number", EVA, "--since", "9000d", "--sender", OURS), True),
    ):  # fmt: skip
        assert bool(asked("consents", "list", *words)) == found, words


def test_a_condition_is_tried_on_an_event(
    story: Story, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it read is shown; what cannot be read or evaluated says why."""
    monkeypatch.chdir(story.folder)
    ((uid,),) = story.ask("select min(uid) from events where type = 'message.received'")
    for expression, code, said in (
        ("event.body == 'hours' && message_count() == 1", 0, "true\n  event.body is 'hours'"),
        ("event.body + '!'", 0, "'hours!'"),
        ("message_count() + 1", 0, "2"),
        ("country(event.from)", 0, "'US'\n  event.from is '+12065550142'"),
        ("int(event.body) > 1", 1, "it cannot be evaluated: cannot convert string to int"),
        ("event.bdy == 'a'", 2, "did you mean 'event.body'?"),
        ("event.body ==", 2, "ringback: "),
    ):
        assert run(["--data", str(story.folder), "eval", expression, "--event", uid]) == code
        shown = capsys.readouterr()
        assert said in (shown.err if code == 2 else shown.out), expression
    assert run(["--data", str(story.folder), "eval", "true", "--event", "evt_9"]) == 2


def test_a_number_that_nobody_has(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["conversation", "+19995550100"], ["contacts", "show", "+19995550100"]):
        assert run(["--data", str(story.folder), *words]) == 2
        assert "nobody with the number '+19995550100'" in capsys.readouterr().err
