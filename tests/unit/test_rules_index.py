"""Rules found by an index: whatever it leaves out, the answer is that of looking at every rule."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.events import Event, matches_type, spellings
from ringback.rules.engine.phrases import guard
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import compile_rule
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.scope import NoFacts, Scope
from ringback.rules.model import Condition, Rule, RuleSpec, Schedule

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
LISTS = {"words": ["open", "opening times"], "people": ["+15551234567"], "none": []}
LANGUAGE = Language(lists=LISTS)
FACTS = NoFacts()


@cache
def compiled(name: str, words: str) -> Rule:
    said = json.loads(words)
    spec = RuleSpec(name, lambda event: None, said, __file__, 1)
    found = compile_rule(spec, LANGUAGE)
    assert isinstance(found, Rule), found
    return found


def rule(name: str, words: dict[str, Any]) -> Rule:
    return compiled(name, json.dumps({"on": "message.received", **words}))


def fits(wanted: tuple[str, ...], address: str) -> bool:
    """Whether an address is one of these, in whatever spelling."""
    ways = spellings(address)
    return any(
        any(way.startswith(each[:-1]) for way in ways) if each.endswith("*") else each in ways
        for each in wanted
    )


def alone(rule: Rule, event: Event) -> str:
    """The verdict of a rule that is asked by itself: each of its parts in turn."""
    if not any(matches_type(on, event.type) for on in rule.on):
        return "unheard"
    if rule.state == "off":
        return "off"
    if event.trust not in rule.trust and event.source != "internal":
        return f"trust:{event.trust}"
    for word, wanted, address in (
        ("from", rule.from_, event.sender), ("to", rule.to, event.recipient),
    ):  # fmt: skip
        if wanted and not fits(wanted, address):
            return word
    if rule.schedule and event.fields.get("Rule") != rule.name:
        return "schedule"
    for number, line in enumerate(rule.conditions, 1):
        value = line.program.evaluate(Scope(event, FACTS))
        if isinstance(value, Fault):
            return f"error:{number}: {value.message}"
        if value is not True:
            return f"if:{number}"
    return "fired"


LINES = [
    "event.body.keyword('open')",
    "event.body.keyword(['open', 'opening times'])",
    "event.body.keyword(lists.words)",
    "event.body.keyword(lists.none)",
    "event.body.keyword('')",
    "event.body.keyword(event.status)",
    "event.body.begins_with('please open')",
    "event.body.is_phrase(['yes', 'opening times'])",
    "event.body.has_all(['open', 'please'])",
    "!event.body.keyword('open')",
    "event.body.keyword('open') && event.error_code == 0",
    "event.error_code == 1 && event.body.keyword('times')",
    "int(event.body) > 1 && event.body.keyword('open')",
    "event.body.keyword('7') && 1 / event.error_code == 1",
    "event.body.keyword('open') || event.body.is_phrase('yes')",
    "event.body.keyword('open') || event.error_code == 0",
    "event.body.keyword('open') || int(event.body) > 1",
    "(event.body.keyword('yes') || event.body.begins_with('7')) && event.error_code == 0",
    "event.body.keyword('open') ? event.error_code == 0 : true",
    "event.body.keyword('open') == (event.error_code == 0)",
    "event.body.lower().keyword('open')",
    "event.body.part(0, int(event.status)).keyword('open')",
    "['open', 'yes'].exists(word, event.body.keyword(word))",
    "'open' == event.body || event.body.keyword('&& yes')",
    "int(event.body) > 1",
    "1 / event.error_code == 1",
    "event.from in lists.people",
    "event.error_code == 0",
]
ADDRESSES = st.sampled_from(
    [
        ["+15551234567"], ["+15551234567", "+1555*"], ["+1999*"], ["+1555*", "+15*"], ["*"],
        ["lists.people"], ["+5215512345678"], ["+52155*"], ["whatsapp:+15551234567"],
    ]
)  # fmt: skip
RULES = st.fixed_dictionaries(
    {"on": st.sampled_from(["message.received", "message.*", ["call.received", "message.sent"]])},
    optional={
        "if": st.lists(st.sampled_from(LINES), min_size=1, max_size=3),
        "from": ADDRESSES,
        "to": ADDRESSES,
        "state": st.sampled_from(["off", "live", "shadow"]),
        "trust": st.sampled_from(["signed", "claimed"]),
        "priority": st.integers(0, 2),
    },
)
EVENTS = st.builds(
    lambda type_, sender, to, body, more: Event(
        "evt_1", type_, NOON, NOON, sender=sender, recipient=to, fields={"Body": body}, **more
    ),
    st.sampled_from(["message.received", "message.sent"]),
    st.sampled_from(
        ["+15551234567", "+15550000000", "+525512345678", "whatsapp:+15551234567", "", "anonymous"]
    ),
    st.sampled_from(["+15551234567", "+19990000000", "+5215512345678"]),
    st.sampled_from(
        ["Open?", "please open!", "opening   times", "Yes", "7", "7 open yes", "", "&& yes",
         "open\0x", "times opening", "\uff2fPEN", "o\u00adpen"]
    ),
    st.fixed_dictionaries(
        {
            "trust": st.sampled_from(["signed", "claimed", "confirmed", "simulated"]),
            "error_code": st.sampled_from([0, 1]),
            "status": st.sampled_from(["", "4", "open"]),
            "source": st.sampled_from(["webhook", "internal"]),
        }
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(RULES, max_size=12), st.lists(EVENTS, min_size=1, max_size=4))
def test_an_index_of_rules_answers_as_a_look_at_each_of_them(
    words: list[dict[str, Any]], events: list[Event]
) -> None:
    """Addresses in any spelling and ranges, families of types, words, and conditions that rules
    share or that fail: the same verdicts, the same rules in the same order."""
    rules = [rule(f"r{number}", each) for number, each in enumerate(words)]
    ruleset = RuleSet(rules, LANGUAGE)
    for event in events:
        match = ruleset.match(event, FACTS)
        wanted = {each.name: alone(each, event) for each in ruleset.rules}
        assert [each.name for each in match.fired] == [
            name for name, why in wanted.items() if why == "fired"
        ]
        others = {name: why for name, why in wanted.items() if why not in ("fired", "unheard")}
        assert match.verdicts == others


def test_a_schedule_is_found_by_its_name() -> None:
    """The others of a thousand are not looked at."""
    due = [
        Rule(f"daily{n}", ("timer.due",), schedule=Schedule("0 9 * * *")) for n in range(1000)
    ]  # fmt: skip
    event = Event(
        "evt_1", "timer.due", NOON, NOON, source="internal", fields={"Rule": "daily7"}
    )  # fmt: skip
    match = RuleSet(due, LANGUAGE).match(event, FACTS)
    assert [each.name for each in match.fired] == ["daily7"]
    assert match.looked_at == {}
    assert match.verdicts == {f"daily{n}": "schedule" for n in range(1000) if n != 7}


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("event.body.keyword('a')", 1),
        ("event.error_code == 0 && event.body.keyword('a')", 1),
        ("event.body.keyword('a') || event.body.begins_with(['b'])", 2),
        ("(event.body.keyword('a') || (event.body.is_phrase('b'))) && event.error_code == 0", 2),
        ("event.body.keyword('a') || event.error_code == 0", 0),
        ("!event.body.keyword('a')", 0),
        ("event.body.keyword('a') ? false : true", 0),
        ("event.body.keyword('a') == false", 0),
        ("event.body.keyword(event.from)", 0),
        ("['a || b'].exists(word, event.body.keyword(word))", 0),
        ("event.error_code == 0", 0),
    ],
)
def test_words_wake_a_line_only_where_nothing_else_can_make_it_true(line: str, calls: int) -> None:
    program = LANGUAGE.compile(line)
    assert isinstance(program, Program)
    assert len(guard(program)) == calls


class Counted(NoFacts):
    """A past that counts how often it is asked."""

    asked = 0

    def count(self, *_: Any) -> int:
        self.asked += 1
        return 0


def test_a_line_that_rules_share_is_evaluated_once_an_event() -> None:
    """A first line or a later one, of rules for anybody and of others."""
    line = "count('message.received', '1h') == 0"
    rules = [
        rule("a", {"if": line}), rule("b", {"if": ["event.error_code == 0", line]}),
        rule("c", {"if": ["event.body != ''", line], "from": "+1555*"}),
        rule("d", {"if": [line, "event.body.keyword('x')"]}),
    ]  # fmt: skip
    past = Counted()
    event = Event("evt_1", "message.received", NOON, NOON, sender="+1555", fields={"Body": "Hi"})
    match = RuleSet(rules, LANGUAGE).match(event, past)
    assert [each.name for each in match.fired] == ["a", "b", "c"]
    assert past.asked == 1


def _times_quicker(rules: list[Rule]) -> float:
    """How many times less processor time the index takes for a text than a look at each rule, at
    best of some rounds."""
    ruleset, (event, *_) = RuleSet(rules, LANGUAGE), _texts(1)
    ruleset.match(event, FACTS)
    index = each = 1e9
    for _ in range(3):
        start = time.process_time()
        for _ in range(20):
            ruleset.match(event, FACTS)
        middle = time.process_time()
        for one in rules:
            alone(one, event)
        index = min(index, (middle - start) / 20)
        each = min(each, time.process_time() - middle)
    return each / index


def _texts(count: int) -> list[Event]:
    return [
        Event(
            f"evt_{n}", "message.received", NOON, NOON, sender="+15551234567",
            recipient="+15557654321",
            fields={"Body": f"Hello, about word{n * 7}: is it open?"},
        )
        for n in range(count)
    ]  # fmt: skip


OTHER = Rule("other", ("message.received",))


def test_a_thousand_rules_on_other_numbers_cost_what_none_do() -> None:
    """By either side, by number or by range."""
    rules = [replace(OTHER, name=f"f{n}", from_=(f"+1999{n:07d}",)) for n in range(500)]
    rules += [replace(OTHER, name=f"t{n}", to=(f"+1999{n:03d}*",)) for n in range(500)]
    assert _times_quicker(rules) > 30


def test_a_thousand_rules_with_keywords_cost_what_a_few_do() -> None:
    """For anybody, or all on the number that the texts come to."""
    rules = []
    for n in range(1000):
        program = LANGUAGE.compile(f"event.body.keyword('word{n}')")
        assert isinstance(program, Program)
        rules.append(replace(OTHER, name=f"r{n}", conditions=(Condition(program.source, program),)))
    assert _times_quicker(rules) > 10
    assert _times_quicker([replace(each, to=("+15557654321",)) for each in rules]) > 4


def test_ten_thousand_rules_are_indexed_quickly() -> None:
    rules = [replace(OTHER, name=f"r{n}", to=(f"+1999{n:07d}",)) for n in range(10_000)]
    start = time.process_time()
    RuleSet(rules, LANGUAGE).match(_texts(1)[0], FACTS)
    assert time.process_time() - start < 2
