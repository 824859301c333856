"""Turns of lists on a node: each in turn, whoever writes at one moment, over restarts."""

from pathlib import Path

from admission.compare import on_node
from admission.node import Loaded, Node, settings_of
from admission.stories import PEOPLE, text
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules

RULES = """
lists: {team: [ann, bob, cat]}
rules:
  - name: seen
    on: message.received
    state: shadow
    do: [{notify: "S ${{ next_of(lists.team) }}"}]
  - name: turn
    on: message.received
    do:
      - wait: 5s
      - notify: "${{ next_of(lists.team) }}"
"""


def node_of(folder: Path) -> Node:
    (folder / "rules.yaml").write_text(RULES)
    loaded = load_rules([folder / "rules.yaml"])
    assert loaded.problems == []
    return Node(
        settings_of(folder, {}), Loaded(RuleSet(loaded.rules, loaded.language), PluginSet())
    )


def told(node: Node, rule: str = "turn") -> list[str]:
    """What a rule has told, in order."""
    seen = on_node(node)
    lines = [line for (_, name), each in seen.actions.items() for line in each if name == rule]
    return [line.split()[1] for line in lines]


async def test_each_is_taken_in_turn_also_after_a_restart(tmp_path: Path) -> None:
    """Five people at one moment, whose runs go on beside each other, then two more behind a
    restart. A rule in shadow takes no turn."""
    node = node_of(tmp_path)
    await node.start({})
    await node.happen(*(text("hi", who) for who in [*PEOPLE, "+442071838753", "+442071838754"]))
    await node.wait(6.0)
    assert sorted(told(node)) == ["ann", "ann", "bob", "bob", "cat"]
    await node.close()
    again = node_of(tmp_path)
    again.time, again.rows = node.time, node.rows
    await again.start({})
    await again.happen(text("hi", PEOPLE[0]))
    await again.wait(6.0)
    await again.happen(text("hi", PEOPLE[1]))
    await again.wait(6.0)
    assert told(again)[-2:] == ["cat", "ann"]
    assert len(told(again, "seen")) == 7
    await again.close()
