"""Shadow, backstop and calls: who is asked about an event, and who may keep others from it.

Each story happens on a bench and on a node, which must make the same of it.
"""

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest

from admission.compare import Seen, difference, load
from admission.node import Node, settings_of
from admission.stories import PEOPLE, Happens, Step, Story, text
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import iso
from ringback.store.log import Entry
from scenarios.test_gate import Begin, says
from simulation import life

ANN = PEOPLE[0]
CALL = {"CallSid": "CA" + "5" * 32, "From": ANN, "To": "+12025550100", "Direction": "inbound"}
RINGS = Happens("call", {**CALL, "CallStatus": "ringing"})
LIVE = "{name: live, on: message.received, do: [{reply: L}]}"
REST = "{name: rest, on: message.received, backstop: true, do: [{reply: rest}]}"


async def seen(folder: Path, rules: str, *steps: Step) -> Seen:
    """What both sides make of a story."""
    lines = "\n".join(f"- {rule}" for rule in rules.strip().splitlines())
    found = await difference(Story(f"rules:\n{lines}\n", steps), folder)
    assert found.why == ""
    return found.node


def left(seen: Seen, rule: str) -> list[str]:
    """What a rule did that really left."""
    return [
        said.partition(" | ")[0]
        for (_, name), made in seen.actions.items()
        for said in made
        if name == rule and said.endswith("| left")
    ]


SHADOWS = {
    "fires": "{name: s, on: message.received, state: shadow, priority: 5, do: [{reply: S}]}",
    "stops": "{name: s, on: message.received, state: shadow, priority: 5, do: [{stop: no}]}",
    "is a backstop": "{name: s, on: message.received, state: shadow, priority: 5, "
    "backstop: true, do: [{reply: S}]}",
    "waits": "{name: s, on: message.received, state: shadow, priority: 5, "
    "do: [{wait_for: {timeout: 1m}}, {reply: S}]}",
    "collects": "{name: s, on: message.received, state: shadow, priority: 5, "
    "once_after: 5s, do: [{reply: S}]}",
    "remembers": "{name: s, on: message.received, state: shadow, priority: 5, "
    "do: [{remember: {w: x}}]}",
}


@pytest.mark.parametrize("what", SHADOWS)
async def test_a_rule_in_shadow_touches_no_other(tmp_path: Path, what: str) -> None:
    """Live rules and backstops do what they do without it."""
    texts = (text("a"), 1.0, text("b"), 1.0, text("c"), 70.0)
    rules = "\n".join(
        (
            "{name: live, on: message.received, if: \"event.body == 'b'\", do: [{reply: L}]}",
            "{name: rest, on: message.received, backstop: true, "
            "do: [{reply: \"rest ${{ event.body }}${{ remembered('w') }}\"}]}",
            SHADOWS[what],
        )
    )
    found = await seen(tmp_path, rules, *texts)
    assert left(found, "live") == [f"send_message {ANN} L"]
    assert left(found, "rest") == [f"send_message {ANN} rest a", f"send_message {ANN} rest c"]
    assert left(found, "s") == []
    assert all(
        why["s"].startswith(("fired", "joined", "backstop", "answer"))
        for why in found.verdicts.values()
    )


@pytest.mark.parametrize("state", ["shadow", "draft", "live"])
async def test_a_rule_sees_after_a_wait_what_it_has_remembered_before(
    tmp_path: Path, state: str
) -> None:
    """Whatever its state; what it has forgotten it sees as forgotten."""
    rule = """{name: s, on: message.received, if: event.body == 'a', state: STATE, do: [
      {remember: {w: x, gone: x}}, {wait: 1m}, {forget: gone}, {wait: 1m},
      {reply: "${{ remembered('w') }}-${{ remembered('gone') }}-end"}]}"""
    rules = rule.replace("STATE", state).replace("\n", "")
    found = await seen(tmp_path, rules, text("a"), 200.0)
    said = [each.partition(" | ")[0] for made in found.actions.values() for each in made]
    assert any("x--end" in each for each in said), said


KEEPS = """
{name: s, on: message.received, state: STATE,
if: "event.body != 'set' && (remembered('n') != 'ab' || event.body == 'forget')", do: [
{choose: [{if: "event.body == 'forget'", do: [{forget: n}]},
{else: [{remember: {n: "${{ remembered('n') + event.body }}"}}]}]}, {wait: 1s},
{notify: "[${{ remembered('n') }}]"}]}
""".replace("\n", " ").strip()
OTHER = """
{name: other, on: message.received, do: [{notify: "[${{ remembered('n') }}]"},
{choose: [{if: "event.body == 'set'", do: [{remember: {n: x}}]}]}]}
""".replace("\n", " ").strip()


def told(found: Seen, rule: str) -> list[str]:
    """The notices of a rule in their order, whether they left or not."""
    said = [each for (_, name), made in found.actions.items() if name == rule for each in made]
    return [each[each.index("[") + 1 : each.index("]")] for each in said if "notify" in each]


@pytest.mark.parametrize("state", ["shadow", "live"])
async def test_later_runs_of_a_rule_in_shadow_see_what_earlier_ones_would_have_remembered(
    tmp_path: Path, state: str
) -> None:
    """In conditions, texts and when it forgets, as if it were live. Other rules see nothing of it,
    and what they remember counts from then on."""
    texts = ("a", "b", "c", "forget", "d", "set", "e")
    rules = f"{KEEPS.replace('STATE', state)}\n{OTHER}"
    found = await seen(tmp_path, rules, *(step for each in texts for step in (text(each), 2.0)))
    assert told(found, "s") == ["a", "ab", "", "d", "xe"]
    assert [each["s"] for each in found.verdicts.values()][2] == "if:1"
    if state == "shadow":
        assert told(found, "other") == ["", "", "", "", "", "", "x"]


async def test_each_rule_in_shadow_remembers_for_itself_and_each_person(tmp_path: Path) -> None:
    shadow = KEEPS.replace("STATE", "shadow")
    rules = f"{shadow}\n{shadow.replace('name: s', 'name: two, priority: 5')}"
    steps = (text("a"), 2.0, text("x", PEOPLE[1]), 2.0, text("b"), 2.0)
    found = await seen(tmp_path, rules, *steps)
    assert sorted(told(found, "s")) == sorted(told(found, "two")) == ["a", "ab", "x"]


def test_what_a_rule_in_shadow_remembers_is_forgotten_when_it_goes_live(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it comes back into shadow; what it remembered live stays."""
    rule = "rules:\n  - {name: s, on: message.received, state: STATE, do: [DO]}\n".replace(
        "DO", "{remember: {n: \"${{ remembered('n') + event.body }}\"}}, {notify: x}"
    )

    def named(state: str) -> str:
        return rule.replace("STATE", state)

    story = begin(rules=named("shadow"))
    states = ("shadow", "off", "shadow", "live", "live", "shadow", "shadow")
    for body, state in zip("abcdefg", states, strict=True):
        path = tmp_path / "rules.yaml"
        path.write_text(named(state))
        loaded = load_rules([path])
        given = life.Rules(RuleSet(loaded.rules, loaded.language))
        monkeypatch.setattr(life, "rules", lambda given=given: given)
        story.kill()
        story.start()
        says(story, body)
    kept = story.ask(
        "select state, json_extract(params, '$.value') from actions where kind = 'remember' "
        "order by id"
    )
    assert kept == [
        ("captured", "a"), ("captured", "ac"), ("settled", "d"), ("settled", "de"),
        ("captured", "def"), ("captured", "defg"),
    ]  # fmt: skip
    assert story.ask("select memory from contacts") == [('{"n": "de"}',)]


async def test_a_rule_in_shadow_is_stopped_as_if_it_were_live(tmp_path: Path) -> None:
    """It shows what it would do beside the live ones."""
    rules = """
{name: s, on: message.received, state: shadow, do: [{reply: S}]}
{name: live, on: message.received, priority: 5, do: [{stop: enough}]}
"""
    found = await seen(tmp_path, rules, text("a"))
    assert [end for (_, rule), end in found.ends.items() if rule == "s"] == ["cancelled: enough"]


async def test_of_two_backstops_the_one_of_higher_priority_fires(tmp_path: Path) -> None:
    """The other one has another rule to look at, which is named."""
    low = REST.replace("name: rest", "name: low, priority: -1")
    found = await seen(tmp_path, f"{low}\n{REST}\n", text("a"))
    (verdicts,) = found.verdicts.values()
    assert verdicts == {"rest": "fired", "low": "backstop: rest took it"}


async def test_a_backstop_that_is_held_back_leaves_the_event_to_the_next(tmp_path: Path) -> None:
    low = REST.replace("name: rest", "name: low, priority: -1")
    once = REST.replace("backstop", "once_within: 1h, backstop")
    found = await seen(tmp_path, f"{low}\n{once}\n", text("a"), 1.0, text("b"))
    assert left(found, "low") == [f"send_message {ANN} rest"]
    assert left(found, "rest") == [f"send_message {ANN} rest"]


async def test_backstops_of_one_priority_go_by_their_order(tmp_path: Path) -> None:
    found = await seen(tmp_path, f"{REST}\n{REST.replace('rest', 'two', 1)}\n{LIVE}\n", text("a"))
    (verdicts,) = found.verdicts.values()
    assert verdicts == dict.fromkeys(("rest", "two"), "backstop: live took it") | {"live": "fired"}


async def answered(folder: Path, rules: str, *steps: dict[str, str]) -> list[str]:
    """The TwiML that a caller hears in answer to a call and to each step of it."""
    lines = "\n".join(f"- {rule}" for rule in rules.strip().splitlines())
    told = Story(f"rules:\n{lines}\n", ())
    node = Node(settings_of(folder, {}), load(told, folder))
    await node.start({})
    heard: list[str] = []
    try:
        for fields in ({"CallStatus": "ringing"}, *steps):
            route = "call" if not heard else "call/step"
            form = urlencode({"AccountSid": node.settings.account_sid, **CALL, **fields})
            row = Entry(iso(node.now), route, "signed", "webhook", "", FORM, form.encode())
            heard.append(await node.engine.calls.answer(await node.log.append(row)))
            await node.engine.queue.idle()
    finally:
        await node.close()
    return heard


FORM = "application/x-www-form-urlencoded"
MENU = (
    "{name: menu, on: call.received, do: [{gather: {say: Press 1., digits: 1, "
    'choices: {"1": [{say: One.}]}}}]}'
)
QUIET = "{name: quiet, on: call.received, do: [{wait_for: {on: call.gathered}}, {notify: N}]}"
KEY = {"CallStatus": "in-progress", "Digits": "1"}


@pytest.mark.parametrize(
    "order", [(MENU, QUIET), (QUIET, MENU), (QUIET, MENU, QUIET.replace("quiet", "two"))]
)
async def test_a_caller_hears_the_one_of_several_waiting_runs_that_speaks(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    """Whichever of the runs that the key wakes is done first."""
    first, then = await answered(tmp_path, "\n".join(order), KEY)
    assert "Press 1." in first
    assert "One." in then


async def test_a_caller_hears_the_run_that_a_key_wakes_beside_a_rule_that_it_starts(
    tmp_path: Path,
) -> None:
    beside = "{name: beside, on: call.gathered, do: [{notify: B}]}"
    assert "One." in (await answered(tmp_path, f"{MENU}\n{beside}", KEY))[1]


async def test_when_no_woken_run_speaks_the_caller_is_answered_at_once(tmp_path: Path) -> None:
    rules = f"{MENU.replace('say: One.', 'notify: One')}\n{QUIET}\n"
    async with asyncio.timeout(1.5):  # and not when the patience of the call is over
        assert "<Response" in (await answered(tmp_path, rules, KEY))[1]


@pytest.mark.parametrize("listens", ["call.dialed", "call.queued", "call.dequeued"])
async def test_a_rule_in_shadow_does_not_lead_a_caller_away(tmp_path: Path, listens: str) -> None:
    """An address in the TwiML changes what the caller hears next."""
    live = "{name: live, on: call.received, do: [{dial: {number: +12025550111}}, {enqueue: q}]}"
    shadow = f"{{name: s, on: {listens}, state: shadow, do: [{{say: Wait.}}]}}"
    loud = shadow.replace("state: shadow, ", "")
    (tmp_path / "loud").mkdir()
    assert "/call/step/" in (await answered(tmp_path / "loud", f"{live}\n{loud}"))[0]
    assert "/call/step/" not in (await answered(tmp_path, f"{live}\n{shadow}"))[0]


async def test_a_rule_in_shadow_that_is_woken_leaves_the_call_to_others(tmp_path: Path) -> None:
    shadow = MENU.replace("name: menu", "name: s, state: shadow, priority: 9").replace("One", "No")
    heard = await answered(tmp_path, f"{shadow}\n{MENU}", KEY)
    assert "Press 1." in heard[0]
    assert "One." in heard[1]
