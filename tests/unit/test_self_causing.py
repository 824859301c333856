"""Rules that can cause themselves, as `ringback check` names them."""

import json
import time
from pathlib import Path

import pytest

from ringback.cli.main import main
from ringback.rules.files.load import load_rules
from ringback.rules.model import Rule, Step
from ringback.rules.self_causing import circles

NOTIFY = "{notify: It ended.}"
HTTP = "{http: {url: https://crm.example.org/}}"
SEND = "{send: {to: '+15551000001', body: Hello.}}"


def named(tmp_path: Path, *rules: str) -> list[str]:
    """What is said about rules, each given by all that follows on its name."""
    lines = [f"  - {{name: r{number}, {rule}}}" for number, rule in enumerate(rules, 1)]
    (tmp_path / "rules.yaml").write_text("\n".join(["rules:", *lines, ""]))
    loaded = load_rules(tmp_path)
    assert not loaded.problems
    return [f"{circle}" for circle in circles(loaded.rules)]


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        (f"on: action.settled, do: [{HTTP}]", "causes itself: it hears action.settled"),
        (f"on: action.settled, do: [{NOTIFY}]", "causes itself: it hears action.settled"),
        (f"on: [action.failed, action.settled], do: [{SEND}]", "causes itself"),
        (f"on: action.settled, do: [{{choose: [{{if: 'true', do: [{HTTP}]}}]}}]", "causes itself"),
        (f"on: action.failed, do: [{NOTIFY}]", "can cause itself: it hears action.failed"),
        (f"on: action.refused, do: [{NOTIFY}]", "can cause itself: it hears action.refused"),
        (f"on: message.delivered, do: [{SEND}]", "can cause itself: it hears message.delivered"),
        (f"on: 'message.*', do: [{SEND}]", "can cause itself"),
        ("on: call.completed, do: [{call: {to: '+15551000001', say: Hi}}]", "call.completed"),
        (f"on: action.settled, once_within: 1h, do: [{HTTP}]", "can cause itself"),
        (f"on: action.settled, if: event.to == '+15551000001', do: [{HTTP}]", "can cause itself"),
    ],
)
def test_a_rule_that_hears_of_what_it_does_is_named(tmp_path: Path, rule: str, how: str) -> None:
    (line,) = named(tmp_path, rule)
    assert line.startswith("rule 'r1' ")
    assert how in line


@pytest.mark.parametrize(
    "rule",
    [
        f"on: message.received, do: [{SEND}]",
        f"on: message.failed, do: [{HTTP}]",
        f"on: call.completed, do: [{SEND}]",
        "on: action.settled, do: [{remember: {name: state, value: done}}]",
        f"on: action.settled, if: \"event.cause.rule != 'r1'\", do: [{HTTP}]",
        f"on: action.settled, if: \"event.field('Kind') == 'send_message'\", do: [{HTTP}]",
        f"on: action.settled, if: event.status == 'delivered', do: [{HTTP}]",
        f"on: action.settled, state: shadow, do: [{HTTP}]",
    ],
)
def test_a_rule_that_keeps_from_itself_is_not_named(tmp_path: Path, rule: str) -> None:
    assert named(tmp_path, rule) == []


def test_rules_that_cause_each_other_are_named_with_their_way(tmp_path: Path) -> None:
    found = named(
        tmp_path,
        "on: message.failed, do: [{call: {to: '+15551000001', say: Hi}}]",
        f"on: call.no-answer, do: [{SEND}]",
        f"on: action.settled, if: \"event.cause.rule == 'r4'\", do: [{HTTP}]",
        f"on: action.settled, if: \"event.cause.rule == 'r3'\", do: [{NOTIFY}]",
    )
    assert [line.partition(" hears")[0] for line in found] == [
        "rule 'r1' can cause itself by way of r2: it",
        "rule 'r2' can cause itself by way of r1: it",
        "rule 'r3' can cause itself by way of r4: it",
        "rule 'r4' can cause itself by way of r3: it",
    ]


def test_check_refuses_a_certain_loop_and_mentions_a_possible_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules").mkdir()
    path = tmp_path / "rules" / "crm.yaml"
    rule = "rules:\n  - {{name: crm, on: {}, do: [{}]}}\n"
    path.write_text(rule.format("action.settled", HTTP))
    with pytest.raises(SystemExit) as certain:
        main(["-C", str(tmp_path), "check", "--format", "json"])
    assert certain.value.code == 1
    (problem,) = json.loads(capsys.readouterr().out)
    assert problem["kind"] == "loop"
    assert "event.cause.rule != 'crm'" in problem["hint"]
    path.write_text(rule.format("action.failed", HTTP))
    with pytest.raises(SystemExit) as possible:
        main(["-C", str(tmp_path), "check"])
    assert not possible.value.code
    assert "rules/crm.yaml:2: rule 'crm' can cause itself" in capsys.readouterr().err


def test_a_thousand_rules_are_looked_through_at_once() -> None:
    """Each asked all others by each event that its actions may lead to: 15 million comparisons."""
    rules = [
        Rule(f"r{number}", ("message.received",), steps=(Step("reply", {}),))
        for number in range(1000)
    ]
    start = time.process_time()
    assert circles(rules) == []
    assert time.process_time() - start < 3
