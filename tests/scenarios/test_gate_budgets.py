"""Budgets, quiet hours and the pause, with the real worker in a stepped world."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.project import Project
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.twilio.rest import Request
from simulation import life
from simulation.story import Story
from simulation.twilio import Answer

HOUR = 3600.0
ANN, BERLIN = "+15551000001", "+4915112345678"
RULES = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do: [{reply: "You asked: ${{ event.body }}"}]
  - name: remind
    on: message.received
    if: event.body.startsWith('remind')
    do: [{send: {to: "${{ event.from }}", body: "Think of ${{ event.body }}"}}]
  - name: ring
    on: message.received
    if: event.body.startsWith('ring')
    do: [{call: {to: "${{ event.from }}", say: Hello.}}]
"""
Begin = Callable[..., Story]


def limited(budget: str) -> str:
    """The rules, the first of them with this budget."""
    return (
        RULES.replace("name: answer", f"name: answer\n    budget: {{{budget}}}")
        if budget
        else RULES
    )


def says(story: Story, *bodies: str, who: str = "") -> None:
    """Texts come in at the same moment, each from somebody else, and some seconds pass."""
    for body in bodies:
        sender = who or f"+1555200{len(story.twilio.heard):04d}"
        story.receive(story.text(body, sender))
    story.run(story.clock.now + 4.0)


def ends(story: Story, rule: str = "answer") -> list[str]:
    """What became of the actions of a rule: `sent`, or the reason why not."""
    reader = connect_reader(story.folder / "journal.db")
    try:
        rows = reader.execute(
            "select state, reason, remote_sid from actions where rule = ? order by id", (rule,)
        ).fetchall()
    finally:
        reader.close()
    return ["sent" if sid else f"{state}: {reason}" for state, reason, sid in rows]


def restart(story: Story) -> None:
    story.kill()
    story.start()
    story.run(story.clock.now + 1.0)


# Budgets


@pytest.mark.parametrize(
    ("budget", "settings", "left", "reason"),
    [
        ("", {"total_per_hour": 3}, 3, "3 an hour in all (RINGBACK_TOTAL_PER_HOUR)"),
        ("", {"total_per_day": 3}, 3, "3 a day in all (RINGBACK_TOTAL_PER_DAY)"),
        ("", {"segments_per_day": 3}, 3, "3 segments a day in all (RINGBACK_SEGMENTS_PER_DAY)"),
        ("", {"price_per_day": 0.03, "segment_price": 0.01}, 3, "(RINGBACK_PRICE_PER_DAY)"),
        ("per_day: 3", {}, 3, "3 a day by rule 'answer' (budget.per_day)"),
        ("segments_per_day: 3", {}, 3, "rule 'answer' (budget.segments_per_day): 3 are used"),
        ("price_per_day: 0.03", {"segment_price": 0.01}, 3, "(budget.price_per_day)"),
    ],
)
def test_each_budget_lets_out_so_much_and_names_itself(
    begin: Begin, budget: str, settings: dict[str, Any], left: int, reason: str
) -> None:
    """However many come at the same moment, and whoever is killed after the first two."""
    story = begin(rules=limited(budget), **settings)
    says(story, "ask 1", "ask 2")
    restart(story)
    says(story, *(f"ask {number}" for number in range(3, 20)))
    ended = ends(story)
    assert len(story.twilio.records) == ended.count("sent") == left
    rest = [each for each in ended if each != "sent"]
    assert len(rest) == 19 - left
    assert all(each.startswith("refused: budget: ") and reason in each for each in rest)


def test_the_budget_of_one_recipient_is_no_other_s(begin: Begin) -> None:
    story = begin(rules=RULES, recipient_per_hour=2)
    for number in range(4):
        says(story, f"ask {number}", who=ANN)
    says(story, "ask else")
    ended = ends(story)
    assert ended[:2] + ended[4:] == ["sent"] * 3
    assert all("2 an hour to one recipient (RINGBACK_RECIPIENT_PER_HOUR)" in e for e in ended[2:4])
    restart(story)
    says(story, "ask again", who=ANN)
    assert ends(story)[-1].startswith("refused: budget")


@pytest.mark.slow
def test_what_had_to_wait_for_hours_comes_out_of_the_budget_of_the_hour_in_which_it_leaves(
    begin: Begin,
) -> None:
    """Texts gather in a pause. Afterwards one person gets no more of them in an hour than ever."""
    story = begin(rules=RULES, recipient_per_hour=2)
    assert story.life is not None
    story.life.ask("pause")
    for number in range(6):
        says(story, f"ask {number}", who=ANN)
    story.run(story.clock.now + 2 * HOUR)
    story.life.ask("resume")
    story.run(story.clock.now + 30.0)
    assert [each[:15] for each in ends(story)] == ["sent"] * 2 + ["refused: budget"] * 4
    restart(story)
    says(story, "ask again", who=ANN)
    assert ends(story)[-1].startswith("refused: budget")
    story.run(story.clock.now + HOUR)
    says(story, "ask later", who=ANN)
    assert ends(story)[-1] == "sent"
    story.run(story.clock.now + HOUR)
    says(story, "ask later", who=ANN)
    assert ends(story)[-1] == "sent"


def test_the_budget_of_a_rule_is_no_other_s(begin: Begin) -> None:
    story = begin(rules=limited("per_day: 1"))
    says(story, "ask 1", "ask 2", "remind 1", "remind 2")
    assert sorted(ends(story))[1] == "sent"
    assert ends(story, "remind") == ["sent", "sent"]


def test_long_texts_take_more_and_calls_none(begin: Begin) -> None:
    story = begin(rules=RULES, segments_per_day=3)
    says(story, "ask " + "x" * 200)
    says(story, "ask " + "ж" * 100)
    says(story, "ring 1")
    says(story, "ask 1")
    ended = ends(story)
    assert (ended[0], ended[2]) == ("sent", "sent")
    assert ended[1].endswith("2 are used, 2 asked")
    assert ends(story, "ring") == ["sent"]


@pytest.mark.slow
def test_a_new_day_is_one_of_the_configured_zone(begin: Begin) -> None:
    """Midnight on Cape Verde is one o'clock in UTC; what is spent before counts across a restart,
    and what was spent yesterday does not."""
    story = begin(rules=RULES, total_per_day=2, quiet_zone="Atlantic/Cape_Verde")
    says(story, "ask 1", "ask 2")
    story.run(0.9 * HOUR)
    restart(story)
    says(story, "ask 3")
    story.run(1.01 * HOUR)
    says(story, "ask 4")
    restart(story)
    says(story, "ask 5")
    says(story, "ask 6")
    ended = ends(story)
    assert [each == "sent" for each in ended] == [True, True, False, True, True, False]


@pytest.mark.slow
def test_a_clock_that_is_set_back_into_yesterday_finds_its_day_spent(begin: Begin) -> None:
    story = begin(rules=RULES, total_per_day=1, quiet_zone="Atlantic/Cape_Verde")
    says(story, "ask 1")
    story.run(1.1 * HOUR)
    says(story, "ask 2")
    story.set_clock(-0.5 * HOUR)
    says(story, "ask 3")
    story.set_clock(0.0)
    says(story, "ask 4")
    ended = ends(story)
    assert [each == "sent" for each in ended] == [True, True, False, False]


def test_what_twilio_does_not_take_is_not_spent(begin: Begin) -> None:
    """Refused connections and rejected numbers cost nothing; what may have happened does."""
    story = begin(rules=RULES, total_per_day=2)
    story.twilio.next_create = ["refused_before", "none", "rejected", "timeout_before"]
    says(story, "ask 1")
    story.run(story.clock.now + 60.0)
    assert ends(story) == ["sent"]
    says(story, "ask 2")
    assert ends(story)[1].startswith("failed")
    restart(story)
    says(story, "ask 3")
    says(story, "ask 4")
    assert ends(story)[2].startswith("sending")
    assert ends(story)[3].startswith("refused: budget")


def test_a_budget_of_money_wants_a_price(begin: Begin, tmp_path: Path) -> None:
    """For a rule it is a mistake of the project, with the place and the mend."""
    story = begin(rules=RULES)
    (tmp_path / "rules").mkdir()
    text = limited("price_per_day: 5.00")
    (tmp_path / "rules" / "a.yaml").write_text(text)
    settings = replace(life.settings_for(tmp_path), project=tmp_path)
    (problem,) = Project.load(settings).problems
    assert (problem.file, problem.line) == ("rules/a.yaml", 3)
    assert "RINGBACK_SEGMENT_PRICE" in problem.hint
    assert Project.load(replace(settings, segment_price=0.0079)).problems == []
    story.run(1.0)


# Quiet hours


@pytest.mark.slow
def test_quiet_hours_put_off_until_the_recipient_s_morning(begin: Begin) -> None:
    """It is one in the morning in Berlin, and seven in the evening or earlier in America. Replies
    go out; a text of our own leaves at eight there, although that is hours after it is sent at
    other times; a restart in between loses nothing."""
    story = begin(rules=RULES, quiet_hours="21:00-08:00")
    says(story, "remind 1", "ask 1", who=BERLIN)
    says(story, "ring 1", who=BERLIN)
    says(story, "remind 2", who=ANN)
    assert ends(story) == ["sent"]
    night, day = ends(story, "remind")
    assert night == (f"deferred: quiet hours until 2026-01-01T07:00:00.000Z for {BERLIN}")
    assert day == "sent"
    assert ends(story, "ring")[0].startswith("deferred")
    story.run(3 * HOUR)
    restart(story)
    story.run(7 * HOUR - 5.0)
    assert ends(story, "remind")[0].startswith("deferred")
    story.run(7 * HOUR + 60.0)
    assert ends(story, "remind") == ["sent", "sent"]
    assert ends(story, "ring") == ["sent"]
    (made,) = (r for r in story.twilio.records.values() if r.body == "Think of remind 1")
    assert 7 * HOUR <= made.made_at < 7 * HOUR + 30.0


# The pause


def test_a_pause_holds_everything_across_restarts_until_it_is_ended(begin: Begin) -> None:
    story = begin(rules=RULES)
    assert story.life is not None
    story.life.ask("pause")
    story.run(1.0)
    says(story, "ask 1")
    restart(story)
    says(story, "ask 2")
    assert ends(story) == ["planned: ", "planned: "]
    assert not story.twilio.records
    story.life.ask("resume")
    story.run(story.clock.now + 5.0)
    assert ends(story) == ["sent", "sent"]
    restart(story)
    says(story, "ask 3")
    assert ends(story)[2] == "sent"


def test_a_pause_holds_what_waits_for_its_turn_already(begin: Begin) -> None:
    """From the answer to the operator on, no request leaves: not even one that was about to,
    because the rate would let it out now."""
    story = begin(rules=RULES, gateway_rate=2.0)
    left: list[float] = []
    take = story.twilio.take

    def watched(request: Request, answer: Callable[[Answer], None]) -> None:
        if request.makes:
            left.append(story.clock.now)
        take(request, answer)

    story.twilio.take = watched  # type: ignore[method-assign]
    assert story.life is not None
    for number in range(30):
        story.receive(story.text(f"ask {number}", f"+1555200{number:04d}"))
    story.run(story.clock.now + 2.2)
    story.life.ask("pause")
    story.run(story.clock.now + 0.1)
    assert story.life.engine.sender.paused
    before = len(left)
    story.run(story.clock.now + 120.0)
    assert 2 < len(left) == before < 30
    story.life.ask("resume")
    story.run(story.clock.now + 120.0)
    assert ends(story) == ["sent"] * 30
    assert len(left) == 30


def test_a_pause_that_comes_while_sending_goes_on_again_holds(begin: Begin) -> None:
    """Two operators at once: the one who says pause last is obeyed, in memory as on disk."""
    story = begin(rules=RULES)
    assert story.life is not None
    story.life.ask("pause")
    story.run(story.clock.now + 1.0)
    resumed, _ = story.life.ask("resume"), story.life.ask("pause")
    story.run(story.clock.now + 1.0)
    assert resumed.result()["state"] == "paused"
    says(story, "ask 1")
    assert ends(story) == ["planned: "]
    restart(story)
    assert ends(story) == ["planned: "]
    story.life.ask("resume")
    story.run(story.clock.now + 5.0)
    assert ends(story) == ["sent"]
