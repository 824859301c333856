"""Running: what each step means, and a run that is put down and taken up at every wait."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ringback.actions import (
    Action,
    AnswerCall,
    DequeueCall,
    EndCall,
    HttpRequest,
    Notify,
    PlaceCall,
    Remember,
    SendMessage,
    Stop,
    notify,
)
from ringback.events import Event
from ringback.rules.files.load import compile_rule, load_rules
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.language.scope import NoFacts
from ringback.rules.model import Rule, RuleSpec, StepKind
from ringback.verbs import Dial, Enqueue, Gather, Hangup, Pause, Play, Record, Redirect, Reject, Say

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
FACTS = NoFacts()
OURS, THEIRS = "+15557654321", "+15551234567"


def text(body: str = "hi", **fields: str) -> Event:
    return Event(
        "evt_1", "message.received", NOON, NOON, sender=THEIRS, recipient=OURS, subject_sid="SM1",
        conversation=f"{OURS}/{THEIRS}", fields={"Body": body, **fields},
    )  # fmt: skip


def call(type_: str = "call.received", **fields: str) -> Event:
    return Event(
        "evt_2", type_, NOON, NOON, sender=THEIRS, recipient=OURS, subject_sid="CA1",
        conversation=f"{OURS}/{THEIRS}", fields={"CallSid": "CA1", **fields},
    )  # fmt: skip


def rules(tmp_path: Path, source: str, steps: Sequence[StepKind] = ()) -> dict[str, Rule]:
    (tmp_path / "rules.yaml").write_text(source)
    loaded = load_rules(tmp_path, steps=steps)
    assert loaded.problems == []
    return {rule.name: rule for rule in loaded.rules}


def steps(tmp_path: Path, do: str, on: str = "[message.received, call.received]") -> Rule:
    head = (
        "lists: {oncall: [+15550000001, +15550000002]}\n"
        "hours: {office: {tz: America/New_York, open: 'mon-fri 09:00-17:00'}}\n"
    )
    return rules(tmp_path, f"{head}rules:\n  - name: it\n    on: {on}\n    do:\n      - {do}\n")[
        "it"
    ]


def start(rule: Rule, event: Event) -> Progress:
    assert rule.language is not None
    return begin(rule, event, FACTS, NOON, places=rule.language.hours)


def go_on(
    rule: Rule, event: Event, before: Progress, wake: Event | None, after: timedelta = timedelta(0)
) -> Progress:
    """Resume from the state as the journal would hold it: as JSON text. A burst that is over goes
    on at once."""
    assert rule.language is not None
    state, hours = json.loads(json.dumps(before.state)), rule.language.hours
    found = resume(rule, event, FACTS, NOON + after, state, Wake(wake), places=hours)
    return go_on(rule, event, found, None, after) if found.closed else found


@pytest.mark.parametrize(
    ("do", "actions"),
    [
        ("reply: Hi ${{ event.body }}", [SendMessage(THEIRS, "Hi hi", OURS, in_reply_to="SM1")]),
        (
            "reply: {body: Look, media: [https://e.org/a.png]}",
            [SendMessage(THEIRS, "Look", OURS, media=("https://e.org/a.png",), in_reply_to="SM1")],
        ),
        (
            "send: {to: +15550000009, body: x, from: '${{ event.to }}', service: MG1}",
            [SendMessage("+15550000009", "x", OURS, "MG1")],
        ),
        (
            "send: {to: ['${{ lists.oncall }}', +15550000001], body: x}",
            [SendMessage("+15550000001", "x"), SendMessage("+15550000002", "x")],
        ),
        (
            "call: {to: '${{ event.from }}', say: Hello, timeout: 20s}",
            [PlaceCall(THEIRS, (Say("Hello"),), timeout=20)],
        ),
        (
            "call: {to: +15550000009, url: https://e.org/t.xml, from: +15550000001}",
            [PlaceCall("+15550000009", url="https://e.org/t.xml", sender="+15550000001")],
        ),
        (
            "call: {to: +15550000009, do: [{say: Hi}, {pause: 2}, hangup]}",
            [PlaceCall("+15550000009", (Say("Hi"), Pause(2), Hangup()))],
        ),
        (
            "reply: {body: x, policy: fast}",
            [SendMessage(THEIRS, "x", OURS, in_reply_to="SM1", policy="fast")],
        ),
        (
            "send: {to: +15550000009, body: x, policy: at_most_once}",
            [SendMessage("+15550000009", "x", policy="at_most_once")],
        ),
        (
            "call: {to: +15550000009, say: x, policy: checked}",
            [PlaceCall("+15550000009", (Say("x"),), policy="checked")],
        ),
        ("end_call: CA9", [EndCall("CA9")]),
        (
            "dequeue: {queue: QU1, url: https://e.org/a.xml}",
            [DequeueCall("QU1", "https://e.org/a.xml")],
        ),
        ("notify: Look at ${{ event.from }}", [Notify(f"Look at {THEIRS}")]),
        (
            "notify: {text: x, webhook: https://e.org/h, key: k, severity: error}",
            [Notify("x", "webhook", "https://e.org/h", "k", "error")],
        ),
        (
            "http: {url: https://e.org, json: {a: ['${{ event.body }}']}, headers: {X: y}}",
            [HttpRequest("https://e.org", "POST", {"a": ["hi"]}, {"X": "y"})],
        ),
        (
            "remember: {name: Ada, last: '${{ event.body }}'}",
            [
                Remember(f"{OURS}/{THEIRS}", "name", "Ada"),
                Remember(f"{OURS}/{THEIRS}", "last", "hi"),
            ],
        ),
        (
            "forget: [name, last]",
            [
                Remember(f"{OURS}/{THEIRS}", "name", None),
                Remember(f"{OURS}/{THEIRS}", "last", None),
            ],
        ),
    ],
)
def test_a_step_is_these_actions(tmp_path: Path, do: str, actions: list[Action]) -> None:
    progress = start(steps(tmp_path, do), text())
    assert (list(progress.actions), progress.wait, progress.end) == (actions, None, "")


@pytest.mark.parametrize(
    ("do", "verbs"),
    [
        (
            "say: {text: Hallo, voice: alice, language: de-DE, loop: 2}",
            [Say("Hallo", "alice", "de-DE", 2)],
        ),
        ("play: https://e.org/a.mp3", [Play("https://e.org/a.mp3")]),
        ("play: {digits: 1w2}", [Play(digits="1w2")]),
        ("pause", [Pause(1)]),
        (
            "enqueue: {queue: vip, wait_url: https://e.org/w.xml}",
            [Enqueue("vip", "https://e.org/w.xml")],
        ),
        ("redirect: https://e.org/m.xml", [Redirect("https://e.org/m.xml")]),
        ("reject: busy", [Reject("busy")]),
        ("hangup", [Hangup()]),
        (
            "dial: {conference: team, caller_id: +15550000009, timeout: 15}",
            [Dial(conference="team", caller_id="+15550000009", timeout=15)],
        ),
    ],
)
def test_a_voice_step_is_this_verb(tmp_path: Path, do: str, verbs: list[Any]) -> None:
    progress = start(steps(tmp_path, do), call())
    assert progress.actions == (AnswerCall("CA1", tuple(verbs)),)
    assert progress.wait is None


def test_voice_steps_become_one_answer_at_the_place_of_the_first(tmp_path: Path) -> None:
    rule = steps(
        tmp_path, "notify: a\n      - say: Hello\n      - notify: b\n      - enqueue: support"
    )
    assert start(rule, call()).actions == (
        notify("a"), AnswerCall("CA1", (Say("Hello"), Enqueue("support"))), notify("b"),
    )  # fmt: skip


def test_a_text_that_fails_ends_the_run_and_names_the_step(tmp_path: Path) -> None:
    rule = steps(
        tmp_path, "notify: first\n      - reply: ${{ int(event.body) }}\n      - notify: never"
    )
    progress = start(rule, text("abc"))
    assert progress.actions == (notify("first"),)
    assert progress.end == (
        "failed: step `reply` (line 8): ${{ int(event.body) }}: cannot convert string to int"
    )


def test_a_voice_step_without_a_call_fails(tmp_path: Path) -> None:
    assert start(steps(tmp_path, "say: Hello"), text()).end.endswith("there is no call to speak to")


def test_stop_ends_the_rule_and_says_so(tmp_path: Path) -> None:
    progress = start(steps(tmp_path, "stop: Enough.\n      - reply: never"), text())
    assert progress.actions == (Stop("Enough."),)
    assert progress.end == "stopped: Enough."


def test_run_does_the_steps_of_another_rule(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        "rules:\n"
        "  - {name: a, on: message.received, do: [{notify: one}, {run: b}, {notify: three}]}\n"
        "  - {name: b, on: call.received, if: 'false', state: 'off', do: [{notify: two}]}\n",
    )
    assert start(found["a"], text()).actions == (notify("one"), notify("two"), notify("three"))


def test_a_run_of_endless_length_is_ended(tmp_path: Path) -> None:
    chain = "".join(
        f"  - {{name: r{n}, on: message.received, do: [{{run: r{n + 1}}}, {{run: r{n + 1}}}]}}\n"
        for n in range(12)
    )
    last = "  - {name: r12, on: message.received, do: [{notify: x}]}\n"
    found = rules(tmp_path, f"rules:\n{chain}{last}")
    assert start(found["r0"], text()).end == "failed: more than 500 steps without a wait"


CHOICE = """choose:
          - if: event.body == 'a'
            do: [{notify: is a}]
          - if: ["event.body.size() == 1", "event.body == 'b'"]
            do: [{notify: is b}, {choose: [{if: "true", do: [{notify: inner}]}]}]
          - else: [{notify: other}]
      - notify: after"""


@pytest.mark.parametrize(
    ("body", "notes"),
    [("a", ["is a", "after"]), ("b", ["is b", "inner", "after"]), ("c", ["other", "after"])],
)
def test_choose_takes_the_first_that_holds(tmp_path: Path, body: str, notes: list[str]) -> None:
    progress = start(steps(tmp_path, CHOICE), text(body))
    assert [getattr(each, "text", "") for each in progress.actions] == notes


def test_a_choice_that_fails_does_not_hold(tmp_path: Path) -> None:
    options = "{if: int(event.body) > 1, do: [{notify: x}]}, {else: [{notify: else}]}"
    progress = start(steps(tmp_path, f"choose: [{options}]"), text("abc"))
    assert progress.actions == (notify("else"),)
    state, reason = progress.outcome
    assert state == "done"
    assert "option 1 does not hold: error:1: cannot convert string to int" in reason


def test_wait_lets_time_pass(tmp_path: Path) -> None:
    rule = steps(tmp_path, "reply: one\n      - wait: 15m\n      - reply: two ${{ now }}")
    first = start(rule, text())
    assert [each.body for each in first.actions if isinstance(each, SendMessage)] == ["one"]
    assert first.wait is not None
    assert first.wait.due_at == NOON + timedelta(minutes=15)
    assert first.wait.describe() == "waits for time until 2026-11-20T17:15:00.000Z"
    early = go_on(rule, text(), first, text("noise"))
    assert (early.actions, early.wait) == ((), first.wait)
    last = go_on(rule, text(), first, None, timedelta(minutes=15))
    assert [each.body for each in last.actions if isinstance(each, SendMessage)] == [
        "two 2026-11-20T17:15:00Z"
    ]
    assert (last.wait, last.end) == (None, "")


@pytest.mark.parametrize(
    ("written", "due"),
    [
        ("${{ event.at + duration('2h') }}", NOON + timedelta(hours=2)),
        ("${{ event.body }}", datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
        ("2026-11-21T03:00-05:00", datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
        ("2026-11-21T${{ event.body.size() == 22 ? '08' : '09' }}:00Z",
         datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_wait_until_a_moment(tmp_path: Path, written: str, due: datetime) -> None:
    """An expression, a text of theirs, a text of the rule."""
    rule = steps(tmp_path, f'wait: {{until: "{written}"}}\n      - reply: then')
    event = text("2026-11-21T09:00+01:00")
    first = start(rule, event)
    assert first.wait is not None
    assert first.wait.due_at == due
    last = go_on(rule, event, first, None, due - NOON)
    assert [each.body for each in last.actions if isinstance(each, SendMessage)] == ["then"]


@pytest.mark.parametrize("written", ["2020-01-01T00:00Z", "${{ event.at }}"])
def test_a_moment_that_is_over_is_not_waited_for(tmp_path: Path, written: str) -> None:
    rule = steps(tmp_path, f'wait: {{until: "{written}"}}\n      - reply: then')
    progress = start(rule, text())
    assert (progress.wait, progress.end, len(progress.actions)) == (None, "", 1)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("next tuesday", "'next tuesday' is no time; write it like 2026-03-04T17:00Z"),
        ("2026-12-01T10:00", "has no zone"),
        ("2031-01-01T00:00Z", "2031-01-01T00:00Z is more than 400 days away"),
        ("9999-12-31T23:59-14:00", "is no time"),
        ("", "'' is no time"),
    ],
)
def test_a_text_that_names_no_moment_fails_the_run(tmp_path: Path, body: str, why: str) -> None:
    rule = steps(tmp_path, 'wait: {until: "${{ event.body }}"}\n      - reply: then')
    progress = start(rule, text(body))
    assert progress.end.startswith("failed: step `wait` (line ")
    assert why in progress.end
    assert progress.actions == ()


def test_wait_until_a_place_opens(tmp_path: Path) -> None:
    rule = steps(tmp_path, "wait: {until_open: office}\n      - notify: open")
    night = Event("e", "message.received", NOON, NOON)
    assert rule.language is not None
    evening = NOON + timedelta(hours=8)
    progress = begin(rule, night, FACTS, evening, places=rule.language.hours)
    assert progress.wait is not None
    assert progress.wait.due_at == datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


WAIT_FOR = """reply: Which day?
      - wait_for:
          if: reply.body.size() > 2
          timeout: 1h
          as: day
          do: [{reply: "Noted: ${{ vars.day }} / ${{ reply.from }}"}]
          else: [{reply: Too late.}]
      - notify: done ${{ vars.day }}"""


def test_wait_for_goes_on_with_the_reply_that_counts(tmp_path: Path) -> None:
    rule = steps(tmp_path, WAIT_FOR)
    asked = start(rule, text())
    assert asked.wait is not None
    assert (asked.wait.event_types, asked.wait.key) == (("message.received",), f"{OURS}/{THEIRS}")
    short = go_on(rule, text(), asked, text("x"))
    assert (short.actions, short.wait) == ((), asked.wait)
    other = go_on(rule, text(), asked, call())
    assert (other.actions, other.wait) == ((), asked.wait)
    answered = go_on(rule, text(), short, text("Monday"))
    assert [
        getattr(each, "body", None) or getattr(each, "text", None) for each in answered.actions
    ] == [
        f"Noted: Monday / {THEIRS}",
        "done Monday",
    ]
    assert answered.end == ""


def test_wait_for_goes_on_without_a_reply(tmp_path: Path) -> None:
    rule = steps(tmp_path, WAIT_FOR)
    late = go_on(rule, text(), start(rule, text()), None, timedelta(hours=1))
    assert [
        getattr(each, "body", None) or getattr(each, "text", None) for each in late.actions
    ] == [
        "Too late.",
        "done ",
    ]


MENU = """gather:
          say: Press 1 or say sales.
          digits: 1
          input: both
          timeout: 8s
          as: choice
          choices:
            "1": [{enqueue: sales}]
            sales: [{enqueue: sales}]
          else: [{say: Goodbye.}, hangup]"""


@pytest.mark.parametrize(
    ("answer", "verbs"),
    [
        (call("call.gathered", Digits="1"), (Enqueue("sales"),)),
        (call("call.gathered", SpeechResult="Sales."), (Enqueue("sales"),)),
        (call("call.gathered", Digits="7"), (Say("Goodbye."), Hangup())),
        (call("call.continued"), (Say("Goodbye."), Hangup())),
    ],
)
def test_gather_goes_on_with_the_choice(
    tmp_path: Path, answer: Event, verbs: tuple[Any, ...]
) -> None:
    rule = steps(tmp_path, MENU)
    asked = start(rule, call())
    assert asked.actions == (
        AnswerCall(
            "CA1",
            (
                Gather(
                    input="dtmf speech",
                    num_digits=1,
                    timeout=8,
                    prompts=(Say("Press 1 or say sales."),),
                ),
                Redirect(""),
            ),
        ),
    )
    assert asked.wait is not None
    assert asked.wait.key == "CA1"
    assert set(asked.wait.event_types) > {"call.gathered", "call.continued", "call.completed"}
    progress = go_on(rule, call(), asked, answer)
    assert progress.actions == (AnswerCall("CA1", verbs),)
    assert progress.wait is None


def test_a_caller_who_hangs_up_ends_the_run(tmp_path: Path) -> None:
    rule = steps(tmp_path, MENU)
    asked = start(rule, call())
    assert go_on(rule, call(), asked, call("call.completed")).end == "stopped: the caller hung up"
    assert go_on(rule, call(), asked, None).end == "stopped: the caller did not answer"


def test_record_waits_for_the_recording(tmp_path: Path) -> None:
    rule = steps(
        tmp_path,
        "say: Speak.\n"
        "      - record: {max_length: 2m, as: voicemail, transcribe: true, "
        "else: [{notify: silent}]}\n"
        "      - notify: ${{ vars.voicemail }}",
    )
    asked = start(rule, call())
    assert asked.actions == (
        AnswerCall("CA1", (Say("Speak."), Record(max_length=120, transcribe=True), Redirect(""))),
    )
    recorded = call("call.recorded", RecordingUrl="https://e.org/RE1")
    assert go_on(rule, call(), asked, recorded).actions == (notify("https://e.org/RE1"),)
    silent = go_on(rule, call(), asked, call("call.continued"))
    assert silent.actions == (notify("silent"), notify(""))


def test_dial_goes_on_with_how_it_went(tmp_path: Path) -> None:
    rule = steps(
        tmp_path,
        "dial: {number: +15550000009, answered: [{notify: spoke}], else: [{say: Sorry.}]}",
    )
    asked = start(rule, call())
    assert asked.wait is not None
    assert "call.dialed" in asked.wait.event_types
    good = call("call.dialed", DialCallStatus="completed")
    bad = call("call.dialed", DialCallStatus="no-answer")
    assert go_on(rule, call(), asked, good).actions == (notify("spoke"),)
    assert go_on(rule, call(), asked, bad).actions == (AnswerCall("CA1", (Say("Sorry."),)),)


def test_unless_waits_for_what_should_not_come(tmp_path: Path) -> None:
    rule = rules(
        tmp_path,
        "rules:\n"
        "  - name: unanswered\n"
        "    on: message.received\n"
        "    unless: {on: message.sent, if: reply.to == event.from}\n"
        "    within: 15m\n"
        "    do: [{notify: nobody answered}]\n",
    )["unanswered"]
    begun = start(rule, text())
    assert begun.wait is not None
    assert begun.wait.due_at == NOON + timedelta(minutes=15)
    assert begun.wait.event_types == ("message.sent",)
    other = Event("e", "message.sent", NOON, NOON, recipient="+1999")
    assert go_on(rule, text(), begun, other).wait == begun.wait
    ours = Event("e", "message.sent", NOON, NOON, recipient=THEIRS)
    assert go_on(rule, text(), begun, ours).end == "stopped: message.sent e came in time"
    late = go_on(rule, text(), begun, None, timedelta(minutes=15))
    assert late.actions == (notify("nobody answered"),)


BURST = """rules:
  - name: burst
    on: message.received
    once_after: 5s
    max_wait: 12s
    do: [{reply: "${{ burst.count }}: ${{ burst.texts.join(' + ') }}"}]
"""


def test_once_after_joins_a_burst_and_waits_for_quiet_but_not_for_ever(tmp_path: Path) -> None:
    rule = rules(tmp_path, BURST)["burst"]
    assert rule.collects
    progress = start(rule, text("a"))
    assert progress.state["phase"] == "collect"
    for second, due in ((4, 9), (8, 12), (11, 12)):
        progress = go_on(rule, text("a"), progress, text(f"t{second}"), timedelta(seconds=second))
        assert progress.wait is not None
        assert progress.wait.due_at == NOON + timedelta(seconds=due)
        assert progress.actions == ()
    ended = go_on(rule, text("a"), progress, None, timedelta(seconds=12))
    assert [each.body for each in ended.actions if isinstance(each, SendMessage)] == [
        "4: a + t4 + t8 + t11"
    ]


COUNT = """rules:
  - name: many
    on: message.failed
    accumulate_within: 60s
    threshold: 3
    do: [{notify: "${{ burst.count }} failures"}]
"""


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=12))
def test_accumulate_within_fires_exactly_when_the_model_does(gaps: list[int]) -> None:
    """The model: keep the moments of the last 60 s; three of them fire and are used up."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rule = rules(Path(folder), COUNT)["many"]
    failed = Event("e", "message.failed", NOON, NOON, conversation="c")
    moments: list[int] = []
    progress: Progress | None = None
    now = 0
    for gap in gaps:
        now += gap
        while (
            progress is not None and progress.wait is not None and progress.wait.due_at is not None
        ):
            due = int((progress.wait.due_at - NOON).total_seconds())
            if due > now:
                break
            progress = go_on(rule, failed, progress, None, timedelta(seconds=due))
            if progress.wait is None:
                assert progress.end.startswith("stopped: too few")
                progress = None
        after = timedelta(seconds=now)
        if progress is None:
            progress = begin(rule, failed, FACTS, NOON + after)
        else:
            progress = go_on(rule, failed, progress, failed, after)
        moments = [moment for moment in moments if moment > now - 60] + [now]
        if len(moments) >= 3:
            moments = []
            assert progress.actions == (notify("3 failures"),)
            progress = None
        else:
            assert progress.actions == ()


def test_a_run_whose_rule_has_changed_fails_and_does_not_crash(tmp_path: Path) -> None:
    rule = steps(tmp_path, WAIT_FOR)
    asked = start(rule, text())
    other = steps(tmp_path, "notify: short")
    assert go_on(other, text(), asked, text("Monday")).end == (
        "failed: the rule changed while this run waited"
    )


class Pizza(BaseModel):
    """An order."""

    size: int
    topping: str = "cheese"


def test_a_step_of_a_plugin_gets_its_texts_and_its_mistakes_are_its_own(tmp_path: Path) -> None:
    def bake(event: Event, params: dict[str, Any]) -> tuple[Action, ...]:
        order = Pizza.model_validate(params)
        return (notify(f"{order.size} {order.topping}"),)

    kind = StepKind("pizza", bake, Pizza, "size", plugin="kitchen")
    head = "rules:\n  - name: it\n    on: message.received\n    do:\n      - "
    rule = rules(tmp_path, head + "pizza: {size: 3, topping: '${{ event.body }}'}\n", [kind])["it"]
    assert rule.foreign
    assert start(rule, text("ham")).actions == (notify("3 ham"),)
    short = rules(tmp_path, head + "pizza: 4\n", [kind])["it"]
    assert start(short, text()).actions == (notify("4 cheese"),)
    wrong = rules(tmp_path, head + "pizza: {size: '${{ event.body }}'}\n", [kind])["it"]
    assert start(wrong, text("large")).end.startswith(
        "failed: step `pizza` (line 5): ValidationError"
    )
    (tmp_path / "rules.yaml").write_text(head + "pizza: {size: big, toping: ham}\n")
    found = load_rules(tmp_path, steps=[kind]).problems
    assert [(each.line, each.column, each.message) for each in found] == [
        (5, 23, "'size' needs a whole number, not 'big'"),
        (5, 28, "unknown key 'toping'"),
    ]  # fmt: skip


def test_a_step_of_a_plugin_cannot_take_the_name_of_ours(tmp_path: Path) -> None:
    kind = StepKind("reply", print, Pizza, "", plugin="kitchen")
    found = load_rules(tmp_path, steps=[kind]).problems
    assert [each.message for each in found] == ["the step 'reply' belongs to the language already"]


def test_a_rule_in_python_waits_like_any_other_and_is_called_when_its_time_has_come() -> None:
    def handler(event: Event) -> None:
        """Do nothing."""

    words = {"on": "message.received", "unless": {"on": ["message.sent"]}, "within": 900}
    rule = compile_rule(RuleSpec("a.b", handler, words, __file__, 1))
    assert isinstance(rule, Rule)
    begun = start(rule, text())
    assert begun.wait is not None
    assert begun.wait.due_at == NOON + timedelta(minutes=15)
    assert go_on(rule, text(), begun, None, timedelta(minutes=15)).end == "call"
    sent = Event("e", "message.sent", NOON, NOON)
    assert go_on(rule, text(), begun, sent).end == "stopped: message.sent e came in time"


@pytest.mark.parametrize(
    "do", ["reply: Hi", "remember: {a: b}", "send: {to: '${{ event.from }}', body: x}"]
)
def test_a_step_for_somebody_fails_when_there_is_nobody(tmp_path: Path, do: str) -> None:
    nobody = Event("e", "message.received", NOON, NOON)
    assert start(steps(tmp_path, do), nobody).end.endswith(
        "there is nobody on the other side of this event"
    )


def test_a_rule_that_runs_a_broken_one_is_left_out_with_it(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "rules:\n"
        "  - {name: a, on: message.received, do: [{run: b}]}\n"
        "  - {name: b, on: message.received, do: [{run: c}]}\n"
        "  - {name: c, on: message.received, do: [{replly: x}]}\n"
        "  - {name: d, on: message.received, do: [{notify: x}]}\n"
    )
    loaded = load_rules(tmp_path)
    assert [rule.name for rule in loaded.rules] == ["d"]
    assert len(loaded.problems) == 1


def test_the_revision_changes_with_the_rule_that_is_run(tmp_path: Path) -> None:
    source = (
        "rules:\n"
        "  - {name: a, on: message.received, do: [{run: b}]}\n"
        "  - {name: b, on: message.received, do: [{notify: x}]}\n"
        "  - {name: c, on: message.received, do: [{notify: x}]}\n"
    )
    before, after = (
        rules(tmp_path, source),
        rules(tmp_path, source.replace("b, on", "b, to: x, on")),
    )
    assert before["a"].rev != after["a"].rev
    assert before["c"].rev == after["c"].rev


def test_stop_can_keep_only_the_other_rules_away(tmp_path: Path) -> None:
    progress = start(
        steps(tmp_path, "stop: {reason: Mine., others: true}\n      - reply: Hi"), text()
    )
    assert [type(action) for action in progress.actions] == [Stop, SendMessage]
    assert progress.end == ""
