"""Locks of runs: of many only the first goes on, on a bench and on a node."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from admission.compare import Seen, difference, on_node
from admission.node import Loaded, Node, settings_of
from admission.stories import PEOPLE, Step, Story, text
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.upkeep.erase import erase
from ringback.store.upkeep.retention import Retention
from ringback.testing import Bench, sms
from ringback.testing.bench import RunFailed
from simulation.story import Story as Simulated

Begin = Callable[..., Simulated]
ANN, BOB, CAT = PEOPLE
JOB = """
- name: job
  on: message.received
  if: event.body.begins_with('yes')
  do:
    - first:
        key: "job ${{ event.body.word(1) }}"
        do: [{reply: It is yours.}, {wait: 1h}]
        else: [{reply: Taken.}]
    - reply: Bye.
"""
SHORT = """
- name: job
  on: message.received
  do: [{first: {key: "${{ event.body }}", for: 12h}}, {reply: It is yours.}]
"""
MANY = [f"+4420718387{number:02}" for number in range(20)]


async def seen(folder: Path, rules: str, *steps: Step) -> Seen:
    """What both sides make of a story."""
    found = await difference(Story(f"rules:{rules}", steps), folder)
    assert found.why == ""
    return found.node


def said(seen: Seen) -> list[str]:
    """Who was told what, in order."""
    lines = [line.partition(" | ")[0] for each in seen.actions.values() for line in each]
    return [line.removeprefix("send_message ") for line in lines]


def node_of(folder: Path, rules: str) -> Node:
    (folder / "rules.yaml").write_text(f"rules:{rules}")
    loaded = load_rules([folder / "rules.yaml"])
    assert [str(each) for each in loaded.problems] == []
    return Node(
        settings_of(folder, {}), Loaded(RuleSet(loaded.rules, loaded.language), PluginSet())
    )


async def test_the_lock_is_held_until_the_run_has_ended(tmp_path: Path) -> None:
    """Others do `else` and go on behind the step. Another key is another lock."""
    steps = (text("yes 7"), 9.0, text("yes 7", BOB), text("yes 8", BOB), 3599.0, text("yes 7", CAT))
    found = await seen(tmp_path, JOB, *steps)
    assert said(found) == [
        f"{ANN} It is yours.", f"{ANN} Bye.", f"{BOB} Taken.", f"{BOB} Bye.",
        f"{BOB} It is yours.", f"{CAT} It is yours.",
    ]  # fmt: skip
    assert "done: `first` (line 6): run_1 was first" in found.ends.values()


async def test_it_ends_with_the_run_however_that_ended(tmp_path: Path) -> None:
    ends_it = "  cancel_on: {on: message.received, if: \"reply.body == 'no'\"}\n  do:\n"
    cancelled = JOB.replace("  do:\n", ends_it, 1)
    failed = JOB.replace("{wait: 1h}", "{wait: 1m}, {wait: {until: '${{ event.body }}'}}")
    ways: list[tuple[str, Step]] = [(cancelled, text("no")), (failed, 61.0)]
    for number, (rules, ends) in enumerate(ways):
        (tmp_path / str(number)).mkdir()
        steps = (text("yes 7"), 1.0, text("yes 7", BOB), ends, text("yes 7", CAT))
        lines = said(await seen(tmp_path / str(number), rules, *steps))
        assert [line for line in lines if "Bye" not in line] == [
            f"{ANN} It is yours.", f"{BOB} Taken.", f"{CAT} It is yours.",
        ]  # fmt: skip


async def test_for_keeps_it_behind_the_end_of_the_run(tmp_path: Path) -> None:
    """Counted from the taking. Without `else` the others end."""
    hours = 12 * 3600.0
    steps = (text("7"), 1.0, text("7", BOB), hours - 2.0, text("7", CAT), 1.0, text("7", CAT))
    found = await seen(tmp_path, SHORT, *steps)
    assert said(found) == [f"{ANN} It is yours.", f"{CAT} It is yours."]
    assert list(found.ends.values())[1] == "done: stopped: run_1 was first"


async def test_the_same_run_may_take_it_again(tmp_path: Path) -> None:
    """In each turn of a list. What it takes for longer is held for longer."""
    turn = "[{first: {key: k, else: [{notify: no}]}}, {notify: '${{ n }}'}, {wait: 1s}]"
    rules = f"""
- name: r
  on: message.received
  do: [{{each: {{of: [1, 2], as: n, do: {turn}}}}}, {{first: {{key: k, for: 1h}}}}, {{notify: end}}]
"""
    steps = (text("a"), 3.0, text("b", BOB), 3598.9, text("c", CAT), 2.0)
    lines = [line.removeprefix("notify ") for line in said(await seen(tmp_path, rules, *steps))]
    assert lines == ["1", "2", "end", "no", "1", "no", "2", "no", "1", "2", "end"]


async def test_in_shadow_it_has_locks_of_its_own(tmp_path: Path) -> None:
    """It holds nobody up and is not held up by others, only by its own runs."""
    shadow = SHORT.replace("name: job", "name: dry\n  state: shadow\n  priority: 1")
    found = await seen(tmp_path, shadow + SHORT, text("7"), 1.0, text("7", BOB), 1.0)
    made = {rule: len(lines) for (_, rule), lines in found.actions.items()}
    assert made == {"dry": 1, "job": 1}
    assert sorted(found.ends.values()) == [
        "done: ", "done: ", "done: stopped: run_1 was first", "done: stopped: run_2 was first",
    ]  # fmt: skip


@pytest.mark.parametrize("rules", [JOB, SHORT], ids=["while it lasts", "for a time"])
async def test_of_many_in_one_batch_one_wins_also_behind_a_restart(
    rules: str, tmp_path: Path
) -> None:
    node = node_of(tmp_path, rules)
    await node.start({})
    await node.happen(*(text("yes 7", who) for who in MANY))
    await node.close()
    again = node_of(tmp_path, rules)
    again.time, again.rows = node.time + 60.0, node.rows
    await again.start({})
    await again.happen(*(text("yes 7", who) for who in MANY))
    found = said(on_node(again))
    await again.close()
    assert [line.split(" ", 1)[1] for line in found].count("It is yours.") == 1
    if rules == JOB:
        assert len(found) == 40 + 39  # "Taken.", and "Bye." but from the one that waits


async def test_the_trace_names_the_run_that_was_first(tmp_path: Path) -> None:
    node = node_of(tmp_path, SHORT)
    await node.start({})
    await node.happen(text("7"))
    await node.happen(text("7", BOB))
    rows = node.reader.execute("select uid, reason from runs order by id").fetchall()
    await node.close()
    assert rows[1][1] == f"stopped: {rows[0][0]} was first"


async def test_old_locks_are_swept_and_held_ones_stay(tmp_path: Path) -> None:
    node = node_of(tmp_path, JOB + SHORT.replace("job", "short").replace("${{ event.body }}", "s"))
    await node.start({})
    await node.happen(text("yes 7"))
    kept = "select count(*) from run_locks"
    assert next(node.reader.execute(kept))[0] == 2
    retention: Retention = node.journal.retention
    await retention.retire("2026-03-05T04:59:59.999Z")
    assert next(node.reader.execute(kept))[0] == 2
    await retention.retire("2026-03-05T05:00:00.001Z")
    assert next(node.reader.execute(kept))[0] == 1
    await node.close()


async def test_the_locks_of_somebody_who_is_erased_go_with_them(tmp_path: Path) -> None:
    node = node_of(tmp_path, SHORT)
    await node.start({})
    await node.happen(text("7"), text("8", BOB), text("9", CAT))
    runs = "select r.key from run_locks l join runs r on r.uid = l.run_uid"
    assert len(node.reader.execute(runs).fetchall()) == 3
    await node.close()
    erase(tmp_path / "data", ANN, "2026-03-04T18:00:00.000Z")
    with closing(connect_reader(tmp_path / "data" / "journal.db")) as journal:
        assert journal.execute("select count(*) from run_locks").fetchone()[0] == 2


@pytest.mark.parametrize(
    "steps", [3, 9, 15, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 60))]
)
def test_a_death_at_any_point_leaves_one_winner(begin: Begin, steps: int) -> None:
    """Two at one moment, another one behind the restart: each is answered once."""
    story = begin(rules=f"rules:{JOB}")
    for who in (ANN, BOB):
        story.receive(story.text("yes 7", who))
    story.run(story.clock.now + 5.0, steps)
    story.kill()
    story.start()
    story.receive(story.text("yes 7", CAT))
    story.run(story.clock.now + 60.0)
    texts = [each.body for each in story.twilio.records.values()]
    assert sorted(texts) == ["Bye."] * 2 + ["It is yours."] + ["Taken."] * 2


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("first: '${{ event.body.word(9) }}'", "step `first` (line 4): the key is empty"),
        ("each: {of: '${{ [1,2,3,4,5,6,7,8,9,0].map(i, [1,2,3,4,5,6].map(j, i * 10 + j)) }}', "
         "as: l, do: [{each: {of: '${{ l }}', as: n, do: [{first: 'k ${{ n }}'}]}}]}",
         "step `first` (line 4): more than 50 keys without a wait"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_said(step: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        f"rules:\n  - name: r\n    on: message.received\n    do: [{{{step}}}]\n"
    )
    bench = Bench.load(tmp_path / "rules.yaml")
    with pytest.raises(RunFailed, match=re.escape(reason)):
        bench.react(sms("hi"))


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("first: {key: k, for: soon}", "for"),
        ("first: {for: 1h}", "key"),
        ("first: {key: k, els: []}", "els"),
        ("first: ''", "key"),
        ("first: '${{ event.boddy }}'", "boddy"),
        ("first: {key: k, do: [{replly: x}]}", "replly"),
    ],
)
def test_mistakes_are_named_at_load(step: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        f"rules:\n  - name: r\n    on: message.received\n    do: [{{{step}}}]\n"
    )
    problems = [str(each) for each in load_rules(tmp_path).problems]
    assert len(problems) == 1
    assert "rules.yaml:4:" in problems[0]
    assert where in problems[0]
