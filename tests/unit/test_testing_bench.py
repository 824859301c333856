"""The bench: what the worker does around rules, done in memory for a test."""

from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from ringback.actions import Remember, SendMessage
from ringback.errors import RuleErrors
from ringback.testing import (
    NOON,
    OURS,
    THEIRS,
    Bench,
    RunFailed,
    call_step,
    incoming_call,
    message_status,
    settled,
    sms,
)


def bench_of(folder: Path, **files: str) -> Bench:
    """A project with these files: `plugin=` and `rules=` are texts."""
    for name, (path, head) in {
        "plugin": ("plugins/mine.py", "from ringback import *\n"),
        "rules": ("rules/mine.yaml", "version: 1\nrules:\n"),
    }.items():
        if name in files:
            file = folder / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(head + dedent(files[name]))
    return Bench.load(folder)


def test_rules_of_files_and_plugins_react_together(tmp_path: Path) -> None:
    """In the order of their priority; each action by the rule that made it."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", priority=5)
        def first(event):
            return reply(event, "one")
        """,
        rules="""
          - name: second
            on: message.received
            do:
              - reply: two
        """,
    )
    reaction = bench.react(sms("hi"))
    assert reaction.fired == ["mine.first", "second"]
    assert reaction.texts == ["one", "two"]
    assert [action.body for action in reaction.by["second"]] == ["two"]  # type: ignore[union-attr]


def test_a_function_in_shadow_recalls_what_it_would_have_remembered(tmp_path: Path) -> None:
    """And nobody else does."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", state="shadow")
        def shy(event, contact, store):
            said = contact.recall("said") + event.body
            assert store.remembered(event.conversation, "said") == contact.recall("said")
            return contact.remember("said", said)

        @rule("message.received")
        def loud(event, contact):
            return reply(event, f"[{contact.recall('said')}]")
        """,
    )
    for body in ("a", "b", "c"):
        reaction = bench.react(sms(body))
    assert reaction.texts == ["[]"]
    (made,) = reaction.by["mine.shy"]
    assert isinstance(made, Remember)
    assert made.value == "abc"


def test_a_run_that_is_queued_has_taken_the_event_from_a_backstop(tmp_path: Path) -> None:
    """The person is answered when the run before has ended; nobody else answers meanwhile."""
    bench = bench_of(
        tmp_path,
        rules="""
          - {name: q, on: message.received, mode: queued, do: [{reply: one}, {wait: 1h}]}
          - {name: rest, on: message.received, backstop: true, do: [{reply: rest}]}
        """,
    )
    assert bench.react(sms("a")).texts == ["one"]
    second = bench.react(sms("b"))
    assert second.texts == []
    assert second.why_not("rest") == "backstop: q took it"
    assert bench.wait(3600).texts == ["one"]


def test_a_stop_keeps_lower_priorities_away(tmp_path: Path) -> None:
    """Rules of the same priority still run."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", priority=2)
        def gate(event):
            return Stop("closed")

        @rule("message.received", priority=2)
        def same(event):
            return reply(event, "same")

        @rule("message.received", priority=1)
        def lower(event):
            return reply(event, "lower")
        """,
    )
    reaction = bench.react(sms("hi"))
    assert reaction.texts == ["same"]
    assert reaction.why_not("mine.lower") == "stopped: closed"


def test_the_past_is_what_happened_on_the_bench(tmp_path: Path) -> None:
    """Counts, last moments and memories, for conditions and for handlers."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received")
        def count(event, contact, store):
            last = contact.last_outbound()
            seen = f"{contact.message_count} {store.count('message.*', 60)}"
            return [reply(event, f"{seen} {last and last.minute} {contact.recall('n', '-')}"),
                    contact.remember("n", event.body)]
        """,
        rules="""
          - name: third
            on: message.received
            if: message_count() == 3
            do: [reply: third time]
        """,
    )
    assert bench.react(sms("a")).texts == ["1 1 None -"]
    bench.wait("50s")
    assert bench.react(sms("b")).texts == ["2 2 0 a"]
    bench.wait("50s")
    assert bench.react(sms("c")).texts == ["third time", "3 2 0 b"]
    assert bench.remembered(sms(), "n") == "c"
    assert bench.react(sms("x", from_="+14155550199")).texts == ["1 3 None -"]


def test_forgetting_forgets(tmp_path: Path) -> None:
    """A `Remember` without a value drops it."""
    bench = bench_of(tmp_path, plugin="pass\n@hookimpl\ndef startup(ctx): pass\n")
    place = f"{OURS}/{THEIRS}"
    bench.past.record(Remember(place, "n", "1"), None)
    assert bench.remembered(sms(), "n") == "1"
    bench.past.record(Remember(place, "n", None), None)
    assert bench.remembered(sms(), "n") == ""


def test_waiting_rules_go_on_by_event_and_by_time(tmp_path: Path) -> None:
    """`wait_for` takes the reply or its time-out."""
    text = """
      - name: ask
        on: message.received
        if: event.body == 'order'
        do:
          - reply: How many?
          - wait_for:
              on: message.received
              timeout: 1h
              do: [reply: "${{ reply.body }} it is"]
              else: [reply: too late]
    """
    bench = bench_of(tmp_path, rules=text)
    assert bench.react(sms("order")).waiting == ["ask"]
    answered = bench.react(sms("three"))
    assert (answered.texts, answered.waiting) == (["three it is"], [])
    bench.react(sms("order"))
    assert bench.wait(3599).texts == []
    assert bench.wait(timedelta(seconds=1)).texts == ["too late"]


def test_a_burst_is_joined(tmp_path: Path) -> None:
    """`once_after`: texts that follow each other are one."""
    bench = bench_of(
        tmp_path,
        rules="""
          - name: joined
            on: message.received
            once_after: 10s
            do: [reply: "${{ burst.text }}"]
        """,
    )
    bench.react(sms("one"))
    bench.wait("5s")
    bench.react(sms("two"))
    assert bench.wait("9s").texts == []
    assert bench.wait("1s").texts == ["one\ntwo"]


def test_a_function_gets_a_burst_as_a_list(tmp_path: Path) -> None:
    """`texts`, oldest first; without timing words it is the one text."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", once_after="10s", max_wait="15s")
        async def joined(event, texts):
            return reply(event, " + ".join(texts))

        @rule("call.received")
        def plain(event, texts):
            return say(event, repr(texts))
        """,
    )
    assert bench.react(sms("one")).waiting == ["mine.joined"]
    bench.wait("8s")
    bench.react(sms("two"))
    assert bench.wait("7s").texts == ["one + two"]
    assert bench.react(incoming_call()).spoken == ["('',)"]


def test_a_function_is_called_when_nothing_came(tmp_path: Path) -> None:
    """`unless … within`: an absence is an event too."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", if_="event.body == 'order'", unless="message.delivered",
              within="5m")
        def reminder(event):
            return notify("nobody answered")
        """,
    )
    bench.react(sms("order"))
    assert bench.wait("5m").by["mine.reminder"]
    bench.react(sms("order"))
    bench.react(message_status("delivered"))
    assert bench.wait("5m").actions == ()


def test_a_caller_answers_by_keys(tmp_path: Path) -> None:
    """A step of the same call, found by its SID, goes on with the rule."""
    bench = bench_of(
        tmp_path,
        rules="""
          - name: menu
            on: call.received
            do:
              - gather:
                  say: Press 1.
                  digits: 1
                  choices:
                    "1": [{say: "You pressed 1."}]
        """,
    )
    call = incoming_call()
    assert bench.react(call).spoken[0] == "Press 1."
    assert bench.react(call_step(CallSid=call.call_sid, Digits=1)).spoken == ["You pressed 1."]


def test_shadow_rules_do_nothing(tmp_path: Path) -> None:
    """Their actions are in `by`, and nowhere else, not even in the past."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received", state="shadow")
        def quiet(event):
            return reply(event, "nobody gets this")
        """,
    )
    reaction = bench.react(sms("hi"))
    assert reaction.actions == ()
    assert isinstance(reaction.by["mine.quiet"][0], SendMessage)
    assert bench.past.last_outbound(sms().conversation, NOON + timedelta(days=1)) is None


def test_restart_begins_again(tmp_path: Path) -> None:
    """`mode: restart` drops the run that waits."""
    bench = bench_of(
        tmp_path,
        rules="""
          - name: later
            on: message.received
            mode: restart
            do: [wait: 10m, reply: "${{ event.body }}"]
        """,
    )
    bench.react(sms("one"))
    bench.wait("5m")
    assert bench.react(sms("two")).waiting == ["later"]
    assert bench.wait("10m").texts == ["two"]


def test_cancel_on_ends_a_run_that_waits(tmp_path: Path) -> None:
    """In its own conversation only."""
    bench = bench_of(
        tmp_path,
        rules="""
          - name: remind
            on: message.received
            if: event.body == 'remind me'
            cancel_on: {on: message.received, if: "reply.body == 'never mind'"}
            do: [wait: 10m, reply: reminder]
        """,
    )
    bench.react(sms("remind me"))
    bench.react(sms("never mind", from_="+14155550199"))
    assert bench.react(sms("hello")).waiting == ["remind"]
    assert bench.react(sms("never mind")).waiting == []
    assert bench.wait("1h").texts == []


def test_hooks_see_events_and_ends(tmp_path: Path) -> None:
    """Sync and async; their actions are under `plugin.hook`."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @hookimpl
        async def on_event(event):
            return notify(event.type) if event.error_code else None

        @hookimpl
        def on_settled(action):
            return notify(action.state)
        """,
    )
    seen = bench.react(message_status("failed", error_code=30003))
    assert [action.text for action in seen.by["mine.on_event"]] == ["message.failed"]  # type: ignore[union-attr]
    assert bench.settle(settled(state="parked")).by["mine.on_settled"][0].text == "parked"  # type: ignore[union-attr]


async def test_async_handlers_run_inside_a_running_loop(tmp_path: Path) -> None:
    """As in a test that is async itself."""
    bench = bench_of(
        tmp_path,
        plugin="""
        import asyncio

        @rule("message.received")
        async def slow(event):
            await asyncio.sleep(0)
            return reply(event, "done")
        """,
    )
    assert bench.react(sms("hi")).texts == ["done"]


def test_what_a_handler_raises_comes_through(tmp_path: Path) -> None:
    """So that pytest shows the line; also out of an async one."""
    bench = bench_of(
        tmp_path,
        plugin="""
        @rule("message.received")
        async def broken(event):
            raise LookupError(event.body)
        """,
    )
    with pytest.raises(LookupError, match="hi"):
        bench.react(sms("hi"))


def test_steps_that_fail_say_so(tmp_path: Path) -> None:
    """With the step and its line."""
    bench = bench_of(
        tmp_path,
        rules="""
          - name: broken
            on: message.received
            do: [reply: "${{ string(event.body.number()) }}"]
        """,
    )
    with pytest.raises(RunFailed, match="broken: failed: step `reply`"):
        bench.react(sms("no number"))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Of rule files and plugins, as `ringback check` would."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text("1/0")
    with pytest.raises(RuleErrors) as caught:
        bench_of(tmp_path, rules="  - name: x\n    on: mesage.received\n    do: [stop: x]\n")
    assert {problem.kind for problem in caught.value.problems} >= {"import", "schema"}


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    """A typo in the path is not an empty project."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Bench.load(tmp_path / "nowhere.py")


def test_why_not_knows_which_rules_looked(tmp_path: Path) -> None:
    """A name that did not look at the event is a mistake in the test."""
    bench = bench_of(
        tmp_path, rules="  - name: calls\n    on: call.received\n    do: [say: Hello.]\n"
    )
    reaction = bench.react(incoming_call())
    assert reaction.why_not("calls") == ""
    with pytest.raises(KeyError, match="those that did: calls"):
        reaction.why_not("clals")


def test_events_happen_now_or_later(tmp_path: Path) -> None:
    """An event of an earlier moment happens now; one of a later moment takes the clock along."""
    bench = bench_of(tmp_path, rules="  - name: x\n    on: message.received\n    do: [stop: x]\n")
    bench.wait("1h")
    now = bench.clock.now()
    assert now == NOON + timedelta(hours=1)
    earlier = bench.react(sms("now")).event
    assert earlier is not None
    assert earlier.received_at == now
    later = bench.react(sms("later", at=now + timedelta(days=1))).event
    assert later is not None
    assert later.received_at == bench.clock.now() == now + timedelta(days=1)
