"""The command `gateway RESOURCE VERB`: Twilio's REST API by hand, made of the gateway's catalogue.

Options are Twilio's parameters in kebab-case, a SID is an argument.
"""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from mimetypes import guess_extension
from pathlib import Path
from typing import Any

import click

from ringback.cli.gateway_session import (
    access,
    confirmed,
    dry_option,
    plain,
    shown,
    through,
    yes_option,
)
from ringback.cli.output import json_option, print_json, print_rows
from ringback.errors import UsageError
from ringback.gateway import records as r
from ringback.gateway.catalogue import OPERATIONS, REPEATED, Operation, python_name
from ringback.gateway.client import Gateway
from ringback.gateway.media import Download
from ringback.gateway.paging import rows
from ringback.private_files import make_file

PAGING = ("PageSize", "Page", "PageToken")


@dataclass(frozen=True)
class Verb:
    """One command: its name, the operation behind it, what it says of itself, fixed parameters."""

    name: str
    operation: tuple[str, str]
    about: str
    record: type[r.Record]
    fixed: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


COLUMNS: dict[type[r.Record], tuple[str, ...]] = {
    r.Account: ("sid", "friendly_name", "status", "type"),
    r.Message: ("sid", "date_sent", "direction", "from_", "to", "status", "error_code", "body"),
    r.Media: ("sid", "content_type", "date_created"),
    r.Call: ("sid", "start_time", "direction", "from_", "to", "status", "duration"),
    r.CallEvent: ("request", "response"),
    r.Recording: ("sid", "call_sid", "start_time", "status", "duration", "source"),
    r.Notification: ("sid", "message_date", "log", "error_code", "call_sid", "request_url"),
    r.Queue: ("sid", "friendly_name", "current_size", "max_size", "average_wait_time"),
    r.Member: ("position", "call_sid", "wait_time", "date_enqueued"),
    r.Number: ("sid", "phone_number", "friendly_name", "sms_url", "voice_url"),
    r.Application: ("sid", "friendly_name", "sms_url", "voice_url"),
    r.Address: ("sid", "friendly_name", "customer_name", "street", "city", "iso_country"),
    r.UsageRecord: ("category", "description", "start_date", "end_date", "count", "price"),
    r.Conference: ("sid", "friendly_name", "status", "date_created"),
    r.Participant: ("call_sid", "label", "status", "muted", "hold"),
}

WEIGHTY = ("sid", "phone_number", "friendly_name", "status", "from", "to", "error_code", "body")
"""The columns that are kept first where there is little room, in the listings that have them."""

_RESOURCES: dict[str, tuple[str, type[r.Record], str]] = {
    "accounts": ("The account and its sub-accounts.", r.Account, "list get create update"),
    "messages": ("Texts, sent and received.", r.Message, "list get send redact cancel delete"),
    "calls": ("Calls, made and received.", r.Call, "list get make update end delete"),
    "numbers": ("Our phone numbers.", r.Number, "list get buy update delete"),
    "applications": (
        "Sets of webhook addresses.", r.Application, "list get create update delete",
    ),
    "queues": ("Queues of callers.", r.Queue, "list get create update delete"),
    "addresses": ("Postal addresses.", r.Address, "list get create update delete"),
    "usage": ("What was used.", r.UsageRecord, "list"),
    "conferences": ("Conferences.", r.Conference, "list get update end"),
    "recordings": ("Recordings.", r.Recording, "list get delete"),
    "notifications": ("Twilio's log of errors and warnings.", r.Notification, "list get"),
    "balance": ("The money left.", r.Balance, "get"),
}  # fmt: skip

_VERBS: dict[str, tuple[str, str, dict[str, str]]] = {
    "list": ("list", "List them, newest first where Twilio does.", {}),
    "get": ("fetch", "Show one.", {}),
    "create": ("create", "Make one.", {}),
    "buy": ("create", "Buy a number. This costs money.", {}),
    "send": ("create", "Send a text.", {}),
    "make": ("create", "Make a call.", {}),
    "update": ("update", "Change one; an empty value clears a setting.", {}),
    "redact": ("update", "Empty the text of a finished message, for good.", {"Body": ""}),
    "cancel": ("update", "Cancel a message that is still scheduled.", {"Status": "canceled"}),
    "end": ("update", "End it now.", {"Status": "completed"}),
    "delete": ("delete", "Delete one.", {}),
}

_FURTHER: dict[str, tuple[Verb, ...]] = {
    "messages": (
        Verb("feedback", ("messages", "feedback"), "Report a message's effect.", r.Feedback),
        Verb("media", ("messages.media", "list"), "List the media of a message.", r.Media),
        Verb("delete-media", ("messages.media", "delete"), "Delete one medium.", r.Media,
             arguments=("message", "media")),
    ),
    "calls": (
        Verb("recordings", ("calls.recordings", "list"), "List a call's recordings.", r.Recording),
        Verb("record", ("calls.recordings", "create"), "Start recording a call.", r.Recording),
        Verb("update-recording", ("calls.recordings", "update"),
             "Pause, resume or stop a recording.", r.Recording, arguments=("call", "recording")),
        Verb("notifications", ("calls.notifications", "list"), "What went wrong in a call.",
             r.Notification),
        Verb("events", ("calls.events", "list"), "What Twilio asked for in a call.", r.CallEvent),
    ),
    "queues": (
        Verb("members", ("queues.members", "list"), "Who waits, the front one first.", r.Member),
        Verb("dequeue", ("queues.members", "dequeue"),
             "Take a caller (a call SID, or Front) out, to go on with the TwiML at --url.",
             r.Member, arguments=("queue", "member")),
    ),
    "usage": (
        Verb("span", ("usage.spans", "list"), "By span: Daily, Monthly, Today, LastMonth…",
             r.UsageRecord, arguments=("span",)),
    ),
    "conferences": (
        Verb("participants", ("conferences.participants", "list"), "Who is in it.",
             r.Participant),
        Verb("dial", ("conferences.participants", "create"), "Dial somebody in, by name or SID.",
             r.Participant),
        Verb("update-participant", ("conferences.participants", "update"),
             "Mute, hold, coach.", r.Participant, arguments=("conference", "participant")),
        Verb("remove", ("conferences.participants", "delete"), "Remove somebody.",
             r.Participant, arguments=("conference", "participant")),
    ),
}  # fmt: skip


@click.group()
@click.option("--account", default="", metavar="AC…", help="Account instead of the configured one.")
@click.pass_context
def gateway(ctx: click.Context, account: str) -> None:
    """Twilio's REST API by hand, through Maton or direct.

    Options are Twilio's parameters, as --status-callback; a SID is an argument.
    """
    ctx.meta["ringback.account"] = account


def verbs_of(resource: str) -> tuple[Verb, ...]:
    """The commands of one resource."""
    _, record, names = _RESOURCES[resource]
    usual = []
    for name in names.split():
        operation, about, fixed = _VERBS[name]
        usual.append(Verb(name, (resource, operation), about, record, fixed))
    return (*usual, *_FURTHER.get(resource, ()))


def _command(verb: Verb) -> click.Command:
    operation = OPERATIONS[verb.operation]
    names = verb.arguments or ("sid",) * len(operation.places)
    params: list[click.Parameter] = [click.Argument([name], metavar=name.upper()) for name in names]
    params += [
        _option(name, operation)
        for name in operation.params
        if name not in verb.fixed and name not in PAGING
    ]
    if operation.rows:
        params += [
            click.Option(["--limit"], type=click.IntRange(1), default=50, show_default=True,
                         help="At most so many."),
            click.Option(["--all", "everything"], is_flag=True, help="All of them."),
            click.Option(["--page-size"], type=click.IntRange(1, 1000),
                         help="Rows per request; Twilio's own is 50."),
            click.Option(["--wide"], is_flag=True, help="Print all columns, however long."),
        ]  # fmt: skip

    def run(**given: Any) -> None:
        arguments = [given.pop(name) for name in names]
        _run(verb, operation, arguments, given)

    command = click.Command(verb.name, params=params, callback=run, help=verb.about)
    decorated = json_option(dry_option(command))
    return yes_option(decorated) if operation.writes else decorated


def _option(name: str, operation: Operation) -> click.Option:
    flag = "--" + python_name(name).rstrip("_").replace("_", "-")
    needed = any(name in need.split("|") for need in operation.required)
    alone = name in operation.required
    note = f"Twilio's {name}" + (" (required)" if alone else " (one of these)" if needed else "")
    if name in REPEATED:
        note += "; may be repeated"
    return click.Option(
        [flag, python_name(name)], multiple=name in REPEATED, default=None, help=note + "."
    )


def _run(verb: Verb, operation: Operation, arguments: Sequence[str], given: dict[str, Any]) -> None:
    as_json, wide = given.pop("as_json"), given.pop("wide", False)
    dry = given.pop("dry_run")
    yes = given.pop("yes", True)
    limit = 0 if given.pop("everything", False) else given.pop("limit", 0)
    given.pop("limit", None)
    params = {name: value for name, value in given.items() if value not in (None, ())}
    params |= verb.fixed
    credentials = access(click.get_current_context().meta.get("ringback.account", ""))

    async def work(gateway: Gateway) -> None:
        top = operation.template.startswith("/")
        account = "" if top else await gateway.account()
        request = operation.request(account, arguments, params)
        if dry:
            click.echo(shown(credentials, request))
            return
        if operation.writes:
            confirmed(shown(credentials, request), yes=yes)
        if operation.rows:
            found = rows(gateway.ask, request, operation.rows, limit)
            await _print_list(found, verb.record, limit=limit, as_json=as_json, wide=wide)
            return
        reply = await gateway.ask(request)
        _print_one(reply.data, verb, arguments, as_json=as_json)

    through(credentials, work)


async def _print_list(
    found: AsyncIterator[dict[str, Any]],
    record: type[r.Record],
    *,
    limit: int,
    as_json: bool,
    wide: bool,
) -> None:
    if as_json:
        async for row in found:
            print_json(row)
        return
    lines: list[dict[str, Any]] = []
    with _progress() as progress:
        async for row in found:
            read = record.read(row)
            lines.append({name: plain(getattr(read, name)) for name in COLUMNS[record]})
            if progress is not None:
                progress.update(f"{len(lines)} so far")
    headed = [{name.rstrip("_"): value for name, value in line.items()} for line in lines]
    columns = [name.rstrip("_") for name in COLUMNS[record]]
    weighty = [*(name for name in WEIGHTY if name in columns), *columns]
    print_rows(
        headed, columns, as_json=False, empty="none",
        by_weight=list(dict.fromkeys(weighty)), wide=wide,
    )  # fmt: skip
    if limit and len(lines) == limit:
        click.echo(f"(the first {limit}; --limit N or --all for more)", err=True)


def _progress() -> Any:
    """A live count on the terminal while a long listing is fetched; nothing elsewhere."""
    if not sys.stderr.isatty():
        return nullcontext(None)
    from rich.console import Console

    return Console(stderr=True).status("asking")


def _print_one(
    data: dict[str, Any], verb: Verb, arguments: Sequence[str], *, as_json: bool
) -> None:
    if not data:
        done = {"deleted": arguments[-1] if arguments else True}
        if as_json:
            print_json(done)
        else:
            click.echo(f"{arguments[-1]} deleted")
        return
    if as_json:
        print_json(data)
        return
    read = verb.record.read(data)
    names = [item.name for item in fields(read) if item.name != "raw"]
    lines = [
        {"field": name.rstrip("_"), "value": plain(getattr(read, name))}
        for name in names
        if getattr(read, name) not in (None, "", {})
    ]
    print_rows(lines, ("field", "value"), as_json=False, empty="nothing")


def _save(found: Download, output: Path | None, sid: str) -> None:
    if output is None:
        kind = found.content_type.partition(";")[0].strip()
        output = Path(f"{sid}{guess_extension(kind) or ''}")
    if output.exists():
        raise UsageError(f"{output} is there already: name another file with --output")
    make_file(output)
    output.write_bytes(found.body)
    click.echo(f"{output}  {found.content_type or 'unknown type'}, {len(found.body):,} bytes")


_output = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File to write."
)


@click.command("download")
@click.argument("message")
@click.argument("media")
@_output
def download_media(message: str, media: str, output: Path | None) -> None:
    """Save a picture or file that came with a message."""
    credentials = access(click.get_current_context().meta.get("ringback.account", ""))
    found = through(credentials, lambda gateway: gateway.messages.media(message).content(media))
    _save(found, output, media)


@click.command("download")
@click.argument("sid")
@click.option("--format", "form", type=click.Choice(["mp3", "wav"]), default="mp3")
@_output
def download_recording(sid: str, form: str, output: Path | None) -> None:
    """Save the sound of a recording."""
    credentials = access(click.get_current_context().meta.get("ringback.account", ""))
    found = through(credentials, lambda gateway: gateway.recordings.content(sid, form))
    _save(found, output or Path(f"{sid}.{form}"), sid)


_DOWNLOADS = {"messages": download_media, "recordings": download_recording}

for _name, (_about, _record, _names) in _RESOURCES.items():
    _group = click.Group(_name, help=_about)
    for _verb in verbs_of(_name):
        _group.add_command(_command(_verb))
    if _name in _DOWNLOADS:
        _group.add_command(_DOWNLOADS[_name])
    gateway.add_command(_group)
