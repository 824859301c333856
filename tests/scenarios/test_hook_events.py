"""Events of other systems in the real worker: the gate holds, and no SID of theirs is ours."""

from pathlib import Path
from typing import Any

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import PEOPLE, Happens, Story, text

ANN = PEOPLE[0]
RULES = """
hooks: {shop: {secret: {$env: SHOP}, phone: phone, id: id}}
rules:
  - name: order
    on: [hook.shop, rule.started]
    do: [{reply: "Thanks ${{ hook.name }}"}]
  - name: hello
    on: message.received
    if: event.body == 'hello'
    do: [{reply: Hi}]
"""


def order(number: Any) -> Happens:
    return Happens("hook/shop", {"id": number, "phone": ANN, "name": "Ann"})


async def states(folder: Path, *happens: Happens, **settings: Any) -> list[tuple[str, str]]:
    """What became of the texts, in order."""
    node = Node(settings_of(folder, settings), load(Story(RULES, ()), folder))
    await node.start({})
    try:
        for each in happens:
            await (node.begin(each) if each.route == "start" else node.happen(each))
        rows = node.reader.execute(
            "select json_extract(params, '$.body'), state from actions order by id"
        )
        return [tuple(row) for row in rows.fetchall()]
    finally:
        await node.close()


STARTED = Happens("start", {"rule": "order", "to": ANN, "name": "Ann"})


@pytest.mark.parametrize("happens", [order(1), STARTED])
async def test_a_person_who_is_only_told_of_sleeps_in_quiet_hours(
    tmp_path: Path, happens: Happens
) -> None:
    """It is five past five at noon of the story; who writes is awake, and answered."""
    quiet = {"quiet_hours": "16:30-17:30"}
    found = await states(tmp_path, happens, text("hello", ANN), **quiet)
    assert found == [("Thanks Ann", "deferred"), ("Hi", "accepted")]


@pytest.mark.parametrize("happens", [order(1), STARTED])
async def test_who_opted_out_gets_nothing(tmp_path: Path, happens: Happens) -> None:
    assert await states(tmp_path, text("STOP", ANN), happens) == [("Thanks Ann", "refused")]


async def test_a_name_that_looks_like_a_sid_of_ours_says_nothing_of_a_text(tmp_path: Path) -> None:
    """The stand-in of the gateway numbers its texts: this is the first of them."""
    node = Node(settings_of(tmp_path, {}), load(Story(RULES, ()), tmp_path))
    await node.start({})
    sid = f"SM{1:032x}"
    await node.happen(text("hello", ANN))
    before = node.reader.execute("select remote_sid, state, outcome from actions").fetchall()
    assert before[0][0] == sid
    await node.happen(order(sid))
    query = "select remote_sid, state, outcome from actions order by id"
    assert node.reader.execute(query).fetchall()[:1] == before
    subject = "select subject_sid, dedupe_key from events where type = 'hook.shop'"
    assert [*node.reader.execute(subject).fetchone()] == [f"shop:{sid}", f"hook:shop:{sid}"]
    await node.close()
