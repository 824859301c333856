"""Gateway session of a command: opening it, asking first, showing requests."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from ringback.cli.output import cell
from ringback.cli.project_context import here, live_dev
from ringback.config import Settings
from ringback.errors import ConfigError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.twilio.rest import VERSION, Request

T = TypeVar("T")

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask before a change.")
dry_option = click.option("--dry-run", is_flag=True, help="Print the request; send nothing.")


def access(account: str = "") -> Credentials:
    """The way in that the settings name, or the simulator of a running `ringback dev` when they
    name none. `account` stands in for the configured account. Raises ConfigError."""
    settings = here().settings()
    try:
        found = Credentials.from_settings(settings)
    except ConfigError:
        facts = live_dev(settings.data) or {}
        if not facts.get("auth_token"):
            raise
        click.echo(f"(the simulator of `ringback dev` at {facts['base_url']})", err=True)
        found = Credentials.direct(
            str(facts["account_sid"]), str(facts["auth_token"]), base_url=str(facts["base_url"])
        )
    return replace(found, account_sid=account) if account else found


def way_in(settings: Settings) -> str:
    """The name of the way in that the settings name, or `none`."""
    try:
        return Credentials.from_settings(settings).name
    except ConfigError:
        return "none"


def through(credentials: Credentials, work: Callable[[Gateway], Awaitable[T]]) -> T:
    """Open a gateway, do the work, close it."""

    async def run() -> T:
        async with Gateway(credentials) as gateway:
            return await work(gateway)

    return asyncio.run(run())


def shown(credentials: Credentials, request: Request) -> str:
    """A request as a person reads it: the line, the headers without credentials, the form."""
    url = f"{credentials.base_url}{VERSION}{request.path}"
    if request.form and request.method != "POST":
        url += f"?{urlencode(request.form, quote_via=quote)}"
    lines = [f"{request.method} {url}"]
    scheme = credentials.authorization.partition(" ")[0]
    lines.append(f"Authorization: {scheme} [hidden]")
    if credentials.connection:
        lines.append(f"Maton-Connection: {credentials.connection}")
    if request.method == "POST":
        lines.append("Content-Type: application/x-www-form-urlencoded")
        lines.append("")
        lines += [f"  {name} = {cell(value)}" for name, value in request.form]
    return "\n".join(lines)


def confirmed(what: str, *, yes: bool) -> None:
    """Ask before a change when a person sits there; raises click.Abort when they decline."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(what, err=True)
        click.confirm("Send this?", default=False, abort=True, err=True)


def plain(value: Any) -> Any:
    """A record's field as a table cell or JSON value."""
    if hasattr(value, "isoformat"):
        return value.isoformat(sep=" ", timespec="seconds")
    return value
