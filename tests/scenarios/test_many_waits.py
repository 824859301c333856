"""Start of a worker whose journal holds very many waits: others have their turn all the while."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from ringback.rules.engine.ruleset import RuleSet
from ringback.store.sqlite.sqlite_files import connect_writer
from scenarios.test_rules_timing import ANN, World, ruleset

__all__ = ["ruleset"]

WAITS = 3_000


def multiply(journal: Path) -> None:
    """Let the wait that Ann has begun be that of thousands, each in a conversation of its own."""
    theirs = "replace(t.{}, :ann, printf('+1415666%04d', i))"
    other = {name: theirs.format(name) for name in ("key", "conversation", "sender", "memory")}
    other |= {name: f"t.{name} || '-' || i" for name in ("uid", "event_uid", "dedupe_key")}
    with closing(connect_writer(journal)) as connection:
        connection.execute("begin")
        for table in ("events", "runs"):
            names = [row[1] for row in connection.execute(f"pragma table_info({table})")][1:]
            wanted = ", ".join(other.get(name, f"t.{name}") for name in names)
            connection.execute(
                f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {WAITS})"
                f" insert into {table} ({', '.join(names)}) select {wanted} from n, {table} t "
                "where t.id = 1",
                {"ann": ANN},
            )
        connection.execute("commit")


@pytest.mark.slow
async def test_a_start_with_many_waits_lets_others_have_their_turn(
    tmp_path: Path, ruleset: RuleSet
) -> None:
    """A heartbeat goes on while they are read, and the last one of them is known afterwards."""
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.text(ANN, "ask")
    await world.end()
    multiply(tmp_path / "data" / "journal.db")
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.ensure_future(beat())
    await world.boot()
    beating.cancel()
    assert turns > WAITS / 500
    await world.text(f"+1415666{WAITS:04d}", "ok")
    assert world.actions() == ["asked", "answer ok"]
    await world.close()
