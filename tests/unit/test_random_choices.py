"""Choices: by chance, the same where a step is worked out again, and never in a condition."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringback.events import Event
from ringback.rules.files.load import Loaded, load_rules
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
TEXT = Event("evt_1", "message.received", NOON, NOON, conversation="a/b", subject_sid="SM1")


class Keyed(NoFacts):
    """A node with this secret."""

    def __init__(self, key: str = "secret") -> None:
        self.key = key

    def draw_key(self) -> str:
        return self.key


def load(folder: Path, words: str) -> Loaded:
    head = "lists: {team: [ann, bob, cat]}\nrules:\n  - name: it\n    on: message.received\n    "
    (folder / "rules.yaml").write_text(head + words.replace("\n", "\n    ") + "\n")
    return load_rules(folder)


def told(rule: Rule, event: Event = TEXT, facts: NoFacts | None = None) -> list[str]:
    progress = begin(rule, event, facts or Keyed(), NOON)
    assert not progress.end, progress.end
    return [getattr(each, "text", "") for each in progress.actions]


def test_a_choice_belongs_to_its_place_in_a_run(tmp_path: Path) -> None:
    """The same step of the same run again chooses the same; another step, value, run or node does
    not."""
    digits = "{notify: '${{ random_digits(18) }}'}"
    loaded = load(
        tmp_path, f"let: {{a: '${{{{ random_digits(18) }}}}', b: '${{{{ random_digits(18) }}}}'}}\n"
        f"do: [{digits}, {digits}, {{notify: '${{{{ a }}}}'}}, {{notify: '${{{{ b }}}}'}}]",
    )  # fmt: skip
    assert loaded.problems == []
    (rule,) = loaded.rules
    once = told(rule)
    assert once == told(rule)
    others = [*told(rule, replace(TEXT, uid="evt_2")), *told(rule, facts=Keyed("other"))]
    assert len({*once, *others}) == 12
    assert all(len(each) == 18 and each.isdecimal() for each in once)


def test_each_is_picked_about_as_often(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, "do: [{notify: '${{ pick(lists.team) }}'}]").rules
    found = [told(rule, replace(TEXT, uid=f"evt_{number}"))[0] for number in range(300)]
    assert {*found} == {"ann", "bob", "cat"}
    assert min(map(found.count, {*found})) > 60


def test_turns_of_one_run_follow_each_other(tmp_path: Path) -> None:
    turn = "{notify: '${{ next_of(lists.team) }} ${{ next_of(lists.team) }}'}"
    (rule,) = load(tmp_path, f"do: [{', '.join([turn] * 4)}]").rules
    assert told(rule) == ["ann ann", "bob bob", "cat cat", "ann ann"]


def test_each_entry_of_a_list_has_choices_of_its_own(tmp_path: Path) -> None:
    step = "{notify: '${{ next_of(lists.team) }} ${{ random_digits(9) }}'}"
    loaded = load(tmp_path, f"do: [{{each: {{of: [x, y], as: one, do: [{step}]}}}}]")
    assert loaded.problems == []
    first, second = (each.split() for each in told(loaded.rules[0]))
    assert (first[0], second[0]) == ("ann", "bob")
    assert first[1] != second[1]


@pytest.mark.parametrize(
    ("words", "place", "wrong"),
    [
        ("if: pick(lists.team) == 'ann'\ndo: [{stop: x}]", "5:9", "pick() cannot stand in a condi"),
        (
            "let: {a: '${{ random_digits(2) }}'}\nif: a == '42'\ndo: [{stop: x}]",
            "6:9",
            "a value by",
        ),
        ("key: '${{ next_of(lists.team) }}'\ndo: [{stop: x}]", "5:15", "next_of() cannot stand in"),
        ("do: [{wait_for: {if: \"pick(['a']) == 'a'\"}}]", "5:27", "pick() cannot stand in a con"),
        ("do: [{stop: '${{ next_of(event.media) }}'}]", "5:22", "next_of() takes a list that the"),
        ("do: [{stop: '${{ pick(5) }}'}]", "5:22", "pick() can't take (int)"),
    ],
)
def test_where_a_choice_cannot_stand(words: str, place: str, wrong: str, tmp_path: Path) -> None:
    problems = [f"{one.line}:{one.column} {one.message}" for one in load(tmp_path, words).problems]
    assert any(each.startswith(f"{place} {wrong}") for each in problems), problems
