"""Numbers that no telephone can have: named where they are written down, and never texted."""

from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.config import Settings
from ringback.project import Project
from ringback.rules.files.load import load_rules
from ringback.rules.language import phones
from ringback.testing import Bench, Reaction, sms

IMPOSSIBLE = {
    "+1555": "has too few digits for a number of +1",
    "+4412": "has too few digits for a number of +44",
    "+12345": "has too few digits for a number of +1",
    "+120255501421": "has too many digits for a number of +1",
    "+3312345678901": "has too many digits for a number of +33",
    "+15550100": "lacks the code of its area",
    "+4930": "lacks the code of its area",
    "+123456789012345678": "has 18 digits; a number has 15 at most, with its country",
    "+999123456789": "begins with the code of no country",
    "+11234567890": "is no number: behind +1 stand ten digits, the first of them 2 to 9",
    "whatsapp:+1555": "has too few digits",
}
POSSIBLE = [
    "+15551000001", "+15550000000", "+12025550142", "+15005550006", "+447700900123",
    "+442071838750", "+49301234", "+6834123", "+2908123", "+5215512345678", "+882123456789",
    "+80012345678",
    "whatsapp:+22507123456", "whatsapp:+551187654321", "whatsapp:+5215512345678",
    "72000", "1555", "112", "ACME", "+266696687", "anonymous", "+1", "", "sip:1555@example.org",
    "client:+1555", "MG" + "0" * 32, "messenger:1555",
]  # fmt: skip


@pytest.mark.parametrize(("number", "why"), IMPOSSIBLE.items())
def test_a_number_that_no_telephone_can_have_is_one(number: str, why: str) -> None:
    assert phones.impossible(number) == why


@pytest.mark.parametrize("number", POSSIBLE)
def test_what_may_be_somebody_s_or_comes_from_twilio_is_not(number: str) -> None:
    """Fictional ranges, short codes, words, old numbers on WhatsApp, and hidden callers."""
    assert phones.impossible(number) == ""


LISTED = "lists: {l: ['+1555']}\n"
PLACES = [
    ("", "do: [{send: {to: '+1555', body: x}}]"),
    ("", "do: [{send: {to: +12025550142, from: '+1555', body: x}}]"),
    ("", "do: [{call: {to: '+1555', say: x}}]"),
    ("", "from: '+1555', do: [{reply: x}]"),
    ("", "to: '+1555', do: [{reply: x}]"),
    ("", "if: event.from == '+1555', do: [{reply: x}]"),
    ("", "if: \"event.to in ['+12025550142', '+1555']\", do: [{reply: x}]"),
    (LISTED, "from: lists.l, do: [{reply: x}]"),
    (LISTED, "if: event.from in lists.l, do: [{reply: x}]"),
    (LISTED, "do: [{send: {to: '${{ lists.l }}', body: x}}]"),
]


@pytest.mark.parametrize(("above", "rule"), PLACES)
def test_it_is_a_mistake_wherever_a_rule_file_has_it(tmp_path: Path, above: str, rule: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"version: 1\n{above}rules: [{{name: a, on: message.received, {rule}}}]\n")
    (problem,) = load_rules([path]).problems
    assert "'+1555'" in problem.message
    assert "has too few digits for a number of +1" in problem.message
    path.write_text(path.read_text().replace("+1555'", "+15551000001'"))
    assert load_rules([path]).problems == []


def test_who_meant_all_numbers_that_begin_so_is_told_how_to_write_it(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\nrules: [{name: a, on: message.received, from: '+1555', do: [{reply: x}]}]\n"
    )
    (problem,) = load_rules([path]).problems
    assert problem.hint == "+1555* is for every number that begins so"


def test_the_beginnings_of_numbers_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\nlists: {codes: ['+1555', '+44']}\nrules:\n"
        "  - name: a\n    on: message.received\n    from: ['+1555*', '1555']\n"
        "    if: lists.codes.exists(each, event.from.startsWith(each))\n    do: [reply: x]\n"
    )
    assert load_rules([path]).problems == []


@pytest.mark.parametrize("layer", ["ringback.toml", "environment"])
def test_the_sender_of_the_settings_is_looked_at(tmp_path: Path, layer: str) -> None:
    (tmp_path / "ringback.toml").write_text(
        "port = 1\n" + ('sender = "+4412"\n' if layer == "ringback.toml" else "")
    )
    environ = {"RINGBACK_SENDER": "+4412"} if layer == "environment" else {}
    (problem,) = Project.load(Settings.load(tmp_path, environ)).problems
    assert problem.file == layer
    assert problem.line == (2 if layer == "ringback.toml" else 0)
    assert "'+4412' has too few digits for a number of +44" in problem.message


ANSWER = "- {{name: a, on: message.received, do: [{step}]}}"


def _met(tmp_path: Path, step: str, body: str, who: str) -> Reaction:
    path = tmp_path / "rules.yaml"
    path.write_text(f"version: 1\nrules:\n{ANSWER.format(step=step)}\n")
    return Bench.load(path).react(sms(body, from_=who))


def test_a_recipient_that_a_text_named_is_not_tried(tmp_path: Path) -> None:
    step = "{send: {to: '${{ event.body }}', body: x}}"
    (held,) = _met(tmp_path, step, "+4412", "+12025550142").held
    assert held.state == "refused"
    assert held.reason.startswith("'+4412' has too few digits for a number of +44")


@pytest.mark.parametrize("step", ["{reply: x}", "{send: {to: '${{ event.from }}', body: x}}"])
def test_who_wrote_to_us_is_answered_whatever_the_number(tmp_path: Path, step: str) -> None:
    """The plan of a country may have changed since ours was printed."""
    assert _met(tmp_path, step, "hello", "+4412").texts == ["x"]


def test_nobody_texts_from_it_in_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--from", "--to"):
        given = ["--project", str(tmp_path), "simulate", "message", "x", option, "+1555"]
        assert run(given) == 2
        assert "+1555 has too few digits for a number of +1" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["", " ", "a/b"])
def test_nobody_has_no_number_in_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    assert run(["--project", str(tmp_path), "simulate", "react", "like", "--from", number]) == 2
    assert f"{number!r} is nobody's number; write one as +1" in capsys.readouterr().err
