"""The command `events`: what came in, as a list, one by one, live, or as a file."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.output import (
    cell,
    fancy,
    json_option,
    nothing,
    print_json,
    print_rows,
    short_time,
    style,
    wide_option,
)
from ringback.cli.project_context import here
from ringback.error_codes import explain_error
from ringback.errors import UsageError
from ringback.events import TRUST
from ringback.printed_json import printed_json
from ringback.runtime import iso
from ringback.store.queries import shapes

COLUMNS = ("at", "uid", "type", "from", "to", "trust", "error", "text")
BY_WEIGHT = ("uid", "type", "from", "text", "at", "error", "to", "trust")
"""The columns as they give way, the last one first, where there is little room."""
PARTS = 10
"""So many parts of the list are looked through for those that fit, 5,000 events each."""
SOURCES = ("webhook", "repair", "replay", "internal")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def questions() -> Any:
    """The questions to the data folder in force. Raises StorageError when nothing ran there yet."""
    from ringback.store.queries.questions import Questions

    return Questions(here().databases())


def moment(text: str) -> str:
    """Read `2h`, `30m`, `7d`, `2026-05-01` or a full time as a stored time. A span goes back from
    the time of the node, which in `dev` may have been moved. Raises UsageError."""
    if text[-1:] in _UNITS and text[:-1].isdecimal():
        return iso(here().now() - timedelta(**{_UNITS[text[-1]]: int(text[:-1])}))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time: write 30m, 2h, 7d or 2026-05-01T12:00") from None
    return iso(found.astimezone(UTC))


def listed(event: dict[str, Any], *, wide: bool = False) -> dict[str, Any]:
    """An event as one line of a listing; on a terminal with the beginning of a long text."""
    fields = event["fields"] if isinstance(event["fields"], dict) else {}
    return {
        **event,
        "at": short_time(event["received_at"]),
        "from": event["sender"],
        "to": event["recipient"],
        "error": _error(event["error_code"]),
        "text": shapes.said(fields) if wide or not fancy() else shortened(shapes.said(fields)),
    }


def _error(number: int) -> str:
    return f"{number} {explain_error(number).title}" if number else ""


def shortened(text: str) -> str:
    """The beginning of a text, for a column of a listing."""
    return text if len(text) <= 60 else text[:59] + "…"


@click.group()
def events() -> None:
    """What came in: every webhook and every internal event, in order."""


@events.command("list")
@click.option(
    "--type",
    "type_",
    default="",
    help="Only this type; message.* works too.",
    shell_complete=completion.event_types,
)
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--sid", default="", help="Only about this message or call.")
@click.option("--since", default="", help="Only since then: 30m, 2h, 7d, or a time.")
@click.option("--errors", is_flag=True, help="Only those with an error code.")
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--until", default="", help="Only before then.")
@click.option("--trust", type=click.Choice(TRUST), help="Only those that were proven so.")
@click.option("--source", type=click.Choice(SOURCES), help="Only those that came so.")
@click.option("--rule", default="", help="Only those that this rule fired on, or the --verdict.",
              shell_complete=completion.rule_names)  # fmt: skip
@click.option("--verdict", default="", help="fired, silent, a verdict or its first word, as if.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(
    type_: str, sid: str, errors: bool, limit: int, wide: bool, as_json: bool, **given: Any
) -> None:
    """List the newest events, oldest of them first."""
    from ringback.store.queries.filters import Events

    given["number"] = here().number(given["number"])
    for name in ("since", "until"):
        given[name] = moment(given[name]) if given[name] else ""
    wanted = Events(type=type_, sid=sid, error=errors, **_said_of(given))
    with questions() as asked:
        found, cut = _found(asked, wanted, limit)
    if cut:
        click.echo(f"looked back to {short_time(cut)}; --until goes on from there", err=True)
    found.reverse()
    rows = [shapes.event(event) if as_json else listed(event, wide=wide) for event in found]
    empty = nothing("events", type_, sid, errors, *given.values())
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=empty, by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


def _said_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value}


def _found(asked: Any, wanted: Any, limit: int) -> tuple[list[dict[str, Any]], str]:
    """The newest events that fit, and how far was looked where that is not to the end."""
    found: list[dict[str, Any]] = []
    before = 0
    for _ in range(PARTS):
        part = asked.events_part(wanted, limit - len(found), before)
        found += part.rows
        before = part.before
        if not before or len(found) == limit:
            return found, ""
    return found, part.looked_back_to


@events.command()
@click.argument("uid", shell_complete=completion.event_ids)
@click.option("--raw", is_flag=True, help="The request body, byte for byte.")
@json_option
def show(uid: str, raw: bool, as_json: bool) -> None:
    """Show one event with every field that came."""
    with questions() as asked:
        found = [asked.event(each) for each in asked.find(uid, 1)]
        if not found or found[0] is None:
            raise UsageError(f"no event {uid}; `ringback events list` names them")
        event = found[0]
        row = asked.raw(event)
    if raw:
        sys.stdout.buffer.write(row.body + b"\n" if row else b"")
    elif as_json:
        print_json(shapes.event(event))
    else:
        for key, value in shapes.event(event).items():
            if key not in ("fields", "verdicts") and value not in ("", None, 0):
                shown = _error(value) if key == "error_code" else value
                click.echo(f"{key:14} {cell(shown)}")
        for key, value in dict(event["fields"]).items():
            click.echo(f"  {key:22} {cell(value)}")
        click.echo(style(f"why: ringback trace {event['uid']}", "cyan"), err=True)


@events.command()
@click.option(
    "--type",
    "type_",
    default="",
    help="Only this type; message.* works too.",
    shell_complete=completion.event_types,
)
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--from-start", is_flag=True, help="Everything there is first, not only what comes.")
@click.option("--for", "seconds", default=0.0, help="Stop after so many seconds.")
@json_option
def tail(type_: str, number: str, from_start: bool, seconds: float, as_json: bool) -> None:
    """Follow events as they come, until Ctrl-C."""
    end = time.monotonic() + seconds if seconds else None
    wanted = here().number(number)
    with questions() as asked:
        last = 0 if from_start else asked.last_event_id()
        while True:
            found = asked.events(type=type_, number=wanted, after=last, limit=500, follow=True)
            for event in found:
                last = event["id"]
                if as_json:
                    print_json(shapes.event(event))
                else:
                    row = listed(event)
                    click.echo("  ".join(cell(row[column]) for column in COLUMNS).rstrip())
            # Looked at least once, however short the time: the first look may take longer than it.
            if end is not None and time.monotonic() >= end:
                break
            if not found:
                time.sleep(0.2 if end is None else min(0.2, max(end - time.monotonic(), 0.0)))


@events.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--type",
    "type_",
    default="",
    help="Only this type; message.* works too.",
    shell_complete=completion.event_types,
)
@click.option("--since", default="", help="Only since then: 30m, 2h, 7d, or a time.")
def export(file: Path, type_: str, since: str) -> None:
    """Write events to FILE as JSON lines (- is standard output), oldest first."""
    start = moment(since) if since else ""
    written = 0
    with questions() as asked, click.open_file(str(file), "w", encoding="utf-8") as out:
        last = 0
        while True:
            found = asked.events(type=type_, since=start, after=last, limit=1000, follow=True)
            if not found:
                break
            for event in found:
                last = event["id"]
                out.write(printed_json(shapes.event(event)) + "\n")
            written += len(found)
    click.echo(f"{written} events", err=True)
