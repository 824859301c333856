"""One table of rules and events, through a bench and through the real worker on a stepped clock.

Verdicts, the ends of runs, actions and what the gate says to each must be equal. The stories are
written by hand or drawn from seeds; `python tests/admission --seeds N` compares any number.
"""

from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from admission.compare import difference
from admission.node import Loaded
from admission.stories import OTHER, PEOPLE, Happens, Step, Story, status, story, text
from ringback.plugins.loader import load_plugins
from ringback.testing import NOON
from ringback.testing.assembly import ruleset_of

ANN, BOB, CAT = PEOPLE
SERVICE = {"MessagingServiceSid": "MG" + "1" * 32}
CALL = {"CallSid": "CA" + "5" * 32, "From": ANN, "To": "+12025550100", "Direction": "inbound"}


def late(minutes: int) -> Happens:
    """A text that was fetched back so long after it was sent."""
    sent = format_datetime(NOON - timedelta(minutes=minutes))
    fields = {**text("a").fields, "Timestamp": sent}
    return Happens("message", fields, "confirmed", "repair")


Told = tuple[str, list[Step], dict[str, Any], str]
"""Rules, steps, settings, and a piece of what must have come of it, lest the story tell nothing."""

ENDS = """
        - name: r
          on: ['message.*']
          do:
            - notify: "${{ string(ended('5m')) }} ${{ string(failures('5m')) }}
                ${{ string(failure_rate('5m', 1)) }} ${{ string(failures('5m', '+12025550100')) }}
                ${{ string(failure_rate_of_class('1h', 'carrier_filtered', 1)) }}
                ${{ string(failures_of_country('1h', 'GB')) }}
                ${{ string(failures_of_rule('1h', 'r')) }}
                ${{ string(ended('5m', 'SERVICE')) }} ${{ string(pending('1m')) }}"
        - name: two
          on: ['message.*']
          if:
            - ended('5m') >= 2
            - failure_rate('5m', '+12025550100', 2) >= 0.3
            - failures('5m') == 1 || failures('1h', 'SERVICE') == 1
            - pending('1m') == 0
          do: [{notify: two}]
"""
"""A rule that tells all that can be asked of the ends of texts."""


def told(word: str, number: int, code: int = 0, **more: str) -> Happens:
    """News of the text of ours with this number."""
    said = status(word, code=code)
    return replace(said, fields={**said.fields, "MessageSid": f"SM{number:032x}", **more})


STORIES: dict[str, Told] = {
    "ends of texts, each once": (
        ENDS,
        [
            told("sent", 1),
            told("delivered", 1),
            told("sent", 2),
            told("undelivered", 2, 30007),
            told("read", 1),
            told("queued", 2),
            70.0,
            told("queued", 3),
            told("failed", 3, 30008),
            told("sent", 4),
            65.0,
            text("a"),
            told("canceled", 4),
            400.0,
            text("b"),
        ],
        {},
        "3 2 0.66",
    ),
    "ends of texts in one batch": (
        ENDS,
        [
            told("sent", 7),
            65.0,
            (
                told("sent", 1),
                told("delivered", 1),
                told("undelivered", 2, 30007, **SERVICE),
                told("read", 1),
                told("failed", 2, 30007, **SERVICE),
                told("delivered", 7),
            ),
            text("a"),
        ],
        {},
        "3 1 0.33",
    ),
    "a proof of delivery after a report of failure": (
        ENDS,
        [
            told("failed", 1, 30007),
            told("undelivered", 2, 30003),
            130.0,
            told("delivered", 1),
            told("undelivered", 1, 30003),
            (told("delivered", 2), text("a")),
        ],
        {},
        "2 0 0 0 0 0 0 0 0",
    ),
    "a queue of three lines": (
        """
        - name: q
          on: message.received
          mode: queued
          do: [{reply: one}, {wait: 1h}, {reply: two}]
        """,
        [text("a"), text("b"), text("c", BOB), 3600.0, text("d"), 3600.0, 3600.0],
        {},
        "'fired'",
    ),
    "a queue and its max": (
        "{name: q, on: message.received, mode: queued, max: 2, do: [{wait: 1m}, {reply: R}]}",
        [text("a"), text("b"), text("c"), 60.0, text("d"), 120.0],
        {},
        "queued: 2 runs are under way, which is its max",
    ),
    "a queue in which a stop and a cancellation stand": (
        """
        - {name: q, on: message.received, mode: queued, if: event.body != 'no', do: [{wait: 1m},
           {reply: "${{ event.body }}"}], cancel_on: {on: message.received, if: reply.body == 'no'}}
        - {name: s, on: message.received, priority: 5, if: event.body == 'b', do: [{stop: enough}]}
        """,
        [text("a"), text("b"), text("c"), text("no"), 60.0, text("d"), text("e"), 200.0],
        {},
        "cancelled: enough",
    ),
    "a burst whose run queues": (
        """
        - {name: q, on: message.received, mode: queued, once_after: 5s, do: [{reply: "${{
           burst.texts.join('+') }}"}, {wait: 1m}, {reply: done}]}
        """,
        [text("a"), 5.0, text("b"), text("c"), 60.0, text("d"), 5.0, 65.0, 65.0, 65.0],
        {},
        "joined run_2",
    ),
    "a burst in a queue that is ended by what joined it": (
        """
        - name: q
          on: message.received
          mode: queued
          once_after: 10s
          cancel_on: {on: message.received, if: reply.body == event.body}
          do: [{wait: 1h}, {reply: "R ${{ event.body }}"}]
        """,
        [text("a"), 10.0, text("x"), text("x"), text("a"), text("b"), 20.0, 3600.0],
        {},
        "R b",
    ),
    "a burst, once in a while": (
        """
        - name: o
          on: message.received
          once_after: 5s
          max_wait: 8s
          once_within: 1m
          do: [{reply: "${{ burst.text }}"}]
        """,
        [text("a"), 4.0, text("b"), 4.0, text("c"), 60.0, text("d"), 5.0],
        {},
        "once_within: fired 8 s before",
    ),
    "backstops, single and restart": (
        """
        - {name: one, on: message.received, mode: single, if: "event.body == 'a'", do: [{reply: A},
           {wait_for: {if: reply.body == 'x', timeout: 1m, do: [{reply: X}], else: [{reply: E}]}}]}
        - {name: two, on: message.received, mode: restart, if: "event.body == 'b'", do: [{wait:
           20s}, {reply: B}]}
        - {name: rest, on: message.received, backstop: true, do: [{reply: rest}]}
        """,
        [
            text("a"),
            text("a"),
            text("x"),
            text("x"),
            text("b"),
            10.0,
            text("b"),
            20.0,
            text("a"),
            text("y", BOB),
            60.0,
        ],
        {},
        "backstop: one took it",
    ),
    "a restart by the very text that was waited for": (
        """
        - {name: r, on: message.received, mode: restart, do: [{reply: asked}, {wait_for: {timeout:
           1m, do: [{reply: heard}], else: [{reply: none}]}}]}
        """,
        [text("a"), text("b"), 60.0],
        {},
        "cancelled: restarted by message.received in:",
    ),
    "what a run began with, in cancel_on": (
        """
        - {name: c, on: message.received, do: [{wait: 1m}, {reply: "${{ event.body }}"}],
           cancel_on: {on: message.received, if: reply.body == event.body + '!'}}
        """,
        [text("a"), text("b"), text("a!"), 60.0],
        {},
        "cancelled: cancelled by message.received in:",
    ),
    "what others say, to a rule of one key that may be cancelled": (
        """
        - {name: k, on: message.received, mode: single, key: all, cancel_on: message.delivered,
           do: [{wait_for: {if: "reply.body in ['x', 'y']", timeout: 10s, do: [{notify: heard}],
           else: [{notify: nothing}]}}]}
        """,
        [(text("y"), text("a", BOB), text("x", BOB), text("b")), 15.0],
        {},
        "single: run_",
    ),
    "several texts in one batch": (
        """
        - {name: one, on: message.received, mode: single, if: event.body == 'a', do: [{reply: A},
           {wait: 1m}], cancel_on: {on: message.received, if: reply.body == 'no'}}
        - {name: two, on: message.received, mode: single, once_within: 10s, if: event.body == 'b',
           do: [{wait: 20s}, {reply: B}]}
        - {name: all, on: message.received, mode: queued, max: 3, do: [{wait: 1m}, {reply: "${{
           string(message_count()) }}"}]}
        """,
        [
            (text("a"), text("a"), text("b")),
            (text("no"), text("a"), text("b", BOB), text("b", BOB)),
            15.0,
            (text("b"), text("b")),
            5.0,
            (text("b"), text("b")),
            400.0,
        ],
        {},
        "single: run_1 is under way",
    ),
    "several people and our two numbers": (
        """
        - {name: w, on: message.received, key: all, mode: queued, do: [{reply: begin}, {wait_for: {
           timeout: 10s, do: [{reply: "${{ reply.body }}"}], else: [{reply: late}]}}]}
        """,
        [
            text("a"),
            text("b", BOB),
            text("c", CAT, OTHER),
            text("d"),
            5.0,
            text("e", BOB),
            10.0,
            text("f", CAT),
            10.0,
            10.0,
            10.0,
        ],
        {},
        "'fired'",
    ),
    "too late to be answered": (
        "{name: l, on: message.received, do: [{reply: R}]}",
        [late(14), late(16), text("a")],
        {},
        "stale: fetched back 16 min late",
    ),
    "consent": (
        """
        - {name: a, on: message.received, do: [{reply: R}]}
        - name: s
          on: message.received
          if: event.body == 'b'
          do: [{send: {to: "${{ event.from }}", body: S, service: SERVICE}}]
        """,
        [
            text("STOP"),
            9.0,
            text("a"),
            text("a", ANN, OTHER),
            text("START"),
            9.0,
            text("c"),
            status("failed", ANN, 21610),
            9.0,
            text("d"),
            text("b", BOB, OTHER, **SERVICE),
            9.0,
            text("STOP", BOB, **SERVICE),
            9.0,
            text("b", BOB, OTHER),
        ],
        {},
        "opted out of +12025550100 (error 21610",
    ),
    "quiet hours": (
        """
        - name: q
          on: message.received
          do: [{send: {to: "${{ event.from }}", body: "${{ event.body }}"}}, {reply: R}]
        """,
        [text("a"), text("b", BOB), 60.0, text("STOP", BOB), 3600.0, 36_000.0, 36_000.0],
        {"quiet_hours": "17:00-07:00"},
        "refused: +442071838751 opted out",
    ),
    "budgets of an hour": (
        "{name: b, on: message.received, do: [{reply: R}]}",
        [text("a"), text("b", BOB), 5.0, text("c"), text("d", CAT), 3590.0, text("e")],
        {"total_per_hour": 3},
        "refused: budget: 3 an hour in all",
    ),
    "budgets of a day": (
        "{name: b, on: message.received, budget: {segments_per_day: 3}, do: [{reply: R}]}",
        [text("a"), text("b", BOB), 5.0, text("c"), text("d", CAT), 90_000.0, text("e")],
        {"total_per_day": 4},
        "refused: budget: 3 segments a day by rule 'b'",
    ),
    "a machine": (
        "{name: m, on: message.received, do: [{reply: 'You said ${{ event.body }}'}]}",
        [step for number in range(8) for step in (text(f"m{number}"), 2.0)],
        {},
        "refused: loop: 5 turns at machine speed",
    ),
    "an echo": (
        "{name: e, on: message.received, do: [{reply: Hello}]}",
        [text("a"), 2.0, text("hello!"), 60.0, text("Hello"), 60.0, text("hello")],
        {},
        "refused: loop: +442071838750 sends our own text back at machine speed",
    ),
    "a call": (
        """
        - name: menu
          on: call.received
          mode: single
          do: [{gather: {say: Press 1., digits: 1, choices: {"1": [{say: One.}, {send: {to: "${{
            event.from }}", body: pressed}}]}, else: [{say: None.}]}}, {say: Bye.}]
        """,
        [
            Happens("call", {**CALL, "CallStatus": "ringing"}),
            2.0,
            Happens("call/step", {**CALL, "CallStatus": "in-progress", "Digits": "1"}),
        ],
        {},
        "send_message +442071838750 pressed | left",
    ),
}
RING = {**CALL, "CallStatus": "ringing"}
LINE = "{{name: w, on: call.received, mode: parallel, max: 1, do: [{steps}]}}"
FULL = "parallel: 1 run is under way, which is its max"
WAITING: dict[str, str] = {
    "a wait for an answer inside choose": "choose: [{if: 'true', do: [{wait_for: {timeout: 1m}}]}]",
    "a wait in the else of choose": "choose: [{if: 'false', do: [notify: N]}, {else: [wait: 1m]}]",
    "a wait inside wait_for": "wait_for: {timeout: 1s, else: [{wait: 1m}]}",
    "a menu": "gather: {say: Press 1., digits: 1}",
    "a menu inside choose": "choose: [{if: 'true', do: [{gather: {say: Press 1., digits: 1}}]}]",
    "a voicemail": "record: {max_length: 1m}",
    "a dial that is waited for": "dial: {number: '+15557654321', else: [{say: Nobody is here.}]}",
    "a rule that is run": "run: other",
}
OTHERS = "- {name: other, on: message.read, do: [{wait: 1m}]}"


@pytest.mark.parametrize("name", WAITING)
async def test_max_holds_for_whatever_waits(tmp_path: Path, name: str) -> None:
    rules = f"rules:\n- {LINE.format(steps='{' + WAITING[name] + '}')}\n{OTHERS}\n"
    again = Happens("call", {**RING, "CallSid": "CA" + "6" * 32})
    steps = (Happens("call", RING), 2.0, again)
    await same(tmp_path, Story(rules, steps), piece=FULL)


LASTS = {
    "unless": "unless: message.received, within: 1m, do: [{notify: N}]",
    "a wait in a message": "do: [{wait: 1m}]",
}


@pytest.mark.parametrize("name", LASTS)
async def test_max_holds_for_a_rule_that_waits_by_its_timing(tmp_path: Path, name: str) -> None:
    words = f"name: w, on: call.completed, max: 1, {LASTS[name]}"
    over = [
        Happens("call/status", {**CALL, "CallSid": f"CA{n:032x}", "CallStatus": "completed"})
        for n in (1, 2)
    ]
    story = Story(f"rules:\n- {{{words}}}\n", (over[0], 2.0, over[1]))
    await same(tmp_path, story, piece=FULL)


async def test_max_is_not_asked_of_what_ends_at_once(tmp_path: Path) -> None:
    """The texts of one batch are all answered, and a dial that nobody waits for is over."""
    rules = """rules:
- {name: r, on: message.received, max: 1, do: [{reply: R}]}
- {name: d, on: call.received, max: 1, do: [{dial: '+15557654321'}]}
"""
    calls = [Happens("call", {**RING, "CallSid": f"CA{n:032x}"}) for n in (1, 2)]
    story = Story(rules, ((text("a"), text("b"), text("c")), *calls))
    seen = await difference(story, tmp_path)
    assert seen.why == ""
    assert "max" not in str(seen.node.verdicts)


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_by_hand(tmp_path: Path, name: str) -> None:
    rules, steps, settings, piece = STORIES[name]
    rules = dedent(rules).strip().replace("SERVICE", SERVICE["MessagingServiceSid"])
    rules = rules if rules.startswith("-") else f"- {rules}"
    await same(tmp_path, Story(f"rules:\n{rules}\n", tuple(steps), settings), piece=piece)


PLUGIN = """
from ringback import Conversation, rule


@rule("message.received", mode="{mode}", cancel_on="message.undelivered")
async def order(convo: Conversation):
    what = await convo.ask("What?", timeout="1m")
    if what is None:
        convo.tell("Nothing?")
        return
    many = await convo.ask("How many?", timeout="1m")
    convo.tell(f"{{many}} times {{what}}.")
"""


@pytest.mark.parametrize("mode", ["single", "queued", "restart", "parallel"])
async def test_conversations_of_several_people(tmp_path: Path, mode: str) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(PLUGIN.format(mode=mode))
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    steps: list[Step] = [
        text("hi"), text("hi", BOB), 5.0, text("tea"), text("2"), 70.0, text("cake", BOB),
        text("hi", CAT), text("STOP", CAT), 61.0, text("3", BOB), 61.0, 61.0, 61.0,
    ]  # fmt: skip
    story = Story("", tuple(steps))
    await same(tmp_path, story, Loaded(ruleset, plugins), piece="send_message +442071838750 What?")


TALKS: dict[str, list[Step]] = {
    "max=1, key='all'": [text("hi"), text("hi", BOB), 5.0, text("hallo"), 5.0, text("tea")],
    "max=1, key='all', once_after='2s'": [
        text("hi"),
        2.0,
        text("hi", BOB),
        text("hallo"),
        text("tea"),
        2.0,
    ],
    "max=1, also_answers=True": [(text("hi"), text("hallo")), 5.0, text("tea"), 70.0],
}


@pytest.mark.parametrize("words", TALKS)
async def test_max_holds_for_conversations(tmp_path: Path, words: str) -> None:
    """Else several are begun, and the answer to one is taken by another."""
    (tmp_path / "plugins").mkdir()
    plugin = PLUGIN.replace('mode="{mode}"', f'mode="parallel", {words}')
    (tmp_path / "plugins" / "shop.py").write_text(plugin.format())
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    story = Story("", tuple(TALKS[words]))
    seen = await difference(story, tmp_path, Loaded(ruleset, plugins))
    assert seen.why == ""
    assert "tea times hallo." in str(seen.node)
    assert FULL in str(seen.node)


async def test_a_rule_in_quarantine(tmp_path: Path) -> None:
    rules = "rules:\n- {name: r, on: message.received, do: [{reply: R}]}\n"
    story = Story(rules, (text("a"),), {}, {"r": "it blocked the worker"})
    await same(tmp_path, story, piece="quarantined: it blocked the worker")


async def same(folder: Path, told: Story, loaded: Loaded | None = None, piece: str = "") -> None:
    """Both sides make the same of it, and this is in it."""
    seen = await difference(told, folder, loaded)
    assert seen.why == ""
    assert piece in str(seen.node)


@pytest.mark.parametrize("seed", [*range(12), 95])
async def test_a_story_from_a_seed(tmp_path: Path, seed: int) -> None:
    assert (await difference(story(seed), tmp_path)).why == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
async def test_two_hundred_stories_more(tmp_path: Path, seed: int) -> None:
    assert (await difference(story(seed), tmp_path)).why == ""
