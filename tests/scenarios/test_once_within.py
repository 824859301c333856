"""Firings that count for `once_within`: runs that have said something, or may do so yet. On a bench
and on a node alike."""

from pathlib import Path

import pytest

from admission.compare import difference
from admission.stories import Step, Story, text

STOP = "- {name: boss, on: message.received, priority: 5, if: event.body == 'x', do: [{stop: no}]}"
IDLE: dict[str, tuple[str, tuple[Step, ...]]] = {
    "it fails in its first step": (
        """{name: o, on: message.received, once_within: 1h,
          do: [{reply: '${{ event.body.number() }}'}]}""",
        (text("x"), 5.0, text("7"), 5.0, text("8")),
    ),
    "a stop ends it before it begins": (
        """{name: o, on: message.received, once_within: 1h,
          do: [{reply: '${{ event.body }}'}]}\n""" + STOP,
        (text("x"), 5.0, text("7"), 5.0, text("8")),
    ),
    "its `unless` is met": (
        """{name: o, on: message.received, if: event.body != 'here', once_within: 1h, within: 1m,
          unless: {on: message.received, if: reply.body == 'here'},
          do: [{reply: '${{ event.body }}'}]}""",
        (text("x"), 5.0, text("here"), 5.0, text("7"), 60.0, text("8"), 60.0),
    ),
    "too few events come": (
        """{name: o, on: message.received, once_within: 1h, accumulate_within: 10s, threshold: 2,
          do: [{reply: '7'}]}""",
        (text("x"), 20.0, text("7"), 5.0, text("7"), 60.0, text("8"), 1.0, text("8")),
    ),
    "it is cancelled while it waits": (
        """{name: o, on: message.received, if: event.body != 'no', once_within: 1h, do: [{wait: 1m},
          {reply: '${{ event.body }}'}],
          cancel_on: {on: message.received, if: reply.body == 'no'}}""",
        (text("x"), 5.0, text("no"), 5.0, text("7"), 60.0, text("8"), 60.0),
    ),
}  # fmt: skip
FIRED: dict[str, tuple[str, tuple[Step, ...]]] = {
    "it fails after it has spoken": (
        """{name: o, on: message.received, once_within: 1h, do: [{reply: '7'},
          {reply: '${{ event.body.number() }}'}]}""",
        (text("x"), 5.0, text("8")),
    ),
    "it waits to speak": (
        "{name: o, on: message.received, once_within: 1h, do: [{wait: 1m}, {reply: '7'}]}",
        (text("x"), 5.0, text("8"), 60.0),
    ),
    "it spoke before others were idle": (
        """{name: o, on: message.received, once_within: 1m, mode: queued, do: [{reply: '${{
          event.body.number() }}'}]}""",
        (text("7"), 40.0, text("8"), 30.0, text("x"), 5.0, text("7"), 5.0, text("9")),
    ),
    "it comes to its end and has nothing to say": (
        """{name: o, on: message.received, once_within: 1h, do: [{choose: [{if: event.body == '8',
          do: [{reply: '7'}]}]}]}""",
        (text("x"), 5.0, text("8")),
    ),
}


@pytest.mark.parametrize("other", ["", "key: all, ", "mode: queued, ", "mode: single, "])
async def test_of_several_events_in_one_batch_one_fires(tmp_path: Path, other: str) -> None:
    """They are judged before the run of the first has begun."""
    rules = "{name: o, on: message.received, once_within: 1h, OTHERdo: [{reply: hello}]}"
    steps = ((text("a"), text("b"), text("c")), 5.0, text("d"))
    found = await difference(Story(f"rules:\n- {rules.replace('OTHER', other)}\n", steps), tmp_path)
    assert found.why == ""
    first, *rest = (each["o"] for each in found.node.verdicts.values())
    assert first == "fired"
    assert all(each.startswith("once_within: fired ") for each in rest)
    assert [len(told) for told in found.node.told.values()] == [1]


@pytest.mark.parametrize("name", [*IDLE, *FIRED])
async def test_a_run_that_does_nothing_does_not_use_up_once_within(
    tmp_path: Path, name: str
) -> None:
    """The first text makes an idle run: the next one is answered, and the one after is held back.
    A run that spoke, that may speak yet or that decided to be silent holds the next one back."""
    rules, steps = {**IDLE, **FIRED}[name]
    found = await difference(Story(f"rules:\n- {rules}\n", steps), tmp_path)
    assert found.why == ""
    told = [line for lines in found.node.told.values() for line in lines]
    assert not [line for line in told if " 8 " in line]
    assert len([line for line in told if " 7 " in line]) == (
        0 if "nothing to say" in name else 2 if "before others" in name else 1
    )
    assert list(found.node.verdicts.values())[-1]["o"].startswith("once_within: fired ")
