"""The command `incidents`: what is wrong or was, and what a person says to it."""

from datetime import timedelta
from typing import Any

import click

from ringback.cli.control import tell_worker
from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.errors import UsageError
from ringback.printed_json import printed_json
from ringback.rules.language.numbers import counted
from ringback.rules.timing.durations import parse_duration
from ringback.runtime import REAL, iso
from ringback.store.queries import shapes

COLUMNS = ("since", "uid", "kind", "state", "count", "said", "text")
BY_WEIGHT = ("uid", "state", "text", "since", "kind", "said", "count")
HINT = "`ringback incidents list` names them"


@click.group()
def incidents() -> None:
    """What is wrong or was: since when, how much, whose fault, and what to do."""


@incidents.command("list")
@click.option("--all", "over", is_flag=True, help="Also those that are over.")
@click.option("--kind", default="", help="Only of this kind, as delivery or sending.")
@click.option("--since", default="", help="Only those that began since then: 2h, 7d, a time.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@wide_option
@json_option
def listed(over: bool, kind: str, since: str, limit: int, wide: bool, as_json: bool) -> None:
    """List incidents, the newest first: those that are open, or all of them."""
    with questions() as asked:
        found = asked.incidents(
            open_only=not over, kind=kind, since=moment(since) if since else "", limit=limit
        )
    rows = [each if as_json else _shown(each) for each in map(_plain, found)]
    print_rows(
        rows, list(rows[0]) if as_json and rows else COLUMNS, as_json=as_json,
        empty=nothing("incidents", over and "all", kind, since), by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


@incidents.command()
@click.argument("uid", metavar="ID")
@json_option
def show(uid: str, as_json: bool) -> None:
    """Show one incident, by its id or its key, with its figures, examples and notes."""
    with questions() as asked:
        row = asked.incident(uid)
    if row is None:
        raise UsageError(f"there is no incident {uid}; {HINT} (`--all`: those that are over)")
    plain = _plain(row)
    if as_json:
        click.echo(printed_json(plain))
        return
    click.echo(f"{plain['uid']}  {plain['key']}  {plain['state']}")
    click.echo(plain["text"])
    for word, value in _facts(plain):
        click.echo(f"  {word:<9} {value}")


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    details = row["details"]
    failed, ended = details.get("Failed", ""), details.get("Ended", "")
    facts = [
        ("since", short_time(row["opened_at"])),
        ("over", short_time(row["resolved_at"]) if row["resolved_at"] else ""),
        ("seen", f"{counted(row['count'], 'time')}, the last at {short_time(row['last_at'])}"),
        ("texts", f"{failed} of {ended}" if ended else failed),
        ("fault", details.get("Fault", "")),
        ("code", details.get("Code", "").strip("0")),
        ("to do", details.get("Mend", "")),
        ("known", _known(row)),
        ("muted", f"until {short_time(row['muted_until'])}" if row["muted_until"] else ""),
    ]
    facts += [("example", f"`ringback trace {sid}`") for sid in details.get("Examples", "").split()]
    facts += [("told", line) for line in _told(row)]
    facts += [("next", _next(row))]
    facts += [("note", line) for line in row["note"].splitlines()]
    return [(word, value) for word, value in facts if value]


def _known(row: dict[str, Any]) -> str:
    how = f", by {row['acked_by']}" if row["acked_by"] else ""
    return f"{short_time(row['acked_at'])}{how}" if row["acked_at"] else ""


def _told(row: dict[str, Any]) -> list[str]:
    """Who was told of it, and of its end."""
    return [
        f"{each['channel']} at {short_time(each['at'])}, step {each['step'] + 1} of {row['policy']}"
        + (f"; of the end at {short_time(each['end'])}" if each["end"] else "")
        + f" ({each['action']})"
        for each in row["told"]
    ]


def _next(row: dict[str, Any]) -> str:
    if not row["step_due"]:
        return ""
    if row["state"] != "open":
        return f"at {short_time(row['step_due'])} who was told hears that it is over"
    step = f"step {row['step'] + 1} of {row['policy']}" if row["policy"] else "the first step"
    return f"{step} at {short_time(row['step_due'])}"


@incidents.command()
@click.argument("uid", metavar="ID")
def ack(uid: str) -> None:
    """Say that somebody knows of an incident: no rule hears of it growing any more."""
    _decide(uid, ack=True)
    click.echo(f"{uid} is known")


@incidents.command()
@click.argument("uid", metavar="ID")
@click.option("--for", "span", default="24h", show_default=True, help="How long; 0s ends it.")
def mute(uid: str, span: str) -> None:
    """Let no rule hear of an incident and of what comes of the same cause, for a while."""
    try:
        seconds = parse_duration(span)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error
    _decide(uid, mute=seconds)
    click.echo(f"{uid} is muted for {span}" if seconds else f"{uid} is not muted any more")


@incidents.command()
@click.argument("uid", metavar="ID")
@click.argument("text")
def note(uid: str, text: str) -> None:
    """Write TEXT beside an incident, for whoever looks at it next."""
    if not text.strip():
        raise UsageError("the note is empty")
    _decide(uid, note=text.strip())
    click.echo(f"{uid} has the note")


def _decide(uid: str, **more: Any) -> None:
    tell_worker({"op": "incident", "uid": uid, **more})


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], **shapes.incident(row)}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    muted = row["muted_until"] and row["muted_until"] > iso(REAL.now() - timedelta(0))
    said = ["known"] if row["acked_at"] else []
    said += ["muted"] if muted else []
    said += ["noted"] if row["note"] else []
    return {**row, "since": short_time(row["opened_at"]), "said": ", ".join(said)}
