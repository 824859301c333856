"""Traces of events that the index has kept rules from: each of them still says why."""

import json
from pathlib import Path

import pytest

from admission.node import Loaded, Node, settings_of
from admission.stories import OURS, text
from ringback.cli.main import run
from ringback.plugins.loader import load_plugins
from ringback.testing.assembly import ruleset_of

RULES = """
lists: {vip: [+15550100078]}
rules:
  - {name: hello, on: message.received, do: [{reply: Hello}]}
  - {name: other, on: message.received, to: +15550100077, do: [{reply: Other}]}
  - {name: vip, on: "message.*", from: lists.vip, to: +15550100077, do: [{reply: Vip}]}
  - {name: here, on: message.received, to: OURS, if: "event.body == 'no'", do: [{reply: Here}]}
  - {name: idle, on: message.received, to: +15550100077, state: "off", do: [{reply: Off}]}
  - {name: sent, on: message.sent, to: +15550100077, do: [{notify: sent}]}
  - {name: nine, schedule: "0 9 * * *", do: [{notify: nine}]}
"""
LATER = """
rules:
  - {name: later, on: message.received, from: +15550100077, do: [{reply: Later}]}
"""


def loaded(folder: Path, text_: str) -> Loaded:
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "all.yaml").write_text(text_.replace("OURS", OURS))
    plugins = load_plugins(folder / "plugins")
    ruleset, problems = ruleset_of(plugins, rules)
    assert problems == []
    return Loaded(ruleset, plugins)


def told(capsys: pytest.CaptureFixture[str], uid: str) -> dict[str, str]:
    capsys.readouterr()
    assert run(["trace", uid, "--json"]) == 0
    return {each["rule"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["rules"]}


async def test_a_rule_for_another_address_is_in_the_trace_and_costs_no_place_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it is there: one that came later, or is gone, is not in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ringback.toml").write_text("")
    node = Node(settings_of(tmp_path, {}), loaded(tmp_path, RULES))
    await node.start({})
    try:
        await node.happen(text("hi"))
        node.engine.reload(loaded(tmp_path, LATER))
        await node.happen(text("hi"))
        node.engine.reload(loaded(tmp_path, RULES))
        await node.happen(text("hi"))
        rows = node.reader.execute("select uid, verdicts from events order by id").fetchall()
    finally:
        await node.close()
    kept = {"hello": "fired", "here": "if:1", "idle": "off"}
    assert [json.loads(verdicts) for _, verdicts in rows] == [kept, {}, kept]
    whole = {**kept, "other": "to", "vip": "from"}
    assert told(capsys, rows[0][0]) == whole
    assert told(capsys, rows[1][0]) == {"later": "from"}
    assert told(capsys, rows[2][0]) == whole
