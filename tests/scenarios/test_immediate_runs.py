"""Runs of plain rules: they are over in the commit of their event, all others begin behind it."""

from contextlib import closing
from pathlib import Path

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import OURS, Happens, Story, text
from ringback.plugins.loader import PluginSet
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.testing.assembly import ruleset_of
from ringback.worker import immediate
from scenarios.test_rules_timing import ANN, World

PLAIN = "{notify: '${{ event.body }}'}"
NUMBER = "{notify: 'text ${{ contact.message_count }}'}"


def states(world: World) -> list[tuple[str, str]]:
    """The runs and their actions, as they are on disk."""
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        rows = journal.execute(
            "select r.state, coalesce(json_extract(a.params, '$.text'), '') from runs r "
            "left join actions a on a.run_uid = r.uid order by r.id"
        )
        return [(state, text) for state, text in rows]


@pytest.mark.parametrize(
    ("rules", "first", "then"),
    [
        (f"- {{name: it, do: [{PLAIN}]}}", [("done", "one")], [("done", "one")]),
        (f"- {{name: it, do: [{PLAIN}, {{stop: enough}}]}}",
         [("done", "one")], [("done", "one")]),
        (f"- {{name: it, do: [{NUMBER}]}}", [("pending", "")], [("done", "text 1")]),
        (f"- {{name: it, do: [{PLAIN}, {{wait: 5s}}]}}", [("pending", "")], [("waiting", "one")]),
        (f"- {{name: a, priority: 1, do: [{PLAIN}, stop]}}\n- {{name: b, do: [{PLAIN}]}}",
         [("pending", ""), ("pending", "")], [("done", "one"), ("cancelled", "")]),
    ],
    ids=["plain", "stops", "asks the past", "waits", "two of them"],
)  # fmt: skip
async def test_a_plain_run_is_over_with_the_commit_of_its_event(
    tmp_path: Path, rules: str, first: list[tuple[str, str]], then: list[tuple[str, str]]
) -> None:
    text = "version: 1\nrules:\n" + rules.replace(", do:", ", on: message.received, do:")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text(text)
    ruleset, problems = ruleset_of(PluginSet(), tmp_path / "rules")
    assert problems == []
    world = World(tmp_path, ruleset)
    await world.boot()
    try:
        await world.record(ANN, "one")
        await world.engine._match()
        assert states(world) == first
        await world.work()
        assert states(world) == then
    finally:
        await world.close()


SERVICE = {"MessagingServiceSid": "MG" + "5" * 32}


async def test_news_of_a_messaging_service_are_told_by_texts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status names it beside each recipient: that tells nothing of a number of ours, and nothing
    of it stays in memory."""
    monkeypatch.setattr(immediate, "MOST_SERVICES", 2)
    rules = f"rules:\n- {{name: it, on: message.received, do: [{PLAIN}]}}\n"
    it = Node(settings_of(tmp_path, {}), load(Story(rules, ()), tmp_path))
    await it.start({})
    for number in range(4):
        sent = {"MessageSid": f"SM{number:032x}", "MessageStatus": "sent", "From": OURS}
        await it.record(Happens("message/status", {**sent, "To": f"+1415555010{number}"} | SERVICE))
        await it.record(text("hi"))
        await it.engine._match()
        states = it.reader.execute("select state from runs order by id").fetchall()
        assert [row[0] for row in states] == ["done"] * (number + 1)
    for number in range(4):
        await it.happen(text("hi", to=f"+1202555010{number}", **SERVICE))
    assert len(it.engine.immediate._services) <= 2
    await it.close()
