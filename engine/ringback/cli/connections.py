"""The command `connections`: the Maton connections of your key."""

import sys
import webbrowser
from typing import Any

import click

from ringback.cli.gateway_session import access, confirmed, plain, through, yes_option
from ringback.cli.output import json_option, print_json, print_rows, wide_option
from ringback.errors import RingbackError, UsageError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.records import MatonConnection

COLUMNS = ("connection_id", "status", "method", "created", "used")
BY_WEIGHT = ("connection_id", "status", "used", "created", "method")
"""The columns as they give way, the last one first, where there is little room."""


@click.group()
def connections() -> None:
    """The Maton connections of your key: each one leads to one Twilio account."""


def _maton() -> Credentials:
    found = access()
    if not found.control_url:
        raise UsageError("connections exist only through Maton: set MATON_API_KEY")
    return found


def _row(connection: MatonConnection, maton: Credentials) -> dict[str, Any]:
    return {
        "connection_id": connection.connection_id,
        "status": connection.status,
        "app": connection.app,
        "method": connection.method,
        "created": plain(connection.creation_time),
        "updated": plain(connection.last_updated_time),
        "used": "pinned" if connection.connection_id == maton.connection else "",
    }


@connections.command("list")
@click.option("--status", default="", help="Only ACTIVE, PENDING or FAILED ones.")
@wide_option
@json_option
def list_(status: str, wide: bool, as_json: bool) -> None:
    """List the connections to Twilio."""
    maton = _maton()

    async def work(gateway: Gateway) -> list[MatonConnection]:
        return await gateway.connections.list(status=status)

    found = through(maton, work)
    lines = [_row(connection, maton) for connection in found]
    empty = "no connection yet: run `ringback connections create`"
    print_rows(lines, COLUMNS, as_json=as_json, empty=empty, by_weight=BY_WEIGHT, wide=wide)
    active = [line for line in lines if line["status"] == "ACTIVE"]
    if len(active) > 1 and not maton.connection and not as_json:
        click.echo("Several are active and none is pinned: set MATON_CONNECTION.", err=True)


@connections.command()
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the grant.")
@click.option("--seconds", default=300.0, show_default=True, help="How long to wait.")
@click.option("--browser", is_flag=True, help="Open the page here.")
@yes_option
@json_option
def create(wait: bool, seconds: float, browser: bool, yes: bool, as_json: bool) -> int:
    """Begin a connection; then grant the access on the page that it names."""
    maton = _maton()
    confirmed(f"POST {maton.control_url}/connections: a new connection to Twilio", yes=yes)

    async def work(gateway: Gateway) -> MatonConnection:
        begun = await gateway.connections.create()
        if begun.status == "ACTIVE":
            return begun
        click.echo("Open this page in a browser and grant the access:", err=True)
        click.echo(f"  {begun.url}", err=True)
        if browser:
            webbrowser.open(begun.url)
        if not wait:
            return begun
        if sys.stderr.isatty():
            click.echo("Waiting; Ctrl-C leaves it pending.", err=True)
        return await gateway.connections.wait(begun.connection_id, seconds=seconds)

    made = through(maton, work)
    if as_json:
        print_json(_row(made, maton))
    elif made.status == "ACTIVE":
        click.echo(f"{made.connection_id} is active. Pin it: MATON_CONNECTION={made.connection_id}")
    else:
        click.echo(f"{made.connection_id} is {made.status or 'PENDING'}")
    if made.status == "FAILED":
        raise RingbackError("the access was not granted: begin a new connection")
    return 0 if made.status == "ACTIVE" or not wait else 1


@connections.command()
@click.argument("connection_id", metavar="ID")
@json_option
def get(connection_id: str, as_json: bool) -> None:
    """Show one connection."""
    maton = _maton()

    async def work(gateway: Gateway) -> MatonConnection:
        return await gateway.connections.fetch(connection_id)

    found = through(maton, work)
    row = _row(found, maton)
    if as_json:
        print_json(row)
        return
    lines = [{"field": name, "value": value} for name, value in row.items() if value]
    print_rows(lines, ("field", "value"), as_json=False, empty="nothing")
    if found.status == "PENDING" and found.url:
        click.echo(f"Open this page in a browser to finish it:\n  {found.url}", err=True)


@connections.command()
@click.argument("connection_id", metavar="ID")
@yes_option
@json_option
def delete(connection_id: str, yes: bool, as_json: bool) -> None:
    """Delete a connection: this key loses its access to that Twilio account."""
    maton = _maton()
    confirmed(f"DELETE {maton.control_url}/connections/{connection_id}", yes=yes)

    async def work(gateway: Gateway) -> None:
        await gateway.connections.delete(connection_id)

    through(maton, work)
    if as_json:
        print_json({"deleted": connection_id})
    else:
        click.echo(f"{connection_id} deleted")
