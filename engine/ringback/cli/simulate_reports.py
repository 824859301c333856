"""The simulate commands of rarer webhooks: reactions, opt-outs, receipts, recordings, errors."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from ringback.cli.http import ask
from ringback.cli.output import cell, json_option, print_json, style
from ringback.cli.simulate_target import (
    account_of,
    channel_of,
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
from ringback.errors import UsageError
from ringback.rules.reactions import parse

PHONES = {
    "liked": ("Liked", "a like", "👍"),
    "loved": ("Loved", "a heart", "❤️"),
    "disliked": ("Disliked", "a dislike", "👎"),
    "laughed": ("Laughed at", "a laugh", "😂"),
    "emphasized": ("Emphasized", "an exclamation", "‼️"),
    "questioned": ("Questioned", "a question mark", "❓"),
}
"""A reaction: what an iPhone writes, what it writes when that is taken back, Android's emoji."""

AS_RULES_SAY = {
    "like": "liked", "love": "loved", "dislike": "disliked", "laugh": "laughed",
    "emphasis": "emphasized", "question": "questioned",
}  # fmt: skip
"""The same by the words of `event.reaction`."""

RECORDING_STATUSES = ("in-progress", "completed", "absent", "failed")
RECORDING_ERRORS = {"absent": "16102", "failed": "16108"}
OPT_OUTS = ("STOP", "START", "HELP")


def reaction(kind: str, quoted: str, *, android: bool = False, removed: bool = False) -> str:
    """The text that arrives when a phone reacts to a text over SMS. `kind` may be an emoji."""
    said = AS_RULES_SAY.get(kind, kind)
    verb, taken, emoji = PHONES.get(said, (f"Reacted {kind} to", f"{kind} reaction", kind))
    if android:
        act = f"Removed {emoji} from" if removed else f"{emoji} to"
    else:
        act = f"Removed {taken} from" if removed else verb
    return f"{act} “{quoted}”"


def _last_text(dev: dict[str, Any], sender: str, ours: str = "") -> dict[str, Any]:
    """The last text that this phone got from us on this channel, from this number of ours if one is
    named. Raises UsageError when it has none."""
    inbox = handset(str(dev["base_url"]), sender)["inbox"]
    texts: list[dict[str, Any]] = [each for each in inbox if each["sid"]]
    here = [each for each in texts if channel_of(each["from"]) == channel_of(sender)]
    fit = [each for each in here if each["from"].endswith(ours)]
    if fit:
        return fit[-1]
    others = sorted({each["from"] for each in texts} - {each["from"] for each in fit})
    came = f"; what came is from {', '.join(others)}: see --whatsapp and --to" if others else ""
    raise UsageError(f"{sender} has got no text from {ours or 'us'} yet{came}")


def _show(as_json: bool, sid: str, said: str, **facts: Any) -> None:
    if as_json:
        print_json({"sid": sid, **facts})
        return
    click.echo(f"{style('→', 'cyan')} {said}  {sid}")
    hint(sid)


@click.command()
@click.argument("kind")
@click.argument("quoted", metavar="[TEXT]", default="")
@from_option
@whatsapp_option
@to_option
@click.option("--android", is_flag=True, help="As Android writes it, not as an iPhone does.")
@click.option("--remove", "removed", is_flag=True, help="Take the reaction back.")
@json_option
def react(
    kind: str,
    quoted: str,
    sender: str,
    whatsapp: bool,
    recipient: str,
    android: bool,
    removed: bool,
    as_json: bool,
) -> None:
    """React to a text of ours as a phone does: liked, loved, disliked, laughed, emphasized,
    questioned, or an emoji.

    TEXT is the text that is reacted to; in dev the last one that this phone got.
    """
    if not parse(reaction(kind, "…")).kind:
        raise UsageError(f"{kind!r} is no reaction: {', '.join(PHONES)}, or an emoji")
    dev = target()[1]
    sender = on_channel(sender, whatsapp=whatsapp)
    if not quoted:
        if dev is None:
            raise UsageError("reacted to what? give the TEXT")
        last = _last_text(dev, sender, recipient)
        quoted, recipient = str(last["body"]), recipient or str(last["from"])
    body = reaction(kind, quoted, android=android, removed=removed)
    sid, sent = text_in(sender, recipient, body, as_json=as_json)
    if sent is not None:
        _show(as_json, sid, f"{sender}: {cell(body)}", body=body)


@click.command("opt-out")
@click.argument("kind", metavar="[STOP|START|HELP]", default="STOP")
@click.option("--body", default="", help="The text; default: the word itself.")
@from_option
@whatsapp_option
@to_option
@json_option
def opt_out(
    kind: str, body: str, sender: str, whatsapp: bool, recipient: str, as_json: bool
) -> None:
    """Text a word of Advanced Opt-Out: the webhook says OptOutType, and Twilio has acted on it.

    In dev the simulated Twilio then refuses texts to this phone with 21610, until START.
    """
    kind, sender = kind.upper(), on_channel(sender, whatsapp=whatsapp)
    if kind not in OPT_OUTS:
        raise UsageError(f"{kind!r} is no opt-out: {', '.join(OPT_OUTS)}")
    sid, sent = text_in(
        sender, recipient, body or kind, fields={"OptOutType": kind}, as_json=as_json
    )
    if sent is not None:
        _show(as_json, sid, f"{sender}: {cell(body or kind)} (OptOutType {kind})")


@click.command()
@click.argument("sid", metavar="[SID]", default="")
@from_option
@whatsapp_option
@to_option
@json_option
def read(sid: str, sender: str, whatsapp: bool, recipient: str, as_json: bool) -> None:
    """Read a text of ours (SM… MM…): its receipt comes, as on WhatsApp and RCS.

    In dev SID is by default the last text that this phone got.
    """
    sender = on_channel(sender, whatsapp=whatsapp)
    settings, dev = target()
    if dev is None:
        if not sid:
            raise UsageError("which text? give its SID")
        fields = [
            ("MessageSid", sid), ("SmsSid", sid), ("MessageStatus", "read"), ("SmsStatus", "read"),
            ("AccountSid", account_of(settings)), ("From", ours_of(settings, recipient)),
            ("To", sender), ("EventType", "READ"), ("ApiVersion", "2010-04-01"),
        ]  # fmt: skip
        posted(settings, "message/status", fields, sid, as_json)
        return
    base = str(dev["base_url"])
    sid = sid or str(_last_text(dev, sender, recipient)["sid"])
    if ask(base, f"/_sim/messages/{sid}")["status"] not in ("delivered", "read"):
        ask(base, f"/_sim/messages/{sid}/status", {"status": "delivered"})
    ask(base, f"/_sim/messages/{sid}/status", {"status": "read"})
    _show(as_json, sid, "read")


@click.command()
@click.argument("call", metavar="[CALL]", default="")
@click.option(
    "--status",
    type=click.Choice(RECORDING_STATUSES),
    default="completed",
    show_default=True,
    help="What became of it.",
)
@click.option("--seconds", type=int, default=12, show_default=True, help="How long it is.")
@from_option
@to_option
@json_option
def recording(
    call: str, status: str, seconds: int, sender: str, recipient: str, as_json: bool
) -> None:
    """Report a recording of a call (CA…), as Twilio does when it begins, is ready, or is not.

    In dev CALL is by default the last call of this phone.
    """
    settings, dev = target()
    if dev is not None:
        base = str(dev["base_url"])
        made = handset(base, sender)["calls_made"]
        if not (call or made):
            raise UsageError(f"{sender} has made no call yet: ringback simulate call")
        wanted = {
            "status": status,
            "seconds": seconds,
            "url": f"{dev['node_url']}/twilio/recording",
        }
        done = ask(base, f"/_sim/calls/{call or made[-1]}/recording", wanted)
        _show(as_json, str(done["sid"]), f"a recording of {done['call_sid']} is {status}")
        return
    sid, account = new_sid("RE"), account_of(settings)
    url = f"https://api.twilio.com/2010-04-01/Accounts/{account}/Recordings/{sid}"
    fields = [
        ("AccountSid", account), ("CallSid", call or new_sid("CA")), ("RecordingSid", sid),
        ("RecordingUrl", url), ("RecordingStatus", status), ("RecordingChannels", "1"),
        ("RecordingSource", "StartCallRecordingAPI"), ("RecordingTrack", "both"),
    ]  # fmt: skip
    if status == "completed":
        fields.append(("RecordingDuration", str(seconds)))
    if status in RECORDING_ERRORS:
        fields.append(("ErrorCode", RECORDING_ERRORS[status]))
    posted(settings, "recording", fields, sid, as_json)


@click.command()
@click.argument("code", type=int)
@click.option(
    "--level",
    type=click.Choice(("error", "warning")),
    default="error",
    show_default=True,
    help="How bad it is.",
)
@click.option("--sid", "subject", default="", help="The call or message that it is about.")
@click.option("--text", default="", help="What it says; default: Twilio's words for the code.")
@json_option
def error(code: int, level: str, subject: str, text: str, as_json: bool) -> None:
    """Report an error or a warning as Twilio's debugger does, by its code: 11200."""
    settings, dev = target()
    if dev is not None:
        wanted = {"code": code, "level": level, "sid": subject, "text": text}
        done = ask(str(dev["base_url"]), "/_sim/errors", wanted)
        _show(as_json, str(done["sid"]), f"{level} {code}: {cell(done['message_text'])}")
        return
    sid = new_sid("NO")
    payload = {
        "resource_sid": subject or None, "service_sid": None, "error_code": str(code),
        "more_info": {"Msg": text or f"Error {code}"},
        "webhook": {"type": "application/json", "request": {}, "response": {}},
    }  # fmt: skip
    fields = [
        ("Sid", sid), ("AccountSid", account_of(settings)), ("Level", level.capitalize()),
        ("Timestamp", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("PayloadType", "application/json"), ("Payload", json.dumps(payload)),
    ]  # fmt: skip
    posted(settings, "debugger", fields, sid, as_json)


COMMANDS = (react, opt_out, read, recording, error)
