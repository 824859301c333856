"""Questions of rules: `ask` by text and `gather` in a call, once more when the answer fits not."""

from pathlib import Path
from typing import Any

import pytest

from admission.compare import Seen, difference, on_node
from admission.node import Loaded, Node, settings_of
from admission.stories import OTHER, PEOPLE, Step, Story, status, text
from ringback.actions import Notify
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.testing import Bench, call_step, incoming_call, sms

ANN, BOB = PEOPLE[:2]
BOOK = """
- name: book
  on: message.received
  if: event.body == 'book'
  do:
    - ask:
        text: Which day?
        if: reply.body.endsWith('day')
        again: "${{ reply.body }} is no day."
        as: day
        timeout: 1h
        else: [{reply: "Too late. ${{ reply.type }} ${{ vars.day }}"}, stop]
    - reply: "Noted ${{ vars.day }}."
- {name: night, on: message.received, do: [{reply: We are closed.}]}
"""
ELSE = '        else: [{reply: "Too late. ${{ reply.type }} ${{ vars.day }}"}, stop]\n'
BOSS = BOOK.replace("text: Which day?", f"text: Which day?\n        to: '{BOB}'")


async def seen(folder: Path, rules: str, *steps: Step) -> Seen:
    """What both sides make of a story."""
    found = await difference(Story(f"rules:\n{rules}\n", steps), folder)
    assert found.why == ""
    return found.node


def said(seen: Seen, who: str = ANN) -> list[str]:
    """What somebody was texted, in order."""
    lines = [line for lines in seen.told.values() for line in lines]
    start = f"send_message {who} "
    return [each.removeprefix(start).partition(" | ")[0] for each in lines if start in each]


def ends(seen: Seen, rule: str = "book") -> list[str]:
    """How the runs of a rule ended."""
    return [end for (_, name), end in seen.ends.items() if name == rule]


async def test_an_answer_that_does_not_fit_is_asked_for_again_and_is_nobody_else_s(
    tmp_path: Path,
) -> None:
    found = await seen(tmp_path, BOOK, text("book"), text("soon"), 9.0, text("Monday"), 9.0)
    assert said(found) == ["Which day?", "We are closed.", "soon is no day.", "Noted Monday."]
    held = "answer: book has asked for it, run_1"
    assert [each.get("night") for each in found.verdicts.values()] == ["fired", held, held]
    assert ends(found) == ["done: `ask` (line 7): answer 1 of 3 does not fit: if:1"]


@pytest.mark.parametrize(
    ("happens", "last", "end"),
    [
        ((text("a"), text("b"), text("c")), "Too late. message.received", "none of 3 answers fits"),
        ((3601.0,), "Too late.", "no answer to “Which day?”"),
        ((1800.0, text("a"), 1900.0), "a is no day.", ""),
        ((status("failed", code=30003),), "Too late. message.failed", "(error 30003)"),
        ((text("STOP"),), "We are closed.", "they sent STOP"),
        ((text("HELP"), text("Friday")), "Noted Friday.", ""),
    ],
)
async def test_how_a_question_ends(
    happens: tuple[Step, ...], last: str, end: str, tmp_path: Path
) -> None:
    """By the last answer that does not fit, in time, undelivered, by a STOP; HELP leaves it open.
    The time of each question is its own."""
    found = await seen(tmp_path, BOOK, text("book"), 2.0, *happens, 3.0)
    assert [*said(found)][-1].strip() == last
    assert end in "".join(ends(found))
    assert bool(ends(found)) == bool(end or last.startswith("Noted"))


async def test_without_else_a_question_without_an_answer_ends_the_run(tmp_path: Path) -> None:
    """What stands behind it needs the answer."""
    found = await seen(tmp_path, BOOK.replace(ELSE, ""), text("book"), 3601.0)
    assert said(found) == ["Which day?", "We are closed."]
    assert ends(found) == ["done: stopped: no answer to “Which day?”"]


async def test_somebody_else_is_asked_and_their_stop_leads_to_else(tmp_path: Path) -> None:
    """In the conversation of our number with them."""
    rules = BOSS.replace("night, on", "night, if: event.body == 'hi', on")
    for number, (happens, last) in enumerate((
        ((text("Monday"), text("later", BOB), text("Tuesday", BOB)), "Noted Tuesday."),
        ((text("STOP", BOB),), "Too late."),
        ((text("Monday", BOB, OTHER),), ""),
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        found = await seen(folder, rules, text("book"), 2.0, *happens, 2.0)
        assert said(found, BOB)[0] == "Which day?"
        assert (said(found) or [""])[-1].strip() == last


async def test_a_question_survives_a_restart_behind_each_text(tmp_path: Path) -> None:
    """Its tries are counted on."""
    (tmp_path / "rules.yaml").write_text(f"rules:\n{BOOK}")
    rules = load_rules(tmp_path / "rules.yaml")
    loaded = Loaded(RuleSet(rules.rules, rules.language), PluginSet())
    rows, time = 0, 0.0
    for body in ("book", "a", "b", "Sunday"):
        node = Node(settings_of(tmp_path, {}), loaded)
        node.rows, node.time = rows, max(time, node.time)
        await node.start({})
        await node.happen(text(body))
        await node.wait(5.0)
        found, rows, time = on_node(node), node.rows, node.time
        await node.close()
    assert said(found) == [
        "Which day?",
        "We are closed.",
        "a is no day.",
        "b is no day.",
        "Noted Sunday.",
    ]


def test_a_run_that_waits_when_its_question_is_gone_fails_with_that_reason(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules:\n{BOOK}")
    bench = Bench.load(path)
    bench.react(sms("book"))
    path.write_text(f"rules:\n{BOOK.replace('ask:', 'notify: x', 1).split('text: Which')[0]}")
    assert load_rules(path).problems == []
    bench._runs.waiting()[0].rule = load_rules(path).rules[0]
    with pytest.raises(Exception, match="the rule changed while this run waited"):
        bench.react(sms("Monday"))


MENU = """
- name: menu
  on: call.received
  do:
    - gather:
        say: Press 1 or 0.
        digits: 1
        WORDS
        as: key
        choices: {"1": [{enqueue: sales}], "0": [{dial: {number: "+15550100001"}}]}
        else: [{notify: "${{ vars.key }}"}, {say: Bye.}, hangup]
"""


@pytest.mark.parametrize(
    ("words", "keys", "heard", "last"),
    [
        (
            "again: Not ${{ reply.digits }}.",
            "70",
            ["Press 1 or 0.", "Not 7. Press 1 or 0."],
            "dial",
        ),
        ("tries: 2", "78", ["Press 1 or 0.", "Press 1 or 0."], "notify"),
        ("{tries: 2, again: No.}", "7 ", ["Press 1 or 0.", "No. Press 1 or 0."], "notify"),
        (
            "again: No.",
            "   ",
            ["Press 1 or 0.", "No. Press 1 or 0.", "No. Press 1 or 0."],
            "notify",
        ),
        ("language: en-GB", "7", ["Press 1 or 0."], "notify"),
        ("again: No.", "1", ["Press 1 or 0."], "enqueue"),
    ],
)
def test_a_caller_is_asked_again(
    words: str, keys: str, heard: list[str], last: str, tmp_path: Path
) -> None:
    """With `again` or `tries`; silence is no answer either."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n" + MENU.replace("WORDS", words.strip("{}").replace(", ", "\n        "))
    )
    bench = Bench.load(path)
    caller = incoming_call()
    made = [*bench.react(caller).actions]
    for key in keys:
        fields: dict[str, Any] = {"Digits": key} if key.strip() else {}
        made += bench.react(call_step(CallSid=caller.call_sid, **fields)).actions
    verbs = [verb for each in made for verb in getattr(each, "verbs", ())]
    asked = [
        " ".join(each.text for each in verb.prompts) for verb in verbs if hasattr(verb, "prompts")
    ]
    assert asked == heard
    kinds = [each.kind for each in made] + [type(verb).__name__.casefold() for verb in verbs]
    assert last in kinds
    notes = [each.text for each in made if isinstance(each, Notify)]
    assert notes == ([keys[-1].strip()] if last == "notify" else [])


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{on: call.received, do: [{ask: Hi?}]}", "'ask' asks by text, and here a caller listens"),
        ("{schedule: 0 * * * *, do: [{ask: Hi?}]}", "'ask' needs `to` here"),
        ("{schedule: 0 * * * *, do: [{ask: {text: a, to: +15550100001}}]}", "'ask' needs `from`"),
        ("{on: message.received, do: [{ask: {text: a, from: +15550100001}}]}", "belongs to `to`"),
        ("{on: message.received, do: [{ask: {text: a, tries: 0}}]}", "'tries' must be greater"),
        (
            "{on: message.received, do: [{ask: {text: a, to: '123 456'}}]}",
            "ask: '123 456' is no number",
        ),
        ("{on: message.received, do: [{ask: {text: a, if: 'event.x'}}]}", "unknown field"),
        ("{on: call.received, do: [{gather: {say: a, tries: 99}}]}", "'tries' must be less"),
        (
            "{on: message.received, do: [{call: {to: +15550100001, do: [{ask: Hi?}]}}]}",
            "asks by text",
        ),
    ],
)
def test_a_question_that_cannot_be_is_refused_at_its_place(
    rule: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules:\n  - {{name: r, {rule[1:]}\n")
    (found,) = load_rules(path).problems
    assert problem in found.message
    assert found.line == 2
    assert found.column > 10
