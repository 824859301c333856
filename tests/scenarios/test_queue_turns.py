"""Turns of a queue: however a run ends, the next of its key starts, on a bench and on a node."""

from pathlib import Path

import pytest

from admission.compare import difference
from admission.stories import Step, Story, text
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from scenarios.test_rules_timing import ANN, World

BOSS = """- {name: boss, on: message.received, priority: 10, if: event.body == 'one',
   do: [{stop: no}]}
"""
Q = "name: q, on: message.received, mode: queued, max: 5"
WAITS = f"- {{{Q}, do: [{{wait: 10s}}, {{reply: '${{{{ event.body }}}}'}}]}}\n"
SAYS = f"- {{{Q}, do: [{{reply: '${{{{ event.body }}}}'}}]}}\n"
BATCH = (text("one"), text("two"), text("three"))
ENDS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "a stop, in one batch": (BOSS + SAYS, (BATCH,)),
    "a stop, one by one": (BOSS + SAYS, BATCH),
    "a stop of the first, and waits": (BOSS + WAITS, (BATCH, 30.0)),
    "a stop of one that is queued": (
        BOSS.replace("'one'", "'2nd'") + WAITS,
        ((text("1st"), text("2nd"), text("two"), text("three")), 50.0),
    ),
    "a failure in the first step": (
        f"- {{{Q}, do: [{{choose: [{{if: event.body == 'one', do: [{{reply: '${{{{ "
        "event.body.number() }}'}]}]}, {reply: '${{ event.body }}'}]}\n",
        (BATCH,),
    ),
    "a failure after a wait": (
        f"- {{{Q}, do: [{{wait: 10s}}, {{choose: [{{if: event.body == 'one', do: [{{reply: '${{{{ "
        "event.body.number() }}'}]}]}, {reply: '${{ event.body }}'}]}\n",
        (BATCH, 40.0),
    ),
    "a cancellation": (
        WAITS.replace("max: 5", "max: 5, if: event.body != 'no', cancel_on: {on: message.received,"
                      " if: reply.body == 'no' && event.body == 'one'}"),
        (BATCH, text("no"), 40.0),
    ),
    "a step that says stop": (
        f"- {{{Q}, do: [{{choose: [{{if: event.body == 'one', do: [{{stop: enough}}]}}]}}, "
        "{reply: '${{ event.body }}'}]}\n",
        (BATCH,),
    ),
    "an answer that does not come": (
        f"- {{{Q}, do: [{{wait_for: {{if: \"reply.body == 'never'\", timeout: 10s}}}}, "
        "{reply: '${{ event.body }}'}]}\n",
        (BATCH, 40.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
async def test_the_next_of_a_queue_starts_however_the_first_ends(tmp_path: Path, name: str) -> None:
    """And later texts find room: no run is left behind that counts for `max`."""
    rules, steps = ENDS[name]
    later = tuple(text(f"later {number}") for number in range(5))
    found = await difference(Story(f"rules:\n{rules}", (*steps, 60.0, *later, 120.0)), tmp_path)
    assert found.why == ""
    told = str(found.node.told)
    assert "two" in told
    assert "three" in told
    assert all(f"later {number}" in told for number in range(5))


@pytest.mark.parametrize("dies", [False, True])
async def test_a_queue_that_a_stop_has_left_goes_on_after_a_restart(
    tmp_path: Path, dies: bool
) -> None:
    """The worker ends when it has decided about three texts and done nothing; and one that a
    person cancels lets the next one go."""
    (tmp_path / "rules.yaml").write_text(
        "rules:\n" + BOSS + WAITS.replace("reply:", "notify:").replace("10s", "1h")
    )
    loaded = load_rules(tmp_path / "rules.yaml")
    assert loaded.problems == []
    world = World(tmp_path, RuleSet(loaded.rules, loaded.language))
    await world.boot()
    for body in ("one", "two", "three"):
        await world.record(ANN, body)
    await world.engine._match()
    if dies:
        await world.restart()
    await world.work()
    await world.wait(3600.0)
    assert world.actions() == ["two"]
    ((last, _),) = [each async for each in world.journal.open_runs.in_state("waiting")]
    await world.text(ANN, "four")
    await world.journal.runs.cancel([last.uid], "cancelled by a person", "")
    await world.engine.resumer.cancelled(last.uid)
    await world.work()
    await world.wait(3600.0)
    assert world.actions() == ["two", "four"]
    await world.close()
