"""The command `conversations`: with whom we text and call, as the console lists it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ringback.cli.events import moment, shortened
from ringback.cli.output import (
    cell,
    fancy,
    json_option,
    nothing,
    print_json,
    print_rows,
    short_time,
    wide_option,
)
from ringback.cli.project_context import here
from ringback.errors import StorageError, UsageError

if TYPE_CHECKING:  # commands that need no console start without it
    from ringback.console.conversing import Conversations
    from ringback.console.reading import Reading

T = TypeVar("T")

COLUMNS = ("last", "uid", "from", "with", "said", "note")
BY_WEIGHT = ("uid", "with", "said", "last", "note", "from")
ITEMS = ("time", "by", "text", "state", "rule")
ITEMS_BY_WEIGHT = ("text", "by", "time", "state", "rule")
"""The columns as they give way, the last one first, where there is little room."""
NOTES = {"unanswered": "unanswered", "out": "has left", "failing": "our last text failed"}
SECONDS = 60.0


@click.group()
def conversations() -> None:
    """With whom we text and call, the latest first; one is named con_…, without a number."""


@conversations.command("list")
@click.option("--unanswered", is_flag=True, help="Only where nobody answered for 10 minutes.")
@click.option("--optedout", is_flag=True, help="Only with those who have left.")
@click.option("--failing", is_flag=True, help="Only where our last text failed.")
@click.option("--since", default="", help="Only those with something since then: 2h, 7d, a time.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 10_000))
@wide_option
@json_option
def list_(
    unanswered: bool, optedout: bool, failing: bool, since: str, limit: int, wide: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """List conversations, those that were active last first, as `GET /conversations` does."""
    wanted = {"unanswered": unanswered, "optedout": optedout, "failing": failing}
    start = moment(since) if since else ""

    async def ask(console: "Conversations", _: "Reading") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        before = 0
        while len(rows) < limit:
            part = await console.part(wanted, start, limit - len(rows), before)
            rows, before = [*rows, *part.rows], part.before
            if not before:
                break
        return rows

    rows = _asked(ask)
    print_rows(
        rows if as_json else [_shown(row, whole=wide or not fancy()) for row in rows],
        COLUMNS, as_json=as_json,
        empty=nothing("conversations", since, *wanted.values()), by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


@conversations.command()
@click.argument("uid", metavar="ID")
@json_option
def show(uid: str, as_json: bool) -> None:
    """Show one: consent, memory, what waits, and who has taken it over."""
    now = here().now()

    async def ask(console: "Conversations", reading: "Reading") -> dict[str, Any]:
        from ringback.console.conversing import one

        pair = await console.named(uid)
        return await reading.ask(lambda asked: one(asked, pair, now))

    row = _asked(ask)
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        for each in value if isinstance(value, list) else [value]:
            if each not in (None, "", {}):
                click.echo(f"{name:12} {cell(_words(each))}")


@conversations.command()
@click.argument("uid", metavar="ID")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 10_000))
@wide_option
@json_option
def items(uid: str, limit: int, wide: bool, as_json: bool) -> None:
    """List what was said in one, the latest first, with what the rules made of it."""

    async def ask(console: "Conversations", reading: "Reading") -> list[dict[str, Any]]:
        from ringback.store.queries import shapes

        pair = await console.named(uid)
        rows, _ = await reading.ask(lambda asked: asked.chat(pair.conversation, limit, 0))
        return [shapes.chat_item(row) for row in rows]

    rows = _asked(ask)
    for row in () if as_json else rows:
        row |= {
            "time": short_time(row["at"]), "by": "them" if row["side"] == "theirs" else "us",
            "text": row["text"] if wide or not fancy() else shortened(row["text"]),
        }  # fmt: skip
    print_rows(
        rows, ITEMS, as_json=as_json, empty="nothing was said in it", by_weight=ITEMS_BY_WEIGHT,
        wide=wide,
    )  # fmt: skip


def _shown(row: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    last = row["last"] or {"text": "", "side": "theirs"}
    unsent = last["side"] == "ours" and not last["left_at"] and not last["sid"]
    said = f"({last['state']}) {last['text']}" if unsent else last["text"]
    return {
        "last": short_time(row["last_at"]), "uid": row["uid"], "from": row["sender"],
        "with": row["recipient"], "said": said if whole else shortened(said),
        "note": ", ".join(words for name, words in NOTES.items() if row[name]),
    }  # fmt: skip


def _words(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name}: {each}" for name, each in value.items() if each not in (None, ""))


def _asked(ask: "Callable[[Conversations, Reading], Awaitable[T]]") -> T:
    """Ask as the console does, of a copy in memory of what it has put together."""
    from ringback.console.conversing import Conversations
    from ringback.console.problems import Refusal
    from ringback.console.reading import Reading

    async def work() -> T:
        place = here().databases()
        with contextlib.ExitStack() as opened:
            reading = opened.enter_context(contextlib.closing(Reading(place, seconds=SECONDS)))
            found = Conversations(place, reading, kept=False, now=here().now)
            opened.enter_context(contextlib.closing(found))
            await found.caught_up()
            return await ask(found, reading)

    try:
        return asyncio.run(work())
    except Refusal as refusal:
        problem = refusal.problem
        mend = "`ringback conversations list` names them" if problem.slug == "missing" else ""
        kind = UsageError if problem.slug == "missing" else StorageError
        raise kind("; ".join(filter(None, (problem.detail.rstrip("."), mend)))) from None
