"""The command `channels`: how notices reach people, and whether they do."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ringback.cli.events import questions
from ringback.cli.output import cell, json_option, print_json, print_rows, style, wide_option
from ringback.cli.project_context import here
from ringback.errors import ConfigError, GatewayError, RingbackError, StorageError, UsageError

if TYPE_CHECKING:
    from ringback.gateway.channels import Channels
    from ringback.gateway.safe_http import Outbound

COLUMNS = ("name", "kind", "where", "used by", "trouble")
BY_WEIGHT = ("name", "kind", "trouble", "where", "used by")
"""The columns as they give way, the last one first, where there is little room."""
PEOPLE = ("text", "call")
"""Kinds that are people, who are reached through the gateway."""
ENDING = ("pagerduty", "opsgenie")
"""Kinds that would keep the matter of a test open: it is ended at once."""


@click.group()
def channels() -> None:
    """How notices reach people: the channels of ringback.toml, `log` and `webhook`."""


@channels.command("list")
@wide_option
@json_option
def list_(wide: bool, as_json: bool) -> int:
    """List the channels, who uses each and what is wrong; ends with 1 for one set up wrongly."""
    from ringback.cli.hosted import described
    from ringback.project import channel_users

    found, _ = _channels()
    used = channel_users(described(here().settings()))
    trouble = _trouble()
    rows: list[dict[str, Any]] = []
    for name, kind, where in found.described():
        wrong = [each for each in found.problems if each.startswith(f"[channels.{name}]")]
        rows.append(
            {
                "name": name, "kind": kind, "where": where, "used_by": sorted(used.get(name, ())),
                "trouble": "; ".join(wrong) or trouble.get(name) or _no_sender(name) or None,
            }
        )  # fmt: skip
    for row in () if as_json else rows:
        row["used by"] = ", ".join(row["used_by"])
    print_rows(rows, COLUMNS, as_json=as_json, empty="", by_weight=BY_WEIGHT, wide=wide)
    return 1 if found.problems else 0


@channels.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every channel of ringback.toml.")
@json_option
def test(names: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Send a notice through channels, now, and say what each answered. Ends with 1 when one failed.

    It needs no node, and goes out also where notices are only shown.
    """
    found, outbound = _channels()
    if found.problems:
        raise ConfigError(found.problems)
    kinds = {name: kind for name, kind, _ in found.described()}
    wanted = list(names) or [name for name, kind in kinds.items() if kind != "built in"]
    if bool(names) == every:
        raise UsageError(f"name channels, or say --all; there are: {', '.join(kinds)}")
    if not wanted:
        raise UsageError("ringback.toml has no [channels.NAME]; the page on channels shows some")
    for name in wanted:
        found.require(name)
        if name == "webhook":
            raise UsageError("the channel webhook has no address of its own: a notice names it")
    results = asyncio.run(_test(found, outbound, [(name, kinds[name]) for name in wanted]))
    for result in results:
        if as_json:
            print_json(result)
            continue
        mark = style("✓", "green") if result["ok"] else style("✗", "red")
        said = f"took it in {result['seconds']:.1f} s" if result["ok"] else result["error"]
        click.echo(f"{mark} {result['channel']} ({result['kind']}): {cell(said)}")
        if result["remedy"]:
            click.echo(f"  {result['remedy']}")
    return 0 if all(result["ok"] for result in results) else 1


async def _test(
    found: "Channels", outbound: "Outbound", wanted: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    async with outbound:
        return await asyncio.gather(*(_try(found, name, kind) for name, kind in wanted))


async def _try(found: "Channels", name: str, kind: str) -> dict[str, Any]:
    """Send one notice, and for some kinds the end of its matter; what came of it."""
    from ringback.actions import Notify
    from ringback.runtime import REAL

    text = f"This is a test of the channel {name} by `ringback channels test`. Nothing is wrong."
    notice = Notify(text, via=name, key=f"test/{name}", severity="info")
    uid, began = REAL.uid("tst"), time.monotonic()
    error, remedy = "", ""
    try:
        if kind in PEOPLE:
            await _reach(name, text)
        else:
            await found.give(notice, "", uid)
        if kind in ENDING:
            await found.give(Notify(text, name, key=notice.key, resolved=True), "", f"{uid}-end")
    except RingbackError as problem:
        error = str(problem)
        remedy = problem.remedy if isinstance(problem, GatewayError) else ""
    return {
        "channel": name, "kind": kind, "ok": not error, "error": error, "remedy": remedy or "",
        "seconds": round(time.monotonic() - began, 3),
    }  # fmt: skip


async def _reach(name: str, text: str) -> None:
    """Text or call a person on call, past the node: it may not run."""
    from ringback.gateway.channel_tables import person
    from ringback.gateway.client import Gateway
    from ringback.twilio import twiml
    from ringback.verbs import Say

    settings = here().settings()
    whom = person(settings.channels, name, settings.environ)
    assert whom is not None
    sender = whom.sender or settings.sender
    if wrong := _no_sender(name):
        raise UsageError(wrong)
    async with Gateway.from_settings(settings) as gateway:
        if whom.kind == "call":
            document = twiml.document((Say(text),))
            await gateway.calls.create(to=whom.to, from_=sender, twiml=document)
        else:
            await gateway.messages.create(to=whom.to, from_=sender, body=text)


def _no_sender(name: str) -> str:
    """Why a person on call cannot be reached from here; empty when nothing speaks against it."""
    from ringback.gateway.channel_tables import person

    settings = here().settings()
    whom = person(settings.channels, name, settings.environ)
    if whom is None or whom.sender or settings.sender:
        return ""
    return f'[channels.{name}] needs from = "+…", or set RINGBACK_SENDER'


def _channels() -> "tuple[Channels, Outbound]":
    from ringback.gateway.channels import Channels
    from ringback.gateway.safe_http import Outbound

    settings = here().settings()
    outbound = Outbound(allow=settings.outbound_allow)
    return Channels(settings.channels, outbound, environ=settings.environ), outbound


def _trouble() -> Mapping[str, str]:
    """What the open incidents say of channels, by their names."""
    try:
        with questions() as asked:
            return {
                row["key"].partition(":")[2]: row["text"] for row in asked.open_incidents("channel")
            }
    except StorageError:  # no node has run here yet
        return {}
