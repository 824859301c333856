"""Target of the simulate commands: the phone network of `ringback dev`, or a running node."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from ringback.cli.http import ask, look, post_webhook
from ringback.cli.output import print_json, style
from ringback.cli.project_context import here, live_dev
from ringback.config import Settings
from ringback.errors import RingbackError, UsageError
from ringback.store.upkeep import locks

STRANGER = "+12025550142"


def _number(_ctx: click.Context, param: click.Parameter, written: str) -> str:
    if (param.name == "sender" and not written.strip()) or "/" in written:
        raise UsageError(f"{written!r} is nobody's number; write one as {STRANGER}")
    from ringback.rules.language.phones import impossible

    number = here().number(written)
    if wrong := impossible(number):
        raise UsageError(f"{number} {wrong}; write all of it, as {STRANGER}")
    return number


from_option = click.option(
    "--from", "sender", default=STRANGER, show_default=True, callback=_number, help="Who."
)
whatsapp_option = click.option(
    "--whatsapp", is_flag=True, help="By WhatsApp; --from whatsapp:+… does the same."
)
to_option = click.option(
    "--to", "recipient", default="", callback=_number, help="Which of our numbers."
)


def channel_of(address: str) -> str:
    """The channel in front of an address; nothing for SMS."""
    return address.rpartition(":")[0]


def on_channel(sender: str, *, whatsapp: bool) -> str:
    """The address from which a person writes, by the options of a command."""
    return f"whatsapp:{sender}" if whatsapp and not channel_of(sender) else sender


def target() -> tuple[Settings, dict[str, Any] | None]:
    """The settings, and what a running `ringback dev` says of itself; None without one."""
    settings = here().settings()
    return settings, live_dev(settings.data)


def dev_base() -> str:
    """The address of dev's simulator. Raises UsageError without one."""
    dev = target()[1]
    if dev is None:
        raise UsageError("this needs the simulated phone network: start `ringback dev` first")
    return str(dev["base_url"])


def handset(base: str, number: str) -> dict[str, Any]:
    """The phone of this number on dev's network: its texts and its calls."""
    found: dict[str, Any] = ask(base, f"/_sim/handsets/{quote(number, safe='')}")
    return found


def posted(
    settings: Settings, route: str, fields: list[tuple[str, str]], sid: str, as_json: bool
) -> None:
    """Post a webhook to the running node and show its answer. Raises RingbackError: refused."""
    code, body = post_webhook(settings, route, fields)
    if as_json:
        print_json({"sid": sid, "http_status": code, "body": body})
    else:
        click.echo(f"{style('→', 'cyan')} POST /twilio/{route}: HTTP {code}  {sid}")
        if body:
            click.echo(body)
    if code >= 300:
        raise RingbackError(f"the node refused it with HTTP {code}{_stranger(settings)}")
    if not as_json:
        hint(sid)


def text_in(
    sender: str,
    recipient: str,
    body: str,
    *,
    media: Sequence[str] = (),
    fields: Mapping[str, str] | None = None,
    as_json: bool,
) -> tuple[str, dict[str, Any] | None]:
    """Text one of our numbers: the SID, and what dev says of itself. Without dev the text has been
    posted to the node and its answer shown."""
    settings, dev = target()
    channel, colon, address = sender.rpartition(":")
    ours = recipient or str(dev["numbers"][0]) if dev else ours_of(settings, recipient)
    if colon and ":" not in ours:
        ours = f"{channel}:{ours}"
    more = dict(fields or {})
    if dev is not None:
        wanted = {"from": sender, "to": ours, "body": body, "media": list(media), "fields": more}
        return str(ask(str(dev["base_url"]), "/_sim/messages", wanted)["sid"]), dev
    sid = new_sid("MM" if media else "SM")
    form = {
        "MessageSid": sid, "SmsMessageSid": sid, "SmsSid": sid, "SmsStatus": "received",
        "AccountSid": account_of(settings), "From": sender, "To": ours, "Body": body,
        "NumSegments": "1", "NumMedia": str(len(media)), "ApiVersion": "2010-04-01",
        **{f"MediaUrl{n}": url for n, url in enumerate(media)},
    }  # fmt: skip
    if channel == "whatsapp":
        kind = "image" if media else "text"
        form |= {"ProfileName": address, "WaId": address.lstrip("+"), "MessageType": kind}
    posted(settings, "message", list((form | more).items()), sid, as_json)
    return sid, None


def hint(sid: str) -> None:
    """Say how to see why it came so."""
    click.echo(style(f"see why: ringback trace {sid}", "cyan"), err=True)


def new_sid(prefix: str) -> str:
    """A SID of nothing that Twilio knows."""
    return prefix + secrets.token_hex(16)


def account_of(settings: Settings) -> str:
    """The account that a webhook is about."""
    return settings.account_sid or "AC" + "0" * 32


def ours_of(settings: Settings, recipient: str) -> str:
    """Which of our numbers is meant. Raises UsageError when none is named nor configured."""
    look(settings, "/healthz")  # who runs no node is told that first
    if recipient or settings.sender:
        return recipient or settings.sender
    asked = "which of our numbers? give --to, or set RINGBACK_SENDER"
    raise UsageError(f"{asked}{_stranger(settings)}")


def _stranger(settings: Settings) -> str:
    """A hint when the node that answers does not use the data of this project. It may be ours all
    the same, in a container with a volume of its own."""
    if locks.holder(settings.data, "receiver"):
        return ""
    return (
        f"; the node on port {settings.port} does not use the data of this project: if it is "
        "another project's, start this one with `ringback dev`"
    )
