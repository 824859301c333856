"""Addresses that a rule is for: a person is found in whatever spelling."""

import json
from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules
from ringback.testing import Bench, sms

TWINS = [
    ("+525512345678", "+5215512345678"),
    ("+5491123456789", "+541123456789"),
    ("+5531987654321", "+553187654321"),
    ("+2290197123456", "+22997123456"),
    ("whatsapp:+525512345678", "whatsapp:+5215512345678"),
]
LISTED = """
lists: {vip: [NUMBER, "+12025550199"], other: ["+12025550198"]}
rules:
  - {name: it, on: message.received, WHOM, do: [{notify: "${{ lists.vip.size() }}"}]}
"""
WHOM = {
    "from": "from: NUMBER",
    "from list": "from: lists.vip",
    "in list": "if: event.from in lists.vip",
    "in lists": "if: event.from in lists.other + lists.vip",
    "in bracket": "if: '(event.from) in (lists.other + lists.vip) && size(lists.vip) == 2'",
    "not in list": "if: '!(event.from in lists.vip) ? false : lists.vip[1] != event.from'",
    "an argument": "if: 'string(event.from in lists.vip) == \"true\"'",
    "a field": "if: event.field('From') in lists.vip",
}


def bench(folder: Path, text: str) -> Bench:
    path = folder / "rules.yaml"
    path.write_text(text)
    return Bench.load(path)


def rules(whom: str, number: str) -> str:
    return LISTED.replace("WHOM", whom).replace("NUMBER", json.dumps(number))


@pytest.mark.parametrize("whom", WHOM.values(), ids=WHOM)
@pytest.mark.parametrize("pair", TWINS)
def test_a_person_with_two_spellings_is_found_by_the_other_one(
    tmp_path: Path, pair: tuple[str, str], whom: str
) -> None:
    """And the list keeps the length that it has."""
    for written, sent in (pair, pair[::-1]):
        made = bench(tmp_path, rules(whom, written)).react(sms("x", from_=sent))
        assert [each.text for each in made.actions] == ["2"]  # type: ignore[union-attr]
        stranger = bench(tmp_path, rules(whom, written)).react(sms("x", from_="+12025550142"))
        assert not stranger.actions


@pytest.mark.parametrize(
    "written",
    ["+1 (415) 555-0310", "+1 415-555-0310 ext. 12", "+1 (0) 415 555 0310", "+1-415-555-0310",
     "tel:+1.415.555.0310", "\u202a+1 415 555 0310\u202c"],
)  # fmt: skip
@pytest.mark.parametrize("whom", ["from", "from list", "in list"])
def test_a_number_is_found_however_it_is_written_down(
    tmp_path: Path, written: str, whom: str
) -> None:
    text = rules(WHOM[whom], written)
    assert bench(tmp_path, text).react(sms("x", from_="+14155550310")).actions


@pytest.mark.parametrize("whom", ["from", "from list", "in list"])
def test_letters_in_a_number_are_keys(tmp_path: Path, whom: str) -> None:
    text = rules(WHOM[whom], "+1-415-555-CAFE")
    assert bench(tmp_path, text).react(sms("x", from_="+14155552233")).actions


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("+1555*", "+15550000001"),
        ("+1 (555) *", "+15550000001"),
        ("+44 (0)20*", "+442071838750"),
        ("+5255*", "+5215512345678"),
        ("+52155*", "+525512345678"),
        ("whatsapp:+52 1 55*", "whatsapp:+525512345678"),
        ("whatsapp:*", "whatsapp:+15550000001"),
    ],
)
def test_a_range_knows_every_spelling(tmp_path: Path, written: str, sent: str) -> None:
    made = bench(tmp_path, rules(WHOM["from"], written))
    assert made.react(sms("x", from_=sent)).actions
    assert not made.react(sms("x", from_="+12025550142")).actions


def test_our_number_is_known_by_to_in_both_spellings(tmp_path: Path) -> None:
    for written, ours in (TWINS[0], TWINS[0][::-1]):
        text = rules("to: NUMBER", written)
        assert bench(tmp_path, text).react(sms("x", to=ours)).actions


def test_a_range_without_its_country_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rules(WHOM["from"], "(415) *"))
    (problem,) = load_rules([path]).problems
    assert "'(415) *' has no +" in problem.message


def test_the_names_that_lists_have_inside_are_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rules("if: event.from in lists__.vip", TWINS[0][0]))
    assert "lists__" in load_rules([path]).problems[0].message
