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
