"""Blocks: steps with parameters, typed by what they are run with, each with values of its own."""

import json
from pathlib import Path

import pytest

from ringback.actions import SendMessage
from ringback.rules.files.load import Loaded, load_rules
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule
from ringback.testing import NOON, sms

BLOCKS = """blocks:
  yes_no:
    needs: [question, tries]
    do:
      - ask:
          text: ${{ question }} (${{ tries }})
          if: reply.body.is_phrase(['yes', 'no'])
          tries: 2
          as: said
    gives: ${{ said.is_phrase('yes') }}
  twice:
    needs: [what]
    do:
      - run: {block: yes_no, question: "${{ what }}?", tries: 1, as: first}
      - choose:
          - if: first
            do: [{run: {block: yes_no, question: "Really ${{ what }}?", tries: 2, as: second}}]
    gives: ${{ first && second }}
"""
HOME = 'what: "Home, ${{ event.body }}", '
GIVES = "    gives: ${{ first && second }}\n"
RULE = """rules:
  - name: r
    on: message.received
    let: {question: mine, count: 3}
    do:
      - run: {block: twice, what: "Home, ${{ event.body }}", as: home}
      - reply: "${{ home ? 'home' : 'away' }}, ${{ question }} ${{ count }}"
"""


def said(actions: object) -> list[str]:
    assert isinstance(actions, tuple | list)
    return [each.body for each in actions if isinstance(each, SendMessage)]


def start(rule: Rule) -> Progress:
    return begin(rule, sms("Ada"), NoFacts(), NOON)


def hears(rule: Rule, before: Progress, body: str) -> Progress:
    """The run after one more text, from its state as the journal gives it back."""
    state = json.loads(json.dumps(before.state))
    return resume(rule, sms("Ada"), NoFacts(), NOON, state, Wake(sms(body)))


def load(tmp_path: Path, source: str) -> Loaded:
    (tmp_path / "rules.yaml").write_text(source)
    return load_rules(tmp_path)


def problems(tmp_path: Path, source: str) -> list[str]:
    found = load(tmp_path, source).problems
    return [f"{each.line}:{each.column}: {each.kind}: {each.message}" for each in found]


def test_a_block_has_values_of_its_own_and_gives_one_back_over_waits(tmp_path: Path) -> None:
    """Also one in another; the state between is plain JSON. A name of both stays the rule's."""
    loaded = load(tmp_path, BLOCKS + RULE)
    assert loaded.problems == []
    (rule,) = loaded.rules
    first = start(rule)
    assert said(first.actions) == ["Home, Ada? (1)"]
    assert len(first.state["outer"]) == 2
    second = hears(rule, first, "yes")
    assert said(second.actions) == ["Really Home, Ada? (2)"]
    last = hears(rule, hears(rule, second, "perhaps"), "yes")
    assert said(last.actions) == ["home, mine 3"]
    assert last.state["outer"] == []
    assert last.state["vars"] == {"question": "mine", "count": 3, "home": True}
    assert said(hears(rule, first, "no").actions) == ["away, mine 3"]


def test_a_block_keeps_nothing_from_the_last_time(tmp_path: Path) -> None:
    """What its steps keep is empty when it is run once more."""
    source = (
        "blocks:\n  b:\n    needs: [n]\n    do:\n"
        "      - choose: [{if: n == 1, do: [{let: {m: x}}]}]\n"
        "      - notify: '${{ n }}${{ m }}'\n"
        "rules:\n  - name: r\n    on: message.received\n"
        "    do: [{run: {block: b, n: 1}}, {run: {block: b, n: 2}}]\n"
    )  # fmt: skip
    loaded = load(tmp_path, source)
    assert [str(each) for each in loaded.problems] == []
    told = start(loaded.rules[0]).actions
    assert [getattr(each, "text", "") for each in told] == ["1x", "2"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("block: twice", "block: twize", "24:22: name: no block is named 'twize'"),
        (HOME, "", "rules.yaml:11) needs what"),
        ("as: home}", "wat: 1, as: home}", "rules.yaml:11) does not need 'wat'"),
        ("${{ event.body }}", "${{ event.boddy }}", "24:52: type: unknown field 'event.boddy'"),
        ("{block: twice,", "{block: twice, rule: r,", "run: needs just one of rule, block"),
        (f"block: twice, {HOME}", "rule: r, ", "'as' belongs to a block"),
        (GIVES, "", "rules.yaml:11) gives nothing to keep"),
        ("${{ first && second }}", "${{ first && third }}", "18:25: type: unknown name 'third'"),
        ("${{ question }} (", "${{ home }} (", "6:21: type: unknown name 'home'"),
        ("[what]", "[what, event]", "12:19: name: 'event' is a word of the language already"),
        ("[what]", "[what, block]", "12:19: name: 'block' is a word of `run` already"),
        ("[what]", "[what, what]", "12:5: duplicate: a parameter is there twice"),
        ("needs: [what]", "neds: [what]", "12:5: schema: unknown key 'neds'"),
        ("blocks:\n", "blocks:\n  Bad: {do: [stop]}\n", "2:3: name: 'Bad' is no name"),
    ],
)  # fmt: skip
def test_a_wrong_block_or_use_of_one_is_named_at_its_place(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    source = BLOCKS + RULE
    assert old in source
    found = problems(tmp_path, source.replace(old, new, 1))
    assert problem in "\n".join(found)
    assert len(found) == 1
    left = [each.name for each in load(tmp_path, source.replace(old, new, 1)).rules]
    assert left == (["r"] if "Bad" in new else [])  # which nobody runs


def test_what_does_not_fit_the_values_names_both_places(tmp_path: Path) -> None:
    """The line of the block, and that which runs it; another use of the block stays good."""
    source = """blocks:
  b: {needs: [n], do: [{choose: [{if: n > 1, do: [{notify: "${{ n }}"}]}]}]}
  c: {needs: [n], do: [{run: {block: b, n: "${{ n }}"}}]}
rules:
  - {name: good, on: message.received, do: [{run: {block: c, n: 2}}]}
  - {name: bad, on: message.received, do: [{run: {block: c, n: two}}]}
"""
    loaded = load(tmp_path, source)
    (wrong,) = loaded.problems
    assert (wrong.line, wrong.column) == (2, 41)
    assert (
        wrong.message.endswith(
            "(block 'b', which rules.yaml:3 runs) (block 'c', which rules.yaml:6 runs)"
        )
        or "rules.yaml:6 runs)" in wrong.message
    )
    assert [rule.name for rule in loaded.rules] == ["good"]


def test_a_block_that_is_wrong_is_named_once_however_many_run_it(tmp_path: Path) -> None:
    """Also one that nobody runs; the rules that run it are left out."""
    source = (
        "blocks:\n  b: {do: [{notify: '${{ event.boddy }}'}]}\n  c: {do: [{run: {block: b}}]}\n"
    )
    source += "rules:\n"
    each = "  - {name: NAME, on: message.received, do: [{run: {block: BLOCK}}]}\n"
    source += "".join(each.replace("NAME", f"r{n}").replace("BLOCK", "bc"[n % 2]) for n in range(4))
    loaded = load(tmp_path, source + each.replace("{run: {block: BLOCK}}", "stop"))
    assert [each.line for each in loaded.problems] == [2]
    assert [rule.name for rule in loaded.rules] == ["NAME"]


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ("a: {do: [{run: {block: a}}]}", "block 'a' runs itself: a → a"),
        ("a: {do: [{run: {block: b}}]}\n  b: {do: [{run: {block: a}}]}", "a → b → a"),
        ("a: {do: [{run: r}]}", "running 'r' here goes in a circle"),
    ],
)
def test_recursion_is_a_mistake(blocks: str, problem: str, tmp_path: Path) -> None:
    rule = "rules: [{name: r, on: message.received, do: [{run: {block: a}}]}]\n"
    found = problems(tmp_path, f"blocks:\n  {blocks}\n{rule}")
    assert problem in "\n".join(found)
    assert load(tmp_path, f"blocks:\n  {blocks}\n{rule}").rules == ()


def test_blocks_are_bounded(tmp_path: Path) -> None:
    """In depth, and in steps, as each may run the next one many times."""
    chain = "".join(f"  b{n}: {{do: [{{run: {{block: b{n + 1}}}}}]}}\n" for n in range(9))
    found = problems(tmp_path, f"blocks:\n  b9: {{do: [stop]}}\n{chain}")
    assert "blocks run each other more than 8 deep" in "\n".join(found)
    many = ", ".join(["{run: {block: NEXT}}"] * 9)
    chain = "".join(f"  b{n}: {{do: [{many.replace('NEXT', f'b{n + 1}')}]}}\n" for n in range(5))
    found = problems(tmp_path, f"blocks:\n  b5: {{do: [stop]}}\n{chain}")
    assert "comes to more than 500 steps" in "\n".join(found)


def test_the_revision_of_a_rule_changes_with_a_block_that_it_runs(tmp_path: Path) -> None:
    """Through another block too; and nothing else does."""
    other = "  - {name: other, on: message.received, do: [stop]}\n"
    before = {each.name: each.rev for each in load(tmp_path, BLOCKS + RULE + other).rules}
    changed = BLOCKS.replace("tries: 2\n", "tries: 3\n") + RULE + other
    after = {each.name: each.rev for each in load(tmp_path, changed).rules}
    assert before["r"] != after["r"]
    assert before["other"] == after["other"]


def test_blocks_are_shared_by_files_and_included(tmp_path: Path) -> None:
    for folder in ("rules", "shared"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shared" / "blocks.yaml").write_text(BLOCKS)
    (tmp_path / "rules" / "a.yaml").write_text(f"include: ../shared/*.yaml\n{RULE}")
    loaded = load_rules(tmp_path / "rules")
    assert loaded.problems == []
    (tmp_path / "rules" / "b.yaml").write_text(BLOCKS)
    found = load_rules(tmp_path / "rules").problems
    assert [each.message for each in found] == [
        "another block is named 'yes_no'", "another block is named 'twice'",
    ]  # fmt: skip


def test_a_run_inside_of_a_block_that_is_gone_fails_with_that_reason(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, BLOCKS + RULE).rules
    first = start(rule)
    rule_alone = RULE.replace("run: {block: twice", "remember: {a: b").replace(", as: home", "")
    (other,) = load(tmp_path, rule_alone.replace("${{ home ? 'home' : 'away' }}", "x")).rules
    assert hears(other, first, "yes").end == "failed: the rule changed while this run waited"


def test_a_value_that_cannot_be_worked_out_fails_the_step(tmp_path: Path) -> None:
    source = (
        "blocks: {b: {needs: [n], do: [{let: {m: 1}}], gives: '${{ m / n }}'}}\n"
        "rules:\n  - {name: r, on: message.received, do: [{run: {block: b, n: N, as: k}}]}\n"
    )
    (rule,) = load(tmp_path, source.replace("n: N", "n: '${{ int(event.body) }}'")).rules
    assert start(rule).end == (
        "failed: step `run` (line 3): n: ${{ int(event.body) }}: cannot convert string to int"
    )
    (rule,) = load(tmp_path, source.replace("n: N", "n: 0")).rules
    assert start(rule).end.startswith("failed: step `run` (line 3): what the block 'b' gives: ")
