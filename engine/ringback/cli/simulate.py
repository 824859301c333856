"""The command `simulate`: text or call the node as a stranger would.

With a running `ringback dev` it goes through the simulated phone network: a handset writes, the
reply comes back to it. Otherwise one signed webhook is posted straight to the running node.
"""

import time
from collections.abc import Callable
from typing import Any

import click

from ringback.cli import simulate_reports
from ringback.cli.http import ask
from ringback.cli.output import cell, json_option, print_json, style
from ringback.cli.project_context import DEV_FOLDER
from ringback.cli.simulate_clock import clock
from ringback.cli.simulate_target import (
    account_of,
    dev_base,
    from_option,
    handset,
    hint,
    new_sid,
    on_channel,
    ours_of,
    posted,
    target,
    text_in,
    to_option,
    whatsapp_option,
)
from ringback.config import Settings
from ringback.errors import UsageError
from ringback.twilio.rest import is_sid

CALL_STATUSES = (
    "initiated", "ringing", "in-progress", "completed", "busy", "no-answer", "failed", "canceled",
)  # fmt: skip
_ENDED = ("completed", "busy", "no-answer", "failed", "canceled")


@click.group()
def simulate() -> None:
    """Text or call the node as somebody outside would; signed, over real HTTP."""


for each in (clock, *simulate_reports.COMMANDS):
    simulate.add_command(each)


@simulate.command()
@click.argument("text")
@from_option
@to_option
@whatsapp_option
@click.option("--media", multiple=True, help="URL of a picture; may be given several times.")
@click.option("--field", multiple=True, help="A further field of the webhook: ButtonText=Yes.")
@click.option("--wait", default=8.0, show_default=True, help="Seconds to wait for a reply (dev).")
@json_option
def message(
    text: str,
    sender: str,
    recipient: str,
    whatsapp: bool,
    media: tuple[str, ...],
    field: tuple[str, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Text one of our numbers."""
    settings, dev = target()
    sender = on_channel(sender, whatsapp=whatsapp)
    fields = dict(_pair(each) for each in field)
    if dev is None:
        text_in(sender, recipient, text, media=media, fields=fields, as_json=as_json)
        return
    base, ours = str(dev["base_url"]), recipient or str(dev["numbers"][0])
    before = len(handset(base, sender)["inbox"])
    sid, _ = text_in(sender, recipient, text, media=media, fields=fields, as_json=as_json)
    if not as_json:
        click.echo(f"{style('→', 'cyan')} {sender} to {ours}: {cell(text)}  {sid}")
    replies = _replies(base, sender, before, wait, lambda: _under_way(settings, sid))
    if as_json:
        print_json({"sid": sid, "from": sender, "to": ours, "replies": replies})
        return
    for reply in replies:
        said = f"{reply['from']}: {cell(reply['body'])}  {reply['sid']}"
        click.echo(f"{style('←', 'green')} {said.rstrip()}")
    if not replies and wait:
        click.echo("no reply yet", err=True)
    hint(sid)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise UsageError(f"{text!r} is no field: write NAME=VALUE")
    return name, value


def _replies(
    base: str, sender: str, before: int, wait: float, under_way: Callable[[], bool]
) -> list[dict[str, Any]]:
    """What the handset got since, behind the texts `before`: until something came and nothing is
    under way any more. What Twilio answers itself has no SID to be known by."""
    end = time.monotonic() + wait
    while True:
        over = time.monotonic() >= end
        busy = not over and under_way()
        inbox: list[dict[str, Any]] = handset(base, sender)["inbox"]
        fresh = inbox[before:]
        if over or (fresh and not busy):
            return fresh
        time.sleep(0.1)


def _under_way(settings: Settings, sid: str) -> bool:
    """Whether the journal of dev knows of an answer to this message that has not arrived yet."""
    from ringback.store.queries.questions import Questions

    with Questions(settings.data / DEV_FOLDER) as asked:
        traces = [asked.trace(uid) for uid in asked.find(sid)]
    runs = [run for trace in traces if trace for run in trace["runs"]]
    actions = [action for run in runs for action in run["actions"]]
    return any(run["state"] in ("pending", "running") for run in runs) or any(
        action["state"] in ("planned", "sending", "accepted") for action in actions
    )


@simulate.command()
@from_option
@to_option
@click.option("--keys", default="", help="Keys to press when asked; w waits half a second.")
@click.option("--say", default="", help="What to say when asked.")
@click.option("--hangup", "hangup_after", type=float, help="Hang up after so many seconds.")
@click.option("--for", "seconds", default=30.0, show_default=True, help="Listen so long at most.")
@json_option
def call(
    sender: str,
    recipient: str,
    keys: str,
    say: str,
    hangup_after: float | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Call one of our numbers and print what the caller hears."""
    settings, dev = target()
    if dev is None:
        sid, called = new_sid("CA"), ours_of(settings, recipient)
        fields = [
            ("CallSid", sid), ("AccountSid", account_of(settings)), ("From", sender),
            ("To", called), ("CallStatus", "ringing"), ("Direction", "inbound"),
            ("ApiVersion", "2010-04-01"), ("Caller", sender), ("Called", called),
        ]  # fmt: skip
        posted(settings, "call", fields, sid, as_json)
        return
    base, ours = str(dev["base_url"]), recipient or str(dev["numbers"][0])
    body = {"from": sender, "to": ours, "keys": keys, "say": say}
    sid = str(ask(base, "/_sim/calls", {key: value for key, value in body.items() if value})["sid"])
    if not as_json:
        click.echo(f"{style('→', 'cyan')} {sender} calls {ours}  {sid}")
    end = _listen(base, sid, seconds, hangup_after, quiet=as_json)
    if as_json:
        print_json(end)
        return
    queue = f", in queue {end['queue']}" if end.get("queue") else ""
    click.echo(f"the call is {end['status']} ({end['state']}{queue})")
    if end["status"] not in _ENDED:
        click.echo(style(f"end it: ringback simulate hangup {sid}", "cyan"), err=True)
    hint(sid)


def _listen(
    base: str, sid: str, seconds: float, hangup_after: float | None, *, quiet: bool
) -> dict[str, Any]:
    """Follow a call until it ends, waits for keys or sits in a queue; print what is heard. A
    recording ends by itself, with the silence of the caller."""
    start = time.monotonic()
    heard = 0
    settled = 0.0
    while True:
        found: dict[str, Any] = ask(base, f"/_sim/calls/{sid}")
        news = found["heard"][heard:]
        heard += len(news)
        for each in news:
            if not quiet:
                click.echo(f"  {each['kind']:6} {cell(each['text'])}")
        now = time.monotonic()
        if hangup_after is not None and now - start >= hangup_after:
            if found["status"] not in _ENDED:
                ask(base, f"/_sim/calls/{sid}/hangup", {})
            hangup_after = None
            continue
        waits = found["state"] in ("queued", "gathering", "bridged", "conference")
        settled = (settled or now) if waits and not news else 0.0
        done = found["status"] in _ENDED or (hangup_after is None and now - (settled or now) > 1.0)
        if done or now - start > seconds:
            return found
        time.sleep(0.1)


@simulate.command()
@click.argument("sid")
@click.argument("digits")
def keys(sid: str, digits: str) -> None:
    """Press keys in a running call."""
    ask(dev_base(), f"/_sim/calls/{sid}/keys", {"digits": digits})
    _print_call(sid)


@simulate.command()
@click.argument("sid")
@click.argument("text")
def say(sid: str, text: str) -> None:
    """Say something in a running call."""
    ask(dev_base(), f"/_sim/calls/{sid}/say", {"text": text})
    _print_call(sid)


@simulate.command()
@click.argument("sid")
def hangup(sid: str) -> None:
    """Hang up as the caller."""
    if not is_sid(sid, "CA"):
        raise UsageError(f"{sid!r} is no call: give the CA… that `ringback simulate call` printed")
    ask(dev_base(), f"/_sim/calls/{sid}/hangup", {})
    _print_call(sid)


def _print_call(sid: str) -> None:
    end = _listen(dev_base(), sid, 10.0, None, quiet=False)
    click.echo(f"the call is {end['status']} ({end['state']})")


@simulate.command()
@click.argument("sid")
@click.argument("status_", metavar="STATUS")
@click.option("--error-code", default=0, help="Twilio's error code, as 30003.")
@from_option
@to_option
@json_option
def status(
    sid: str, status_: str, error_code: int, sender: str, recipient: str, as_json: bool
) -> None:
    """Report a status of a message (SM… MM…) or call (CA…) that we sent.

    For a call of ours, FROM is the one that was called.
    """
    settings, dev = target()
    family = "call" if sid.startswith("CA") else "message"
    if family == "call" and status_ not in CALL_STATUSES:
        raise UsageError(f"{status_!r} is no call status: {', '.join(CALL_STATUSES)}")
    if dev is not None and family == "message":
        body = {"status": status_} | ({"error_code": error_code} if error_code else {})
        ask(str(dev["base_url"]), f"/_sim/messages/{sid}/status", body)
        hint(sid)
        return
    if dev is not None:
        raise UsageError("calls in the simulator move by themselves: use keys, say or hangup")
    account, ours = account_of(settings), ours_of(settings, recipient)
    fields = [("AccountSid", account), ("From", ours), ("To", sender), ("ApiVersion", "2010-04-01")]
    if family == "call":
        fields += [("CallSid", sid), ("CallStatus", status_), ("Direction", "outbound-api")]
        fields.append(("CallbackSource", "call-progress-events"))
    else:
        fields += [("MessageSid", sid), ("MessageStatus", status_), ("SmsSid", sid)]
        fields += [("SmsStatus", status_)]
    if error_code:
        fields.append(("ErrorCode", str(error_code)))
    posted(settings, f"{family}/status", fields, sid, as_json)
