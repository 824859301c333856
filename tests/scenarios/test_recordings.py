"""Recordings that rules ask for: the transcript comes, and a silent hang-up ends the wait."""

from collections.abc import Callable
from typing import Any

import pytest

from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

Begin = Callable[..., Story]
THEM = "+15550100044"
CALL, NEXT = "CA" + "4" * 32, "CA" + "5" * 32
RULES = """
version: 1
rules:
  - name: voicemail
    on: call.received
    mode: single
    do:
      - say: Please speak.
      - record: {transcribe: true, as: message, else: [{notify: nobody spoke}]}
      - notify: "recorded ${{ vars.message }}"
  - name: transcript
    on: call.transcribed
    do: [{notify: "wrote ${{ event.body }}, ${{ event.theirs }}"}]
"""


def call(story: Story, route: str, sid: str = CALL, **fields: str) -> None:
    """A webhook of a call that came in."""
    known = {"AccountSid": ACCOUNT, "CallSid": sid, "From": THEM, "To": OURS}
    known |= {"Direction": "inbound", "CallStatus": "in-progress"}
    tag = "n1" if route == "call/step" else ""
    story.receive(story.entry(route, tag, {**known, **fields}))


def states(story: Story) -> list[Any]:
    """What became of the runs."""
    return story.ask("select state, reason from runs where rule = 'voicemail' order by id")


def begun(begin: Begin, **more: Any) -> Story:
    """A caller is asked to speak."""
    story = begin(rules=RULES, **more)
    call(story, "call", CallStatus="ringing")
    story.run(5.0)
    return story


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({}, "/twilio/recording"),
        (
            {"auth_tokens": (), "hook_secret": "s3cr3t-path-of-this-hook-4711"},
            "/twilio/~s3cr3t-path-of-this-hook-4711/recording",
        ),
    ],
)
def test_a_transcript_that_is_asked_for_comes(
    begin: Begin, changed: dict[str, Any], path: str
) -> None:
    """Twilio is told where to; its text is the event's, with the caller."""
    story = begun(begin, **changed)
    ((twiml,),) = story.ask("select twiml from answers")
    assert f'transcribe="true" transcribeCallback="https://hooks.example.org{path}"' in twiml
    call(story, "recording", TranscriptionSid="TR" + "1" * 32, TranscriptionStatus="completed",
         TranscriptionText="Call me back", RecordingSid="RE" + "1" * 32)  # fmt: skip
    story.run(30.0)
    assert story.notices == [f"wrote Call me back, {THEM}"]


@pytest.mark.parametrize("status", ["completed", "canceled", "failed", "no-answer", "busy"])
def test_a_caller_who_hangs_up_silently_ends_the_wait(begin: Begin, status: str) -> None:
    """And may call again: `mode: single` lets the next call in."""
    story = begun(begin)
    call(story, "call/status", CallStatus=status)
    story.run(8.0)
    assert [state for state, _ in states(story)] == ["waiting"], "a recording may still come"
    story.run(25.0)
    assert states(story) == [("done", "stopped: the caller hung up")]
    call(story, "call", NEXT, CallStatus="ringing")
    story.run(30.0)
    assert [state for state, _ in states(story)] == ["done", "waiting"]
    assert story.notices == []


def test_a_recording_that_comes_after_the_end_of_the_call_counts(begin: Begin) -> None:
    """Twilio reports the end and asks what to do next at once: either may come first."""
    story = begun(begin)
    call(story, "call/status", CallStatus="completed")
    story.run(8.0)
    call(story, "call/step", CallStatus="completed", RecordingUrl="https://e.org/RE1",
         RecordingSid="RE" + "1" * 32)  # fmt: skip
    story.run(60.0)
    assert [state for state, _ in states(story)] == ["done"]
    assert story.notices == ["recorded https://e.org/RE1"]


def test_the_end_told_twice_does_not_lengthen_the_wait(begin: Begin) -> None:
    story = begun(begin)
    for moment in (5.0, 12.0):
        call(story, "call/status", CallStatus="completed", SequenceNumber=str(int(moment)))
        story.run(moment)
    story.run(20.0)
    assert states(story) == [("done", "stopped: the caller hung up")]


def test_the_worker_may_end_within_the_grace(begin: Begin) -> None:
    story = begun(begin)
    call(story, "call/status", CallStatus="completed")
    story.run(8.0)
    story.kill()
    story.start()
    story.run(60.0)
    assert states(story) == [("done", "stopped: the caller hung up")]


@pytest.mark.parametrize(
    ("ask", "last"),
    [
        ("record: {max_length: 2m}", 600.0 + 120.0 + 5.0),
        pytest.param("record: {max_length: 30s, timeout: 10s}", 640.0, marks=pytest.mark.slow),
        pytest.param("gather: {say: Press 1., digits: 1}", 670.0, marks=pytest.mark.slow),
        ("gather: {say: Your account?, timeout: 3s}", 600.0 + 99.0 + 60.0),
    ],
)
def test_a_silent_hang_up_that_nobody_tells_of_ends_when_twilio_would_have_ended_it(
    begin: Begin, ask: str, last: float
) -> None:
    """A number without a status callback: the same caller is served again."""
    do = f"[{{say: Hello.}}, {{pause: 7s}}, {{{ask}}}]"
    rules = f"rules: [{{name: voicemail, on: call.received, mode: single, do: {do}}}]"
    story = begin(rules=rules)
    call(story, "call", CallStatus="ringing")
    story.run(last)
    assert [state for state, _ in states(story)] == ["waiting"]
    story.run(last + 20.0)
    assert states(story) == [("done", "stopped: the caller did not answer")]
    call(story, "call", NEXT, CallStatus="ringing")
    story.run(last + 30.0)
    assert [state for state, _ in states(story)] == ["done", "waiting"]


@pytest.mark.slow
def test_a_connection_may_last_as_long_as_twilio_lets_it(begin: Begin) -> None:
    """Two hours of talk, and the rule goes on behind it."""
    rules = """
rules:
  - name: voicemail
    on: call.received
    do: [{dial: {number: +15550100045, answered: [{notify: talked}]}}]
"""
    story = begin(rules=rules)
    call(story, "call", CallStatus="ringing")
    story.run(7_200.0)
    call(story, "call/step", DialCallStatus="completed")
    story.run(7_210.0)
    assert story.notices == ["talked"]


@pytest.mark.parametrize("mode", ["single", "restart", "queued"])
def test_who_has_hung_up_may_call_again_at_once(begin: Begin, mode: str) -> None:
    """While the first recording is still waited for, after a death of the worker too; and when it
    comes, it counts."""
    story = begin(rules=RULES.replace("mode: single", f"mode: {mode}"))
    call(story, "call", CallStatus="ringing")
    story.run(5.0)
    call(story, "call/status", CallStatus="completed")
    story.run(7.0)
    if mode == "single":
        story.kill()
        story.start()
    call(story, "call", NEXT, CallStatus="ringing")
    story.run(8.0)
    assert [state for state, _ in states(story)] == ["waiting", "waiting"]
    assert ["<Record" in twiml for (twiml,) in story.ask("select twiml from answers")] == [True] * 2
    call(story, "call/step", CallStatus="completed", RecordingUrl="https://e.org/RE1",
         RecordingSid="RE" + "1" * 32)  # fmt: skip
    story.run(20.0)
    assert [state for state, _ in states(story)] == ["done", "waiting"]
    assert story.notices == ["recorded https://e.org/RE1"]


ASKS = {
    "record": "{record: {max_length: 2m}}",
    "gather": "{gather: {say: Press 1., digits: 1}}",
    "dial": "{dial: {number: +15550100045, answered: [{notify: talked}]}}",
}


@pytest.mark.parametrize("mode", ["single", "queued"])
@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("ended", ["just before", "a moment later", "never"])
def test_who_rings_again_before_the_end_of_the_last_call_is_known_is_served(
    begin: Begin, ask: str, ended: str, mode: str
) -> None:
    """How a call ended is told by a webhook of its own, which may come in the same batch as the
    next call, after it, or not at all, where a number has no status callback."""
    do = f"[{{say: Please listen.}}, {ASKS[ask]}]"
    story = begin(
        rules=f"rules: [{{name: voicemail, on: call.received, mode: {mode}, max: 5, do: {do}}}]"
    )
    call(story, "call", CallStatus="ringing")
    story.run(5.0)
    if ended == "just before":
        call(story, "call/status", CallStatus="completed")
    call(story, "call", NEXT, CallStatus="ringing")
    story.run(6.0)
    if ended == "a moment later":
        call(story, "call/status", CallStatus="completed")
    story.run(20.0)
    assert len(story.ask("select twiml from answers")) == 2
    assert states(story)[-1][0] == "waiting"
    assert states(story)[0][0] == ("waiting" if ended == "never" else "done")


def test_the_call_of_another_person_is_kept_out_of_a_rule_that_serves_one_at_a_time(
    begin: Begin,
) -> None:
    rules = "rules: [{name: voicemail, on: call.received, mode: single, key: all, do: [record]}]"
    story = begin(rules=rules)
    call(story, "call", CallStatus="ringing")
    story.run(5.0)
    call(story, "call", NEXT, CallStatus="ringing", From="+15550100055")
    story.run(6.0)
    assert [state for state, _ in states(story)] == ["waiting"]
