"""The command `connect`: point numbers at this node, and put back what was there before."""

import re
from collections.abc import Iterable, Sequence

import click

from ringback.cli.gateway_session import access, confirmed, dry_option, through, yes_option
from ringback.cli.output import cell, json_option, print_json, style
from ringback.cli.project_context import here
from ringback.config import LOOPBACK, Settings
from ringback.errors import ConfigError, NotFound, RingbackError, UsageError
from ringback.gateway.client import Gateway
from ringback.gateway.webhook_setup import (
    Change,
    Memory,
    Target,
    Values,
    changes,
    look,
    service_of,
    set_on,
    target_of,
    values_for,
    wanted,
)
from ringback.twilio.rest import is_sid

RESTORE = "restore"


@click.command()
@click.argument("targets", nargs=-1, metavar="NUMBER…|restore [NUMBER…]")
@click.option(
    "--all", "everything", is_flag=True, help="Every number of the account and of [accounts]."
)
@click.option("--fallback", default="", metavar="URL", help="Asked when the node fails.")
@dry_option
@yes_option
@json_option
def connect(
    targets: tuple[str, ...],
    everything: bool,
    fallback: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Point numbers (+15551234567, PN… or an application AP…) at this node.

    The difference is shown first, and what was there before is kept: `ringback connect restore`
    puts it back, for all numbers or those that are named.
    """
    settings = here().settings()
    memory = Memory(settings.data)
    if targets[:1] == (RESTORE,):
        return through(
            access(),
            lambda gateway: _restore(gateway, memory, targets[1:], dry_run, yes, as_json),
        )
    if not targets and not everything:
        raise UsageError("name a number, or give --all")
    urls = wanted(
        public_url(settings), secret=secret_of(settings), fallback_url=fallback,
        tail=settings.callback_tail,
    )  # fmt: skip

    accounts = ("", *settings.accounts)

    async def work(gateway: Gateway) -> int:
        found = await _found(gateway, accounts, targets, everything)
        plans = [(target, values_for(target, urls)) for target in found]
        return await _apply(gateway, memory, plans, dry_run, yes, as_json)

    return through(access(), work)


def public_url(settings: Settings) -> str:
    """The address to tell Twilio. Raises ConfigError for one that it cannot reach."""
    if not settings.public_url:
        raise ConfigError(["no public address to tell Twilio: set RINGBACK_PUBLIC_URL"])
    host = re.sub(r"^https?://|[:/].*$", "", settings.public_url)
    if host in LOOPBACK and not settings.gateway_url:
        raise ConfigError(
            [f"RINGBACK_PUBLIC_URL is {settings.public_url}: Twilio cannot reach this machine so"]
        )
    return settings.public_url


def secret_of(settings: Settings) -> str:
    """The secret that goes into the path: only where no token or key proves requests."""
    proven = settings.auth_tokens or settings.shared_keys
    return "" if proven else settings.hook_secret


async def _found(
    gateway: Gateway, accounts: Sequence[str], targets: Sequence[str], everything: bool
) -> list[Target]:
    if everything:
        return [
            target_of(number, account)
            for account in accounts
            async for number in gateway.of(account).numbers.list()
        ]
    return [await _one(gateway, accounts, name) for name in targets]


async def _one(gateway: Gateway, accounts: Sequence[str], name: str) -> Target:
    """The target of this name, in the first account that has it. Raises UsageError, NotFound."""
    missing: list[RingbackError] = []
    for account in accounts:
        there = gateway.of(account)
        try:
            if is_sid(name, "AP"):
                return target_of(await there.applications.fetch(name), account)
            return target_of(await there.numbers.find(name), account)
        except (NotFound, UsageError) as error:
            missing.append(error)
    if len(accounts) > 1:
        raise UsageError(f"{name} is neither of this account nor of one of [accounts]")
    raise missing[0]


async def _apply(
    gateway: Gateway,
    memory: Memory,
    plans: list[tuple[Target, Values]],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    todo = [(target, values) for target, values in plans if changes(target, values)]
    for target, values in plans:
        service = await service_of(gateway, target)
        _show(target, changes(target, values), as_json, service=service)
        if service:
            click.echo(
                f"{target.name}: its last text came through the Messaging Service {service}. "
                "Unless that defers to the sender's webhook, texts will not come this way, "
                f"whatever is set here. In Twilio's console, at the integration of {service}, "
                "choose `Defer to sender's webhook`, or `Send a webhook` with "
                f"{_masked(values['sms_url'])}",
                err=True,
            )
        if target.trunk:
            click.echo(
                f"{target.name}: its trunk {target.trunk} takes its calls, whatever is set here",
                err=True,
            )
    if dry_run or not todo:
        return 0
    confirmed(f"{len(todo)} to change, as shown.", yes=yes)
    # On disk before the first write: a crash from here on can be undone.
    memory.remember(todo)
    for target, values in todo:
        await set_on(gateway.of(target.account), target.sid, values)
        click.echo(f"{target.name} is connected", err=True)
    return 0


async def _restore(
    gateway: Gateway,
    memory: Memory,
    names: Sequence[str],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    entries = [
        entry
        for entry in memory.entries.values()
        if not names or entry.sid in names or entry.name in names
    ]
    missing = set(names) - {entry.sid for entry in entries} - {entry.name for entry in entries}
    if missing:
        raise UsageError(f"nothing is remembered of {', '.join(sorted(missing))}")
    if not entries:
        click.echo("nothing to restore", err=True)
        return 0
    todo: list[tuple[Target, Values]] = []
    for entry in entries:
        try:
            target = await look(gateway, entry.sid, entry.account)
        except NotFound:
            click.echo(f"{entry.name} ({entry.sid}) was deleted: forgotten", err=True)
            if not dry_run:
                memory.forget(entry.sid)
            continue
        for change in memory.drift(target):
            if change.after != entry.before.get(change.name, ""):
                click.echo(
                    f"{entry.name}: {change.name} was changed since by somebody else, to "
                    f"{_masked(change.after) or '(empty)'}",
                    err=True,
                )
        _show(target, changes(target, entry.before), as_json)
        todo.append((target, entry.before))
    if dry_run:
        return 0
    if any(changes(target, before) for target, before in todo):
        confirmed(f"{len(todo)} to put back, as shown.", yes=yes)
    for target, before in todo:
        if changes(target, before):
            await set_on(gateway.of(target.account), target.sid, before)
        memory.forget(target.sid)
        click.echo(f"{target.name} is as it was", err=True)
    return 0


def _show(
    target: Target, found: Iterable[Change], as_json: bool, *, service: str | None = None
) -> None:
    listed = list(found)
    if as_json:
        print_json(
            {
                "sid": target.sid,
                "name": target.name,
                "account": target.account,
                "changes": [
                    {"name": c.name, "before": _masked(c.before), "after": _masked(c.after)}
                    for c in listed
                ],
                **({} if service is None else {"messaging_service": service}),
            }
        )
        return
    whose = f" of {target.account}" if target.account else ""
    what = "" if listed else ": nothing to change"
    click.echo(f"{cell(target.name)} ({target.sid}){whose}{what}")
    for change in listed:
        click.echo(f"  {change.name}")
        if change.before:
            click.echo(style(f"  - {_masked(change.before)}", "red"))
        click.echo(style(f"  + {_masked(change.after) or '(empty)'}", "green"))


def _masked(url: str) -> str:
    """An address without the secret in its path."""
    return cell(re.sub(r"/~[^/]+/", "/~…/", url))
