"""Addresses in whatever spelling: every guard of the gate holds for the person behind it."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from ringback.cli.main import main
from ringback.cli.project_context import Place
from scenarios.test_gate import Begin, ends, refused, says
from simulation.twilio import OURS, SERVICE

CARL = "+14155550310"
RULES = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do: [{send: {to: "${{ event.body.part(4, 99) }}", body: "Hello ${{ event.sid }}"}}]
"""
SPELLINGS = [
    "+14155550310", "14155550310", "4155550310", "(415) 555-0310", "415.555.0310",
    "+1 415 555 0310", "tel:+1-415-555-0310", "\u202a+1 (415) 555\u20110310\u202c",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_opt_out_holds_for_the_person_and_not_for_a_spelling(
    begin: Begin, spelling: str
) -> None:
    story = begin(rules=RULES)
    says(story, "STOP", who=CARL)
    says(story, f"ask {spelling}")
    (ended,) = ends(story)
    assert refused(ended, f"{CARL} opted out of {OURS}")
    says(story, "START", who=CARL)
    says(story, f"ask {spelling}")
    assert ends(story)[1] == "sent"
    assert [record.to for record in story.twilio.records.values()] == [CARL]


def test_our_own_number_is_known_in_every_spelling(begin: Begin) -> None:
    story = begin(rules=RULES)
    for spelling in ("15550000001", "(555) 000-0001", f"whatsapp:{OURS}", "whatsapp:5550000001"):
        says(story, f"ask {spelling}")
    assert all(refused(ended, "is our own number") for ended in ends(story))
    assert len(ends(story)) == 4


def test_the_budget_of_a_recipient_counts_every_spelling(begin: Begin) -> None:
    story = begin(rules=RULES, recipient_per_hour=2)
    for spelling in SPELLINGS[:4]:
        says(story, f"ask {spelling}")
    first, second, *rest = ends(story)
    assert (first, second) == ("sent", "sent")
    assert all(refused(ended, "2 an hour to one recipient") for ended in rest)


def test_quiet_hours_are_those_of_the_person_in_every_spelling(begin: Begin) -> None:
    """The story begins at midnight in London."""
    story = begin(rules=RULES, quiet_hours="22:00-08:00", quiet_zone="Asia/Tokyo")
    for spelling in ("+442071838750", "442071838750", "+44 (0)20 7183 8750"):
        says(story, f"ask {spelling}")
    waits = ends(story)
    assert len(waits) == 3
    assert all(each.startswith("deferred: quiet hours until 2026-01-01T08:00") for each in waits)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("5550142", "does not name its country"),
        ("1234567890123456789", "does not name its country"),
        ("+266696687", "hides their number"),
        ("7378742833", "hides their number"),
        ("anonymous", "hides their number"),
        ("messenger:1234", f"{OURS} cannot reach messenger:1234"),
    ],
)
def test_nothing_leaves_for_an_address_that_nobody_has(begin: Begin, to: str, words: str) -> None:
    story = begin(rules=RULES)
    says(story, f"ask {to}")
    (ended,) = ends(story)
    assert refused(ended, words)
    assert not story.twilio.records


# Channels


def test_the_channel_of_the_sender_follows_that_of_the_recipient(begin: Begin) -> None:
    """Whichever the default sender is."""
    for sender in (OURS, f"whatsapp:{OURS}"):
        story = begin(rules=RULES, sender=sender)
        says(story, f"ask whatsapp:{CARL}")
        says(story, f"ask {CARL}")
        assert [(record.sender, record.to) for record in story.twilio.records.values()] == [
            (f"whatsapp:{OURS}", f"whatsapp:{CARL}"),
            (OURS, CARL),
        ]


def test_a_stop_on_whatsapp_holds_for_what_a_plain_sender_would_send_there(begin: Begin) -> None:
    story = begin(rules=RULES)
    says(story, "STOP", who=f"whatsapp:{CARL}", to=f"whatsapp:{OURS}")
    says(story, f"ask whatsapp:{CARL}")
    says(story, f"ask {CARL}")
    on_whatsapp, by_sms = ends(story)
    assert refused(on_whatsapp, f"whatsapp:{CARL} opted out of whatsapp:{OURS}")
    assert by_sms == "sent"


@pytest.mark.parametrize(
    ("sender", "to", "fine"),
    [
        ("messenger:4711", CARL, False),
        ("messenger:4711", f"whatsapp:{CARL}", False),
        (f"whatsapp:{OURS}", f"whatsapp:{CARL}", True),
        (SERVICE, f"whatsapp:{CARL}", True),
        (SERVICE, CARL, True),
        ("ACME", f"whatsapp:{CARL}", False),
        ("72000", f"whatsapp:{CARL}", False),
    ],
)
def test_a_pair_that_cannot_be_is_named_by_the_gate(
    begin: Begin, sender: str, to: str, fine: bool
) -> None:
    story = begin(rules=RULES, sender=sender)
    says(story, f"ask {to}")
    (ended,) = ends(story)
    assert ended == "sent" if fine else refused(ended, f"{sender} cannot reach {to}", "from:")


# People whose number has two spellings


TWINS = [
    ("+525512345678", "+5215512345678"),
    ("+5491123456789", "+541123456789"),
    ("+5531987654321", "+553187654321"),
    ("+2290197123456", "+22997123456"),
]


@pytest.mark.parametrize("channel", ["", "whatsapp:"])
@pytest.mark.parametrize("pair", TWINS)
def test_a_person_whose_number_has_two_spellings_is_one(
    begin: Begin, pair: tuple[str, str], channel: str
) -> None:
    """For opt-outs, budgets and what is remembered. What is sent goes where it was written to."""
    remembers = """
  - {name: keep, on: message.received, if: event.body == 'I am Ann', do: [{remember: {who: Ann}}]}
  - name: name
    on: message.received
    if: event.body == 'me'
    do: [{reply: "${{ remembered('who') }}"}]
"""
    ours = f"{channel}{OURS}"
    one, other = (f"{channel}{number}" for number in pair)
    for first, second in ((one, other), (other, one)):
        story = begin(rules=RULES + remembers, recipient_per_hour=3)
        says(story, "I am Ann", who=first, to=ours)
        says(story, "me", who=second, to=ours)
        assert [(each.to, each.body) for each in story.twilio.records.values()] == [(second, "Ann")]
        says(story, "STOP", who=first, to=ours)
        says(story, f"ask {second}")
        says(story, "START", who=second, to=ours)
        for number in (first, second, first):
            says(story, f"ask {number}")
        stopped, *rest, last = ends(story)
        assert refused(stopped, f"{second} opted out of {ours}")
        assert rest == ["sent", "sent"]
        assert refused(last, "3 an hour to one recipient")
        assert [each.to for each in story.twilio.records.values()] == [second, first, second]


def test_our_own_number_is_known_in_both_spellings(begin: Begin) -> None:
    story = begin(rules=RULES, sender="+525512345678")
    says(story, "ask +5215512345678", to="+525512345678")
    (ended,) = ends(story)
    assert refused(ended, "is our own number")


def test_neighbours_are_two_people(begin: Begin) -> None:
    """A fixed line of São Paulo, and a mobile number that is longer by a 9."""
    for one, other in (("+551145678901", "+5511945678901"), ("+14155550310", "+114155550310")):
        story = begin(rules=RULES)
        says(story, "STOP", who=one)
        says(story, f"ask {other}")
        assert not any("opted out" in ended for ended in ends(story))


def test_the_end_of_an_action_names_its_person_as_it_was_written(begin: Begin) -> None:
    told = """
  - {name: told, on: action.refused, do: [{notify: "${{ event.theirs }} ${{ event.to }}"}]}
"""
    story = begin(rules=RULES + told)
    says(story, "STOP", who="+525512345678")
    says(story, "ask +5215512345678")
    story.run(story.clock.now + 5.0)
    assert story.notices == ["+5215512345678 +5215512345678"]


# The shell


@pytest.mark.parametrize("written", ["+15551000001", "15551000001", "(555) 100-0001"])
def test_the_shell_finds_a_person_in_every_spelling(
    begin: Begin, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    story = begin(rules=RULES)
    says(story, "hello there")
    story.end()
    (story.folder / "ringback.toml").write_text(f'data = "."\nsender = "{OURS}"\n')
    for command in (["events", "list", "--number", written], ["trace", written]):
        with suppress(SystemExit):
            main(["-C", str(story.folder), *command])
        assert "message.received" in capsys.readouterr().out


def test_the_shell_reads_a_number_by_a_number_of_dev_where_the_project_has_no_sender(
    tmp_path: Path,
) -> None:
    (tmp_path / "ringback.toml").write_text("")
    place = Place(tmp_path, {})
    assert place.number("(415) 555-0310") == "(415) 555-0310"
    note = tmp_path / "data" / "dev" / "dev.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"pid": os.getpid(), "base_url": "", "numbers": [OURS]}))
    assert place.number("(415) 555-0310") == "+14155550310"
    assert place.number("442071838750") == "+442071838750"
