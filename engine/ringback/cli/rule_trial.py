"""The command `rules try`: one event through the rules, shown line by line, and nothing done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.backtest import BESIDE, rules_of
from ringback.cli.output import cell, echo_tree, json_option, print_json, style
from ringback.cli.project_context import here, live_dev
from ringback.errors import StorageError, UsageError
from ringback.events import Event
from ringback.settings_mistakes import nearest

EARLIER = 50
ROUTES = ("message", "message/status", "call", "call/status")
"""What may be typed."""


@click.command("try")
@click.argument("what", metavar="[ID|SID]", required=False, shell_complete=completion.event_ids)
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE",
    help="A field of the webhook by Twilio's name, as Body; may be given often.",
)  # fmt: skip
@click.option(
    "--fields", "form", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same from a file: a JSON object.",
)  # fmt: skip
@click.option(
    "--route", type=click.Choice(ROUTES), default="message", show_default=True,
    help="What is typed, when no event is named.",
)  # fmt: skip
@click.option(
    "--rules", "new", type=click.Path(exists=True, path_type=Path),
    help="Rules to try instead: a rule file, a folder of them, or a project folder.",
)  # fmt: skip
@click.option("--beside", is_flag=True, help=BESIDE)
@click.option("--rule", default="", help="Show this rule alone.")
@json_option
def try_(
    what: str | None, fields: tuple[str, ...], form: Path | None, route: str, new: Path | None,
    beside: bool, rule: str, as_json: bool,
) -> int:  # fmt: skip
    """Let one event happen on a bench, and show what each rule says to it, line by line.

    It is a stored event, in which fields may be changed, or one that is typed. Nothing is sent and
    nothing is stored.
    """
    from ringback.store.queries.questions import Questions
    from ringback.testing.trial import tried

    given = (_form(form) if form else {}) | dict(_pair(each) for each in fields)
    settings = here().settings()
    ruleset, plugins = rules_of(new, beside=beside)
    event, before = _stored(what, given) if what else (_typed(route, given), [])
    quarantined: Mapping[str, str] = {}
    try:
        with Questions(here().databases()) as asked:
            quarantined = asked.quarantined()
    except StorageError:  # of a project that has not run yet
        if what:
            raise
    rows = tried(ruleset, plugins, settings, event, before, quarantined)
    if rule:
        _require_rule(rule, {each.name for each in ruleset.rules} | {each["rule"] for each in rows})
        rows = [each for each in rows if each["rule"] == rule]
    rows.sort(key=lambda each: not each["fired"])
    if as_json:
        print_json({"event": event.uid, "type": event.type, "sender": event.sender,
                    "recipient": event.recipient, "fields": dict(event.fields)})  # fmt: skip
        for row in rows:
            print_json(row)
        return 0
    echo_tree(f"{event.type} from {cell(event.sender)} to {cell(event.recipient)}")
    if not rows:
        click.echo(
            "  no rule listens to this type" if not rule else f"  {rule} does not look at it"
        )
    for row in rows:
        _print(row)
    return 0


def _require_rule(name: str, known: set[str]) -> None:
    """Raise UsageError for a rule that is not there: it would seem to be silent."""
    if name not in known:
        hint = nearest(name, sorted(known)) or "; `ringback rules list` names all"
        raise UsageError(f"rule: there is no rule {name!r}{hint}")


def _print(row: Mapping[str, Any]) -> None:
    mark = style("✓", "green") if row["fired"] else style("✗", "yellow")
    why = row["verdict"] if not row["fired"] else ""
    state = f"  ({row['state']})" if row["state"] != "live" else ""
    echo_tree(f"{mark} {cell(row['rule'])}{state}  {cell(why)}".rstrip())
    for line in row["lines"]:
        sign = {True: style("✓", "green"), False: style("✗", "yellow"), None: "·"}[line["held"]]
        echo_tree(f"    {sign} {cell(line['if'])}")
        for name, value in line["read"].items():
            echo_tree(f"        {cell(name)} is {cell(value)}")
    for action in row["actions"]:
        says = f"  ({action['says']}{': ' if action['reason'] else ''}{action['reason']})"
        echo_tree(f"    would do {action['kind']} {cell(action['words'])}{cell(says)}")
    if row["failed"]:
        echo_tree(f"    failed: {cell(row['failed'])}")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise UsageError(f"--field wants NAME=VALUE, as Body=hello; not {text!r}")
    return name, value


def _form(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: is no JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise UsageError(f"{path}: wants a JSON object of texts")
    return found


def _typed(route: str, given: Mapping[str, str]) -> Event:
    """An event that nobody sent, at this moment."""
    from ringback.testing import events

    now = here().now()
    ours, theirs = _our_number(), events.THEIRS
    if route == "message":
        base = {"From": theirs, "To": ours, "Body": "hello", "SmsStatus": "received"}
    elif route == "message/status":
        base = {"From": ours, "To": theirs, "MessageStatus": "delivered"}
    elif route == "call":
        base = {"From": theirs, "To": ours, "CallStatus": "ringing", "Direction": "inbound"}
    else:
        base = {"From": theirs, "To": ours, "CallStatus": "completed", "Direction": "inbound"}
    name, prefix = ("CallSid", "CA") if route.startswith("call") else ("MessageSid", "SM")
    fields = {name: events.sid(prefix), **base, **given}
    return _proven(_webhook(route, fields, now))


def _our_number() -> str:
    """Our number of this project: as it is set, else the first one of its running `dev`, whose
    console asks with that."""
    from ringback.testing import events

    settings = here().settings()
    dev = live_dev(settings.data)
    return settings.sender or (str(dev["numbers"][0]) if dev else events.OURS)


def _stored(what: str, given: Mapping[str, str]) -> tuple[Event, Sequence[Event]]:
    """A stored event with some of its fields changed, and what came before it."""
    from ringback.store.queries.questions import Questions
    from ringback.store.replays import Recorded
    from ringback.testing.export import form_of

    with Recorded(here().databases()) as recorded:
        uid = recorded.about(what)
        event = recorded.whole(uid)
        before = []
        for each in recorded.earlier(uid, EARLIER):
            try:
                before.append(recorded.whole(each))
            except UsageError:  # what was said in it is not kept
                continue
    if not given:
        return event, before
    with Questions(here().databases()) as asked:
        row = asked.event(uid)
        form = form_of(asked, row) if row else None
    if form is None:
        raise UsageError(f"{event.type} {uid} did not come as a form: its fields cannot be changed")
    route, _, trust, fields = form
    changed = _webhook(route, {**fields, **given}, event.received_at)
    return replace(changed, trust=trust), before


def _webhook(route: str, fields: Mapping[str, str], at: datetime) -> Event:
    from ringback.testing import events

    try:
        return events.webhook(route, fields, at=at)
    except (ValueError, IndexError, KeyError) as error:
        raise UsageError(f"these fields make no event of {route}: {error}") from None


def _proven(event: Event) -> Event:
    return replace(event, trust="signed")
