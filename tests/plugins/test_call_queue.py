"""The bundled plugin call_queue, with what an author has: the kit."""

from pathlib import Path
from typing import Any

import pytest

from ringback import Hangup, Pause, Play, RingbackError
from ringback.testing import Bench, call_step, incoming_call

PLUGIN = Path(__file__).parents[2] / "plugins" / "call_queue.py"


@pytest.fixture
def bench() -> Bench:
    """The plugin alone."""
    return Bench.load(PLUGIN)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"QueuePosition": 1}, "You are next in line."),
        ({"QueuePosition": 3, "AvgQueueTime": 0}, "There are 2 callers before you."),
        (
            {"QueuePosition": 3, "AvgQueueTime": 95},
            "There are 2 callers before you. The wait is about 3 minutes.",
        ),
        ({"QueuePosition": "soon"}, "You are next in line."),
    ],
)
def test_a_waiting_caller_hears_the_place_in_the_line(
    bench: Bench, fields: dict[str, Any], words: str
) -> None:
    """Each time that Twilio asks what to play: the place, then music until the next time."""
    reaction = bench.react(call_step(**fields))
    assert reaction.spoken == [words]
    rest = reaction.actions[0].verbs[-1]
    assert isinstance(rest, Play)
    assert rest.url.startswith("https://")


def test_hold_music_is_configured() -> None:
    """`music` is played, an empty one is silence; only https will do."""
    music = "https://example.org/waltz.mp3"
    bench = Bench.load(PLUGIN, config={"call_queue": {"music": music}})
    assert bench.react(call_step(QueuePosition=1)).actions[0].verbs[-1] == Play(music)
    bench = Bench.load(PLUGIN, config={"call_queue": {"music": "", "silence": 9}})
    assert bench.react(call_step(QueuePosition=1)).actions[0].verbs[-1] == Pause(9)
    with pytest.raises(RingbackError, match="music"):
        Bench.load(PLUGIN, config={"call_queue": {"music": "http://example.org/waltz.mp3"}})


@pytest.mark.parametrize("result", ["queue-full", "error", "system-error"])
def test_a_caller_whom_the_queue_does_not_take_hears_goodbye(bench: Bench, result: str) -> None:
    """And the call ends."""
    reaction = bench.react(call_step(QueueResult=result))
    assert reaction.spoken == ["All our lines are busy. Please call again later."]
    assert reaction.actions[0].verbs[-1] == Hangup()


@pytest.mark.parametrize("result", ["bridged", "hangup", "leave", "redirected"])
def test_a_caller_who_leaves_the_queue_otherwise_hears_nothing(bench: Bench, result: str) -> None:
    """There is nobody to say it to, or somebody else is speaking."""
    assert bench.react(call_step(QueueResult=result)).actions == ()


def test_the_step_hold_greets_and_enqueues(tmp_path: Path) -> None:
    """In a rule file, as a bare name or with a greeting."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "rules").mkdir()
    (tmp_path / "plugins" / "call_queue.py").write_bytes(PLUGIN.read_bytes())
    (tmp_path / "rules" / "line.yaml").write_text(
        "version: 1\nrules:\n"
        "  - name: line\n    on: call.received\n    do:\n"
        "      - hold: {queue: support, say: 'Thanks for calling.'}\n"
    )
    reaction = Bench.load(tmp_path).react(incoming_call())
    (answer,) = reaction.actions
    assert reaction.spoken == ["Thanks for calling."]
    assert (answer.kind, answer.verbs[-1].queue) == ("enqueue_call", "support")
