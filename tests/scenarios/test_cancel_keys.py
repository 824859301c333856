"""Keys of waiting runs: `cancel_on` and `unless` heed the rule's `key`, on bench and node."""

from pathlib import Path

import pytest

from admission.compare import Seen, difference
from admission.stories import OTHER, PEOPLE, Step, Story, text

ANN, BOB = PEOPLE[:2]
KEYED = """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  key: ${{ event.body.word(1) }}
  cancel_on: {on: message.received, if: "reply.body.begins_with('paid')"}
  do: [{wait: 1h}, {reply: "Unpaid: ${{ event.body.word(1) }}"}]
"""
PLAIN = """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  cancel_on: {on: message.received, if: "reply.body == 'paid ' + event.body.word(1)"}
  do: [{wait: 1h}, {reply: "Unpaid: ${{ event.body.word(1) }}"}]
"""
WATCH = """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  key: ${{ event.body.word(1) }}
  unless: {on: message.received, if: "reply.body.begins_with('paid')"}
  within: 1h
  do: [{reply: "Unpaid: ${{ event.body.word(1) }}"}]
"""
RULES = {"cancel_on with a key": KEYED, "cancel_on that compares": PLAIN, "unless": WATCH}


async def seen(folder: Path, rules: str, *steps: Step) -> Seen:
    """What both sides make of a story."""
    found = await difference(Story(f"rules:\n{rules}", steps), folder)
    assert found.why == ""
    return found.node


def told(seen: Seen) -> list[str]:
    """What was texted, to whomever."""
    said = [line for made in seen.actions.values() for line in made]
    return sorted(line.partition(" Unpaid: ")[2].partition(" | ")[0] for line in said)


@pytest.mark.parametrize("rules", RULES.values(), ids=list(RULES))
async def test_what_is_about_another_key_ends_nothing(tmp_path: Path, rules: str) -> None:
    """Though the same person says it in the same conversation."""
    steps = (text("invoice 7"), 9.0, text("paid 8"), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == ["7"]


@pytest.mark.parametrize("rules", RULES.values(), ids=list(RULES))
async def test_what_is_about_the_same_key_ends_the_run(tmp_path: Path, rules: str) -> None:
    steps = (text("invoice 7"), text("invoice 9"), 9.0, text("paid 7"), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == ["9"]


@pytest.mark.parametrize("rules", [KEYED, WATCH], ids=["cancel_on", "unless"])
async def test_a_key_reaches_across_conversations(tmp_path: Path, rules: str) -> None:
    """What another person says of the same matter counts; without a key it would not."""
    steps = (text("invoice 7"), 9.0, text("paid 7", BOB, OTHER), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == []


THEIRS = {
    "cancel_on": """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  key: ${{ event.body.word(1) }}
  cancel_on:
    on: message.received
    if: reply.body.begins_with('we paid')
    key: ${{ reply.body.word(3) }}
  unless: {on: message.received, if: "reply.body == 'never'"}
  within: 1h
  do: [{reply: "Unpaid: ${{ event.body.word(1) }}"}]
""",
    "unless": """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  key: ${{ event.body.word(1) }}
  cancel_on: {on: message.received, if: "reply.body == 'never'", key: "${{ reply.body }}"}
  unless:
    on: message.received
    if: reply.body.begins_with('we paid')
    key: ${{ reply.body.word(3) }}
  within: 1h
  do: [{reply: "Unpaid: ${{ event.body.word(1) }}"}]
""",
}


@pytest.mark.parametrize("rules", THEIRS.values(), ids=list(THEIRS))
async def test_a_key_may_stand_elsewhere_in_what_comes(tmp_path: Path, rules: str) -> None:
    """The second word of one text, the fourth of the other, and of another person."""
    paid = text("we paid no 7", BOB, OTHER)
    steps = (text("invoice 7"), text("invoice no"), 9.0, paid, 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == ["no"]


async def test_an_answer_that_came_first_has_its_own_key_too(tmp_path: Path) -> None:
    """Both come in one batch: the run looks for what came before it waited."""
    steps = ((text("invoice 7"), text("invoice no"), text("we paid no 7")), 3600.0)
    for number, rules in enumerate(THEIRS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert told(await seen(folder, rules, *steps)) == ["no"]


async def test_the_key_of_one_trigger_does_not_reach_for_the_other(tmp_path: Path) -> None:
    """What `unless` names without a key counts in the run's own conversation, also in one batch."""
    rules = """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  cancel_on: {on: message.received, key: "${{ reply.body }}"}
  unless: {on: message.received, if: "reply.body == 'paid'"}
  within: 1h
  do: [{reply: "Unpaid: ${{ event.body.word(1) }}"}]
"""
    steps = ((text("invoice 7"), text("paid", BOB)), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == ["7"]


async def test_a_key_of_theirs_may_be_the_conversation_of_the_run(tmp_path: Path) -> None:
    """The rule itself has no key: its runs are counted by their conversation."""
    rules = """
- name: invoice
  on: message.received
  if: event.body.begins_with('invoice')
  cancel_on: {on: message.received, if: "reply.body == 'stop it'", key: "${{ reply.conversation }}"}
  do: [{wait: 1h}, {reply: "Unpaid: ${{ event.body.word(1) }}"}]
"""
    steps = (text("invoice 7"), text("invoice 8", BOB), 9.0, text("stop it"), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == ["8"]


async def test_without_a_key_the_conversation_counts(tmp_path: Path) -> None:
    steps = (text("invoice 7"), 9.0, text("paid 7", BOB), 3600.0)
    assert told(await seen(tmp_path, PLAIN, *steps)) == ["7"]


async def test_cancel_on_may_ask_for_what_a_step_has_kept(tmp_path: Path) -> None:
    rules = """
- name: ask
  on: message.received
  if: event.body == 'order'
  cancel_on: {on: message.received, if: "vars.what != '' && reply.body == 'no ' + vars.what"}
  do: [{wait_for: {as: what}}, {wait: 1h}, {reply: "Unpaid: ${{ vars.what }}"}]
"""
    steps = (text("order"), 9.0, text("tea"), 9.0, text("no cake"), text("no tea"), 3600.0)
    assert told(await seen(tmp_path, rules, *steps)) == []
    again = tmp_path / "again"
    again.mkdir()
    assert told(await seen(again, rules, *steps[:5], 3600.0)) == ["tea"]


SILENT = """
- name: once
  on: message.received
  once_within: 1h
  cancel_on: {on: message.received, if: "reply.body == 'again'"}
  do: [{wait: 1m}, {reply: "Got ${{ event.body }}"}]
"""
SPOKE = SILENT.replace("do: [", 'do: [{reply: "First ${{ event.body }}"}, ')


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("rules", "said"), [(SILENT, ["Got again"]), (SPOKE, ["First one"])], ids=["silent", "spoke"]
)
async def test_a_run_that_an_event_ends_counts_for_it_when_it_has_said_something(
    tmp_path: Path, rules: str, said: list[str], batched: bool
) -> None:
    """`once_within` is asked of the very event that ends the run."""
    both = (text("one"), text("again"))
    steps: tuple[Step, ...] = (both, 90.0) if batched else (both[0], 9.0, both[1], 90.0)
    found = await difference(Story(f"rules:\n{rules}", steps, numbered=not batched), tmp_path)
    assert found.why == ""
    made = [line for each in found.node.actions.values() for line in each]
    assert [line.partition(" | ")[0].split(" ", 2)[2] for line in made] == said
