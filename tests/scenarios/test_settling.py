"""Settling beside other work: doubtful sends are looked after in time, whatever else is sent."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import pytest

from ringback.store.upkeep.backup import backup
from ringback.twilio.rest import Request
from ringback.worker.send import settle
from ringback.worker.send.launch import FEW
from simulation.checker import judge
from simulation.faults import Faults, calm
from simulation.story import Story
from simulation.twilio import OURS, SERVICE, Answer, Record

Begin = Callable[..., Story]
SETTLE = 60.0
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said ${{ event.body }}"}]
"""


def looks_at(story: Story) -> dict[str, list[float]]:
    """Note for each recipient when the list of what was sent to them is read."""
    looks: dict[str, list[float]] = {}
    take = story.twilio.take

    def watched(request: Request, answer: Callable[[Answer], None]) -> None:
        query = dict(request.form)
        if request.method == "GET" and "To" in query:
            looks.setdefault(query["To"], []).append(story.clock.now)
        take(request, answer)

    story.twilio.take = watched  # type: ignore[method-assign]
    return looks


def write(story: Story, rate: float, seconds: float) -> None:
    """Let a text come in from somebody new so many times a second."""
    rng = Random(7)

    def arrive(sender: str) -> None:
        story.receive(story.text("hello", sender))

    for number in range(int(rate * seconds)):
        story.twilio.after(rng.uniform(0.0, seconds), partial(arrive, f"+1556{number:07d}"))


def doubts(story: Story) -> dict[str, tuple[float, float]]:
    """When each action became unknown, and when it was so no longer."""
    spans: dict[str, tuple[float, float]] = {}
    for when, move in story.moves:
        if move.new == "unknown" and move.uid not in spans:
            spans[move.uid] = (when, float("inf"))
        elif move.old == "unknown" and spans[move.uid][1] == float("inf"):
            spans[move.uid] = (spans[move.uid][0], when)
    return spans


def lossy(share: float) -> Faults:
    """Connections are reset, half of them after the request was carried out; no callback comes."""
    return replace(
        calm(), create={"reset_before": share / 2, "reset_after": share / 2}, callback_lost=1.0
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "texts", "share"),
    [
        (1.0, 1.5, 0.1),
        pytest.param(2.0, 4.0, 0.3, marks=pytest.mark.slow),
        pytest.param(8.0, 10.0, 0.05, marks=pytest.mark.slow),
    ],
)
def test_looks_come_in_time_at_any_load(
    begin: Begin, rate: float, texts: float, share: float
) -> None:
    """More is to be sent than the key's rate allows. The first look after a doubtful send comes
    within 15 s of its time, and its fate is known within twice the time that an idle node needs."""
    idle = begin(lossy(0.0), rules=RULES)
    idle.twilio.next_create = ["reset_before"]
    idle.receive(idle.text("hello", "+15551000001"))
    idle.run(400.0)
    (spent,) = [ended - began for began, ended in doubts(idle).values()]

    story = begin(lossy(share), rules=RULES, gateway_rate=rate)
    looks = looks_at(story)
    write(story, texts, 90.0)
    story.run(400.0)
    people = dict(story.ask("select uid, json_extract(params, '$.to') from actions"))
    spans = {uid: span for uid, span in doubts(story).items() if span[0] < 400.0 - 2 * spent}
    waits = [min(looks[people[uid]]) - began - SETTLE for uid, (began, _) in spans.items()]
    assert len(waits) > 5
    assert max(waits) <= 15.0
    assert max(ended - began for began, ended in spans.values()) <= 2 * spent
    assert judge(story, drained=False).doubled == 0


def creates_fail(story: Story, span: tuple[float, float]) -> None:
    """Between two moments every create is answered with 500 and not carried out; lists are read."""
    faulty = replace(story.faults, create={"500_before": 1.0})
    good = story.faults
    story.twilio.after(span[0], lambda: setattr(story.twilio, "faults", faulty))
    story.twilio.after(span[1], lambda: setattr(story.twilio, "faults", good))


@pytest.mark.slow
@pytest.mark.parametrize("made", [False, True], ids=["it is not there", "it is there"])
def test_a_list_of_more_than_a_page_is_read_on(begin: Begin, made: bool) -> None:
    """2,400 newer texts to the same person stand before ours in Twilio's list. It is found behind
    them and not sent twice; when it was never made, that is known and it is sent again."""
    story = begin(replace(calm(), callback_lost=1.0), rules=BOOKED)
    story.twilio.next_create = ["reset_after" if made else "reset_before"]
    story.receive(story.text("book", ANN))
    story.run(2.0)
    for number in range(2400):
        sid = f"SM{number:032x}"
        at = story.clock.now + number / 1000
        story.twilio.records[sid] = Record(
            sid, "messages", "", OURS, ANN, f"other {number}", at, at
        )
    story.run(900.0)
    assert [state for (state,) in story.ask("select state from actions")] == ["settled"]
    assert len(story.twilio.records) == 2401


@pytest.mark.slow
@pytest.mark.parametrize("texts", [0.5, 0.02])
def test_after_an_outage_of_creates_everything_is_sent(begin: Begin, texts: float) -> None:
    """Creates alone fail for half an hour, with so many texts a second that the breaker opens, or
    does not. Looks prove each time that nothing was made: all is sent in the end, nothing twice,
    nothing parked; and behind the breaker the looks come in time as well."""
    story = begin(replace(calm(), callback_lost=1.0), rules=RULES, gateway_rate=8.0)
    looks = looks_at(story)
    creates_fail(story, (30.0, 1830.0))
    write(story, texts, 120.0 if texts > 0.1 else 1800.0)
    story.run(1800.0)
    people = dict(story.ask("select uid, json_extract(params, '$.to') from actions"))
    tried = len(story.twilio.recipients)
    began = [(people[uid], at) for uid, (at, _) in doubts(story).items() if at < 1700.0]
    assert max(looks[to][0] - at - SETTLE for to, at in began) <= 15.0
    story.run(3600.0)
    states = [state for (state,) in story.ask("select state from actions")]
    assert set(states) <= {"accepted", "settled"}
    assert len(story.twilio.records) == len(states) == len(people)
    assert judge(story, drained=False).problems == []
    if texts > 0.1:
        assert tried < len(people) * 1.5, "the breaker lets one go at a time"


LONG = "Your table for four is booked for Friday at half past seven, by the window."
BOOKED = f"""
rules:
  - name: booked
    on: message.received
    if: event.body == 'book'
    do: [{{reply: "{LONG}"}}]
  - name: asked
    on: message.received
    if: event.body == 'ask'
    do: [{{reply: "{LONG.replace("Friday", "Sunday")}"}}]
"""
ANN = "+15551000001"


def cut(text: str) -> str:
    return text[:40]


def with_way_out(text: str) -> str:
    return text + " Reply STOP to opt out."


@pytest.mark.parametrize("change", [cut, with_way_out])
@pytest.mark.parametrize("restored", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_record_that_differs_a_little_is_not_taken_for_an_absence(
    begin: Begin, change: Callable[[str], str], restored: bool
) -> None:
    """The gateway changes texts, and an answer is lost. Nobody can say whether the record that is
    there is ours: a person decides, and sees both texts. After a restore as well."""
    story = begin(replace(calm(), callback_lost=1.0), rules=BOOKED)
    place = story.folder / "copy"
    if restored:
        story.run(30.0)
        list(backup(story.folder, place))
    story.twilio.next_create = ["none" if restored else "reset_after"]
    story.receive(story.text("book", ANN))
    story.run(story.clock.now + 30.0)
    (record,) = story.twilio.records.values()
    record.body = change(record.body)
    if restored:
        story.kill()
        for old in story.folder.glob("journal.db*"):
            old.unlink()
        shutil.copy(place / "journal.db", story.folder / "journal.db")
        story.start()
    story.run(story.clock.now + 1200.0)
    assert len(story.twilio.records) == 1
    ((state, reason),) = story.ask("select state, reason from actions")
    assert state == "parked"
    assert settle.CHANGED in reason
    assert record.sid in reason
    assert reason.count("“") == 2


def test_the_records_of_others_prove_nothing_about_ours(begin: Begin) -> None:
    """What is like our text and is no record of ours: an inbound text, that of another sender, one
    that another action holds, one whose own send is in doubt as well. Ours is sent again."""
    story = begin(replace(calm(), callback_lost=1.0), rules=BOOKED)
    sent = Record("", "messages", "", OURS, ANN, LONG[:40], 0.0, 0.0)
    for number, other in enumerate((
        replace(sent, direction="inbound"), replace(sent, sender="+15550000009"),
        replace(sent, service=SERVICE), replace(sent, direction="outbound-reply"),
        replace(sent, to="+15551000009"), replace(sent, body="Your code is 4711."),
    )):  # fmt: skip
        sid = f"SM{number:032x}"
        story.twilio.records[sid] = replace(other, sid=sid)
    before = len(story.twilio.records)
    story.twilio.next_create = ["reset_before", "reset_after"]
    story.receive(story.text("book", ANN))
    story.run(1.0)
    story.receive(story.text("ask", ANN))
    story.run(900.0)
    assert [state for (state,) in story.ask("select state from actions")] == ["settled"] * 2
    assert len(story.twilio.records) == before + 2


@pytest.mark.slow
def test_a_death_at_a_gateway_that_does_not_answer_leaves_few_in_doubt(begin: Begin) -> None:
    """Two hundred texts wait, no connection comes about, and the worker dies: no more than the few
    that were on their way to one are in doubt, and all others leave at once afterwards."""
    story = begin(calm(), rules=RULES)
    story.twilio.unreachable = True
    write(story, 100.0, 2.0)
    story.run(3.0)
    story.kill()
    story.twilio.unreachable = False
    story.start()
    story.run(story.clock.now + 30.0)
    counts = dict(story.ask("select state, count(*) from actions group by state"))
    assert counts["unknown"] <= FEW
    assert counts["unknown"] + counts["settled"] == 200
    story.run(story.clock.now + 300.0)
    assert story.ask("select state, count(*) from actions group by state") == [("settled", 200)]
    assert judge(story, drained=False).doubled == 0
