"""Each of a list: one entry after the other, in rounds, until a condition holds."""

import json
from pathlib import Path

import pytest

from admission.compare import Seen, difference, on_node
from admission.node import Loaded, Node, settings_of
from admission.stories import PEOPLE, Happens, Step, Story, status, text
from ringback.actions import Notify
from ringback.events import Event
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule
from ringback.testing import NOON, Bench, call_step, incoming_call, sms

ANN, BOB, CAT = PEOPLE
ALARM = f"""
- name: alarm
  on: message.received
  if: event.body == 'alarm'
  do:
    - each:
        of: ['{BOB}', '{CAT}']
        as: person
        rounds: 2
        do:
          - ask:
              to: ${{{{ person }}}}
              text: Alarm! Reply OK.
              if: reply.body == 'ok'
              as: ok
              timeout: 5m
        until: ok != ''
        else: [{{notify: nobody}}, stop]
    - reply: ${{{{ person }}}} comes.
"""


async def seen(folder: Path, rules: str, *steps: Step) -> Seen:
    """What both sides make of a story."""
    found = await difference(Story(f"rules:\n{rules}\n", steps), folder)
    assert found.why == ""
    return found.node


def said(seen: Seen) -> list[str]:
    """Who was texted what, in order."""
    lines = [line.partition(" | ")[0] for each in seen.actions.values() for line in each]
    return [line.removeprefix("send_message ") for line in lines]


@pytest.mark.parametrize(
    ("happens", "asked", "last"),
    [
        ((text("ok", BOB),), [BOB], f"{ANN} {BOB} comes."),
        ((text("no", BOB), text("ok", BOB)), [BOB, BOB], f"{ANN} {BOB} comes."),
        ((301.0, text("ok", CAT)), [BOB, CAT], f"{ANN} {CAT} comes."),
        ((301.0, text("ok", BOB), 300.0, text("ok", BOB)), [BOB, CAT, BOB], f"{ANN} {BOB} comes."),
        ((text("STOP", BOB), 1.0, text("ok", CAT)), [BOB, CAT], f"{ANN} {CAT} comes."),
        ((status("failed", BOB, 30003), 1.0, text("ok", CAT)), [BOB, CAT], f"{ANN} {CAT} comes."),
        ((1201.0,), [BOB, CAT, BOB, CAT], "notify nobody"),
    ],
)
async def test_the_next_is_asked_until_somebody_answers(
    happens: tuple[Step, ...], asked: list[str], last: str, tmp_path: Path
) -> None:
    """In two rounds; STOP and a question that cannot be delivered lead to the next at once."""
    found = await seen(tmp_path, ALARM, text("alarm"), 2.0, *happens, 2.0)
    lines = [line for line in said(found) if line]
    assert lines == [*(f"{who} Alarm! Reply OK." for who in asked), last, *lines[len(asked) + 1 :]]


async def restarted(folder: Path, rules: str, *steps: Happens | float) -> Seen:
    """What a node has made of a story that starts anew before each of its steps."""
    (folder / "rules.yaml").write_text(f"rules:\n{rules}")
    read = load_rules(folder / "rules.yaml")
    loaded = Loaded(RuleSet(read.rules, read.language), PluginSet())
    rows, time, found = 0, 0.0, Seen()
    for happens in steps:
        node = Node(settings_of(folder, {}), loaded)
        node.rows, node.time = rows, max(time, node.time)
        await node.start({})
        if isinstance(happens, float):
            await node.wait(happens)
        else:
            await node.happen(happens)
        await node.wait(2.0)
        found, rows, time = on_node(node), node.rows, node.time
        await node.close()
    return found


async def test_it_goes_on_where_it_was_after_a_restart_at_each_wait(tmp_path: Path) -> None:
    steps = (text("alarm"), 301.0, text("no", CAT), 302.0, text("ok", BOB))
    found = await restarted(tmp_path, ALARM, *steps)
    assert [line.split()[0] for line in said(found)] == [BOB, CAT, CAT, BOB, ANN]
    assert said(found)[-1] == f"{ANN} {BOB} comes."


AT_ONCE = ALARM.replace("rounds: 2", "rounds: 2\n        at_once: true").replace(
    "if: reply.body == 'ok'", "if: reply.body in ['ok', 'no']\n              again: OK or no?"
).replace("until: ok != ''", "until: ok == 'ok'")  # fmt: skip


@pytest.mark.parametrize(
    ("happens", "last"),
    [
        ((text("ok", CAT),), [f"{ANN} {CAT} comes."]),
        ((text("no", CAT), 9.0, text("ok", BOB)), [f"{ANN} {BOB} comes."]),
        ((text("what", CAT), text("ok", CAT)), [f"{CAT} OK or no?", f"{ANN} {CAT} comes."]),
        ((text("STOP", BOB), 1.0, text("ok", CAT)), [f"{ANN} {CAT} comes."]),
        ((status("failed", CAT, 30003), 1.0, text("ok", BOB)), [f"{ANN} {BOB} comes."]),
        ((text("ok", ANN),), []),
        ((301.0, text("ok", BOB)), [f"{BOB} ASK", f"{CAT} ASK", f"{ANN} {BOB} comes."]),
        ((text("no", BOB), text("no", CAT), 1.0, text("ok", CAT)),
         [f"{BOB} ASK", f"{CAT} ASK", f"{ANN} {CAT} comes."]),
        ((601.0,), [f"{BOB} ASK", f"{CAT} ASK", "notify nobody"]),
    ],
)  # fmt: skip
async def test_all_are_asked_at_once_and_the_first_answer_is_taken(
    happens: tuple[Step, ...], last: list[str], tmp_path: Path
) -> None:
    """Whoever is out leaves the others; when all are, or in time, the next round begins."""
    found = await seen(tmp_path, AT_ONCE, text("alarm"), 2.0, *happens, 2.0)
    ask = "Alarm! Reply OK."
    lines = [line for line in said(found) if line]
    assert lines[:2] == [f"{BOB} {ask}", f"{CAT} {ask}"]
    assert lines[2 : 2 + len(last)] == [line.replace("ASK", ask) for line in last]


async def test_who_was_asked_at_once_is_known_after_a_restart(tmp_path: Path) -> None:
    found = await restarted(
        tmp_path, AT_ONCE, text("alarm"), 60.0, text("no", CAT), text("ok", BOB)
    )
    assert [line.split()[0] for line in said(found)] == [BOB, CAT, ANN]
    assert said(found)[-1] == f"{ANN} {BOB} comes."


def loaded_rule(tmp_path: Path, do: str, more: str = "") -> Rule:
    (tmp_path / "rules.yaml").write_text(
        f"{more}\nrules:\n  - name: r\n    on: [message.received, call.received]\n    do: [{do}]\n"
    )
    found = load_rules(tmp_path)
    assert [str(each) for each in found.problems] == []
    return found.rules[0]


def told(progress: Progress) -> list[str]:
    return [each.text for each in progress.actions if isinstance(each, Notify)]


def start(rule: Rule) -> Progress:
    return begin(rule, sms("2"), NoFacts(), NOON)


def go_on(rule: Rule, before: Progress, wake: Event | None = None) -> Progress:
    """The run after a text, or when its time is over, from its state as JSON."""
    state = json.loads(json.dumps(before.state))
    return resume(rule, sms("2"), NoFacts(), NOON, state, Wake(wake))


@pytest.mark.parametrize(
    ("do", "notes"),
    [
        ("{each: {of: lists.l, as: x, do: [{notify: '${{ x }}'}]}}", ["a", "b"]),
        ("{each: {of: '${{ [1, 2] }}', as: n, do: [{notify: '${{ n + 1 }}'}]}}", ["2", "3"]),
        ("{each: {of: [x, '${{ event.body }}'], as: n, rounds: 2, do: [{notify: '${{ n }}'}]}}",
         ["x", "2", "x", "2"]),
        ("{each: {of: [1, 2, 3], as: n, until: n == 2, do: [{notify: '${{ n }}'}]}}", ["1", "2"]),
        ("{each: {of: [1, 2], as: n, until: n == 3, do: [{notify: '${{ n }}'}], "
         "else: [{notify: e}]}}", ["1", "2", "e"]),
        ("{each: {of: '${{ [1].filter(i, i > 1) }}', as: n, until: n == 3, do: [stop], "
         "else: [{notify: none}]}}", ["none"]),
        ("{each: {of: [1, 2], as: n, do: [{each: {of: lists.l, as: x, do: "
         "[{notify: '${{ n }}${{ x }}'}]}}]}}, {notify: '${{ n }}${{ x }}'}",
         ["1a", "1b", "2a", "2b", "2b"]),
        ("{each: {of: [1, 2], as: n, do: [{run: {block: b, n: '${{ n }}', as: m}}, "
         "{notify: '${{ m }}'}]}}", ["10", "20"]),
        ("{each: {of: ['a', '1'], as: n, until: int(n) == 1, do: [{notify: '${{ n }}'}]}}",
         ["a", "1"]),
    ],
)  # fmt: skip
def test_what_is_done_for_each(do: str, notes: list[str], tmp_path: Path) -> None:
    """Of lists of any type; in another, with a block; a condition that fails does not hold."""
    more = (
        "lists: {l: [a, b]}\nblocks: {b: {needs: [n], do: [{let: {m: 1}}], gives: '${{ n * 10 }}'}}"
    )
    progress = start(loaded_rule(tmp_path, do, more))
    assert told(progress) == notes
    assert progress.end == ""
    assert progress.state.get("loops") == []


def test_a_question_without_an_answer_in_a_block_ends_the_turn_and_not_the_run(
    tmp_path: Path,
) -> None:
    """What the rule keeps is as it was."""
    more = (
        "blocks: {b: {needs: [n], do: [{let: {m: 5}}, {ask: {text: '${{ n }}?', as: said}}], "
        "gives: '${{ said }}'}}"
    )
    do = (
        "{let: {k: 7}}, {each: {of: [1, 2], as: n, do: [{run: {block: b, n: '${{ n }}', as: got}}, "
    )
    do += "{notify: '${{ n }} ${{ got }}'}]}}, {notify: 'end ${{ n }} ${{ k }} ${{ got }}'}"
    rule = loaded_rule(tmp_path, do, more)
    first = start(rule)
    second = go_on(rule, first)
    assert (second.wait is not None, told(second), len(second.state["outer"])) == (True, [], 1)
    last = go_on(rule, second, sms("yes"))
    assert told(last) == ["2 yes", "end 2 7 yes"]
    late = go_on(rule, second)
    assert told(late) == ["end 2 7 "]
    assert late.state["outer"] == []


def test_lists_and_turns_are_bounded(tmp_path: Path) -> None:
    """Two hundred entries, and some more steps without a wait than other runs may take."""
    ten = "'${{ [0,1,2,3,4,5,6,7,8,9].map(i, i) }}'"
    deep = "{notify: x}"
    for name in "abcd":
        deep = f"{{each: {{of: {ten}, as: {name}, do: [{deep}]}}}}"
    assert start(loaded_rule(tmp_path, deep)).end == "failed: more than 500 steps without a wait"
    long = "lists: {l: [" + ", ".join(map(str, range(201))) + "]}"
    each = "{each: {of: '${{ LIST }}', as: x, do: [{choose: [{if: 'false', do: [stop]}]}, "
    each += "{notify: a}, {notify: b}]}}"
    rule = loaded_rule(tmp_path, each.replace("LIST", "lists.l + [event.body]"), long)
    assert start(rule).end == "failed: step `each` (line 5): of: has 202 entries, 200 at most"
    fits = loaded_rule(tmp_path, each.replace("LIST", 'lists.l.filter(i, i != "7")'), long)
    assert len(told(start(fits))) == 400


@pytest.mark.parametrize(
    ("each", "problem"),
    [
        (
            "{of: lists.lon, as: x, do: [stop]}",
            "this is a string; did you mean 'long'?",
        ),
        ("{of: '${{ event.body }}', as: x, do: [stop]}", "needs a list, and this is a string"),
        ("{of: lists.l, do: [stop]}", "'as' is missing"),
        ("{of: lists.l, as: x, do: []}", "'do' must not be empty"),
        ("{of: lists.l, as: x, do: [stop], else: [stop]}", "each: needs `until`"),
        ("{of: lists.l, as: x, rounds: 11, do: [stop]}", "'rounds' must be less"),
        ("{of: lists.l, as: x, do: [{notify: '${{ y }}'}]}", "unknown name 'y'"),
        ("{of: lists.l, as: x, do: [stop], until: x}", "expected bool, got string"),
        ("{of: lists.l, as: x, at_once: true, do: [stop]}", "each: its last step must be an `ask`"),
        ("{of: lists.l, as: x, at_once: true, do: [{ask: Hi?}]}", "must be an `ask` with `to`"),
        (
            "{of: [a], as: x, at_once: true, do: [{ask: {to: '${{ x }}', text: a, else: [stop]}}]}",
            "without `else`",
        ),
        (
            "{of: [a], as: x, at_once: true, do: [{wait: 5s}, {ask: {to: '${{ x }}', text: a}}]}",
            "only the `ask` at the end may wait, for all",
        ),
        ("{of: lists.long, as: x, do: [stop]}", "the list has 201 entries, 200 at most"),
    ],
)
def test_a_list_that_cannot_be_gone_through_is_refused_at_its_place(
    each: str, problem: str, tmp_path: Path
) -> None:
    long = ", ".join(map(str, range(201)))
    (tmp_path / "rules.yaml").write_text(
        f"lists: {{l: [a], long: [{long}]}}\n"
        f"rules:\n  - name: r\n    on: message.received\n    do: [{{each: {each}}}]\n"
    )
    found = load_rules(tmp_path)
    assert problem in str(found.problems[0])
    assert [each.line for each in found.problems] == [5]
    assert found.rules == ()


HUNT = """
lists: {agents: [+12125550101, +12125550102]}
rules:
  - name: hunt
    on: call.received
    do:
      - each:
          of: lists.agents
          as: agent
          do: [{dial: {number: "${{ agent }}", timeout: 15s, answered: [{let: {taken: true}}]}}]
          until: taken
          else: [{say: Nobody is here.}, hangup, stop]
      - notify: ${{ agent }} took it.
"""


@pytest.mark.parametrize(
    ("statuses", "verbs", "notes"),
    [
        (("completed",), "Dial", ["+12125550101 took it."]),
        (("busy", "completed"), "Dial Dial", ["+12125550102 took it."]),
        (("busy", "no-answer"), "Dial Dial Say Hangup", []),
    ],
)
def test_a_hunt_dials_one_after_the_other(
    statuses: tuple[str, ...], verbs: str, notes: list[str], tmp_path: Path
) -> None:
    """Until somebody talks to the caller."""
    path = tmp_path / "rules.yaml"
    path.write_text(HUNT)
    bench, caller = Bench.load(path), incoming_call()
    made = [*bench.react(caller).actions]
    for each in statuses:
        made += bench.react(call_step(CallSid=caller.call_sid, DialCallStatus=each)).actions
    said = [type(verb).__name__ for each in made for verb in getattr(each, "verbs", ())]
    assert " ".join(verb for verb in said if verb != "Redirect") == verbs
    assert [each.text for each in made if isinstance(each, Notify)] == notes
