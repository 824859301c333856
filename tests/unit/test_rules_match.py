"""Matching: which rules fire and why the others do not, whatever the conditions do."""

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.events import Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import compile_rule, load_rules
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule, RuleSpec

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
FACTS = NoFacts()


def event(type_: str = "message.received", **more: Any) -> Event:
    given = {
        "sender": "+15551234567", "recipient": "+15557654321", "subject_sid": "SM1",
        "conversation": "+15557654321/+15551234567", "fields": {"Body": "Hours"}, **more,
    }  # fmt: skip
    return Event("evt_1", type_, NOON, NOON, **given)


def rule(name: str, words: Mapping[str, Any]) -> Rule:
    compiled = compile_rule(
        RuleSpec(name, lambda event: None, {"on": "message.received", **words}, __file__, 1)
    )
    assert isinstance(compiled, Rule), compiled
    return compiled


def verdicts(rules: Mapping[str, Mapping[str, Any]], one: Event) -> dict[str, str]:
    match = RuleSet(rule(name, words) for name, words in rules.items()).match(one, FACTS)
    return {**match.verdicts, **{each.name: "fired" for each in match.fired}}


def test_each_rule_that_does_not_fire_says_why() -> None:
    found = verdicts(
        {
            "fires": {"if": ["event.body == 'Hours'", "true"]},
            "no-condition": {},
            "first-line": {"if": ["event.body == 'x'", "true"]},
            "second-line": {"if": ["true", "event.body == 'x'"]},
            "broken": {"if": ["true", "int(event.body) > 1"]},
            "off": {"state": "off"},
            "from": {"from": "+1999*"},
            "from-range": {"from": "+1555*"},
            "to": {"to": ["+15550000000"]},
            "to-exact": {"to": "+15557654321"},
            "other-type": {"on": "call.received"},
            "any-message": {"on": "message.*"},
        },
        event(),
    )
    assert found == {
        "fires": "fired", "no-condition": "fired", "first-line": "if:1", "second-line": "if:2",
        "broken": "error:2: cannot convert string to int", "off": "off", "from": "from",
        "from-range": "fired", "to": "to", "to-exact": "fired", "any-message": "fired",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trust", "seen_by"),
    [
        ("signed", {"default", "signed", "confirmed", "claimed", "both"}),
        ("simulated", {"default", "signed", "confirmed", "claimed", "both"}),
        ("confirmed", {"default", "confirmed", "claimed"}),
        ("claimed", {"claimed"}),
        ("", set()),
    ],
)
def test_rules_see_what_is_proven_well_enough(trust: str, seen_by: set[str]) -> None:
    rules: dict[str, dict[str, Any]] = {
        "default": {}, "signed": {"trust": "signed"}, "confirmed": {"trust": "confirmed"},
        "claimed": {"trust": "claimed"}, "both": {"trust": ["signed", "simulated"]},
    }  # fmt: skip
    found = verdicts(rules, event(trust=trust))
    assert {name for name, why in found.items() if why == "fired"} == seen_by
    assert {why for why in found.values() if why != "fired"} <= {f"trust:{trust}"}


def test_our_own_events_need_no_proof() -> None:
    assert verdicts({"a": {}}, event(trust="", source="internal")) == {"a": "fired"}


def test_the_highest_priority_comes_first_and_ties_keep_their_order() -> None:
    rules = [rule(name, {"priority": n}) for name, n in [("a", 0), ("b", 5), ("c", 0), ("d", -1)]]
    assert [each.name for each in RuleSet(rules).match(event(), FACTS).fired] == [
        "b",
        "a",
        "c",
        "d",
    ]


def test_a_failing_first_line_does_not_disturb_the_other_rules_again_and_again() -> None:
    rules = RuleSet(
        [
            rule("broken", {"if": "int(event.body) > 3"}),
            rule("good", {"if": "event.body.size() > 0"}),
            rule("also", {"if": "event.body == 'x'"}),
        ]
    )
    for _ in range(3):
        match = rules.match(event(), FACTS)
        assert [each.name for each in match.fired] == ["good"]
        assert match.verdicts == {
            "broken": "error:1: cannot convert string to int", "also": "if:1",
        }  # fmt: skip
    number = rules.match(event(fields={"Body": "7"}), FACTS)
    assert [each.name for each in number.fired] == ["broken", "good"]


def test_the_key_is_the_conversation_or_the_subject_or_what_the_rule_says() -> None:
    rules = RuleSet([rule("own", {"key": "${{ event.error_class }}/x"}), rule("default", {})])
    own, default = rules.by_name["own"], rules.by_name["default"]
    assert rules.key_of(own, event(error_class="carrier_filtered"), FACTS) == "carrier_filtered/x"
    assert rules.key_of(default, event(), FACTS) == "+15557654321/+15551234567"
    assert rules.key_of(default, event(conversation=""), FACTS) == "SM1"


def test_a_schedule_fires_its_own_rule_only(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "rules:\n"
        "  - {name: one, schedule: '0 9 * * *', do: [{notify: one}]}\n"
        "  - {name: two, schedule: {cron: '0 9 * * *', tz: Europe/Berlin}, do: [{notify: two}]}\n"
    )
    loaded = load_rules(tmp_path)
    due = event("timer.due", fields={"Rule": "two"}, source="internal")
    match = RuleSet(loaded.rules).match(due, FACTS)
    assert [each.name for each in match.fired] == ["two"]
    assert match.verdicts == {"one": "schedule"}
    schedule = match.fired[0].schedule
    assert schedule is not None
    assert schedule.after(NOON) == datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def test_a_rule_set_knows_what_it_listens_to() -> None:
    rules = RuleSet(
        [rule("a", {"on": "message.*"}), rule("b", {"on": "call.received", "state": "off"})]
    )
    assert rules.wants("message.delivered")
    assert not rules.wants("call.received")
    assert rules.get("a") is rules.rules[0]
    assert rules.get("nobody") is None


def test_many_types_of_events_do_not_fill_the_memory() -> None:
    rules = RuleSet([rule("a", {"on": "message.*"})])
    for number in range(1000):
        assert rules.match(event(f"message.odd{number}"), FACTS).fired
    assert len(rules._indexes) <= 256


LINES = [
    "event.body == 'Hours'",
    "event.body.size() > 100",
    "int(event.body) > 1",
    "event.error_code == 0",
    "event.body.matches('(?i)hours')",
    "1 / event.error_code == 1",
    "event.from.startsWith('+1555')",
]
WORDS = st.fixed_dictionaries(
    {"if": st.lists(st.sampled_from(LINES), min_size=1, max_size=3)},
    optional={
        "from": st.sampled_from(["+1555*", "+1999*", "+15551234567"]),
        "to": st.sampled_from(["+15557654321", "+1"]),
        "state": st.sampled_from(["off", "live", "shadow"]),
        "trust": st.sampled_from(["signed", "claimed"]),
    },
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(WORDS, max_size=8), st.sampled_from(["signed", "claimed"]))
def test_rules_together_are_judged_as_each_would_be_alone(
    words: list[dict[str, Any]], trust: str
) -> None:
    rules = [rule(f"r{number}", each) for number, each in enumerate(words)]
    together = RuleSet(rules)
    one = event(trust=trust)
    for _ in range(2):
        match = together.match(one, FACTS)
        fired = {each.name for each in match.fired}
        for each in rules:
            alone = RuleSet([each]).match(one, FACTS)
            assert (each.name in fired) is bool(alone.fired)
            assert match.verdicts.get(each.name) == alone.verdicts.get(each.name)


def test_a_rule_in_python_points_to_its_decorator(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(
        "from ringback import rule\n"
        "\n"
        "@rule('message.recieved',\n"
        "      if_=\"event.boddy == 'x'\",\n"
        "      once_within='soon', mode='singel', max=0)\n"
        "def handler(event): ...\n"
    )
    words = {
        "on": "message.recieved", "if": "event.boddy == 'x'", "once_within": "soon",
        "mode": "singel", "max": 0, "nonsense": True,
    }  # fmt: skip
    found = compile_rule(RuleSpec("plugin.handler", print, words, str(path), 3))
    assert isinstance(found, list)
    places = {(each.line, each.column, each.message) for each in found}
    assert places == {
        (3, 8, "unknown event type 'message.recieved'"),
        (4, 18, "unknown field 'event.boddy'"),
        (
            5,
            20,
            "'once_within': 'soon' is not a span of time; write it like 90s, 15m, 12h, 1h30m or 2d",
        ),
        (5, 33, "'mode' must be one of parallel, single, restart, queued, not 'singel'"),
        (3, 1, "'max' must be greater than or equal to 1"),
        (3, 1, "unknown key 'nonsense'"),
    }


def test_a_rule_in_python_is_a_rule_like_any_other() -> None:
    def handler(event: Event) -> None:
        """Do nothing."""

    spec = RuleSpec(
        "a.b", handler, {"on": ["message.*"], "if": ["true"], "once_within": 90, "backstop": True},
        __file__, 7, plugin="a",
    )  # fmt: skip
    compiled = compile_rule(spec)
    assert isinstance(compiled, Rule)
    assert compiled.handler is handler
    assert (compiled.once_within, compiled.backstop, compiled.line, compiled.plugin) == (
        90,
        True,
        7,
        "a",
    )
    assert compiled.foreign
    assert len(compiled.rev) == 12


def test_the_revision_changes_with_the_meaning_and_not_with_the_place(tmp_path: Path) -> None:
    def revision(text: str) -> str:
        (tmp_path / "a.yaml").write_text(text)
        return load_rules(tmp_path).rules[0].rev

    plain = "rules:\n  - {name: a, on: message.received, do: [{reply: Hi}]}\n"
    moved = "# a remark\n\nrules:\n  - name: a\n    do: [{reply: 'Hi'}]\n    on: message.received\n"
    assert revision(plain) == revision(moved)
    assert revision(plain) != revision(plain.replace("Hi", "Ho"))


def test_the_benchmark_runs() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "match.py"
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            "--rules",
            "10",
            "--rounds",
            "1",
            "--indexed",
            "20",
            "--no-peers",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "10 rules on one type of event, 200 events" in done.stdout
