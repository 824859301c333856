"""The commands `console users`, `tokens` and `sessions`: who may use the console."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import click

from ringback.cli.output import json_option, print_rows, wide_option
from ringback.cli.project_context import here
from ringback.runtime import iso
from ringback.store.console import passwords
from ringback.store.console.access import Access, require_person

ROLES = ("read", "operate", "admin")
role_option = click.option(
    "--role", type=click.Choice(ROLES), default="read", show_default=True,
    help="What they may do: look, work on what needs a person, or everything.",
)  # fmt: skip
TURNED_ON = "a running `ringback serve` shows its console from its next start on"


def _access() -> Access:
    return Access(here().data())


def _now() -> datetime:
    return datetime.now(UTC)


@click.group()
def users() -> None:
    """People who may sign in to the console."""


@users.command("add")
@click.argument("name")
@role_option
@click.password_option(help="Their password; it is asked for when it is not given.")
def add_user(name: str, role: str, password: str) -> None:
    """Add a person, or give one another role and password."""
    require_person(name, password)
    with closing(_access()) as access:
        first = not access.people()
        access.put_person(name, role, passwords.kept(password), iso(_now()))
    click.echo(f"{name} may sign in, with the role {role}")
    if first:
        click.echo(TURNED_ON, err=True)


@users.command("list")
@wide_option
@json_option
def list_users(wide: bool, as_json: bool) -> None:
    """List who may sign in."""
    with closing(_access()) as access:
        columns = ("name", "role", "made_at")
        print_rows(
            access.people(), columns, as_json=as_json, empty="nobody", by_weight=columns, wide=wide
        )


@users.command("remove")
@click.argument("name")
def remove_user(name: str) -> None:
    """Let a person in no more; what they are signed in to ends."""
    with closing(_access()) as access:
        access.drop_person(name, iso(_now()))
    click.echo(f"{name} may sign in no more")


@click.group()
def tokens() -> None:
    """Tokens of programs that use the JSON API."""


@tokens.command("add")
@click.argument("name")
@role_option
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650))
@click.option("--whole", is_flag=True, help="Numbers and texts are not masked for it.")
def add_token(name: str, role: str, days: int, whole: bool) -> None:
    """Make a token; it is shown once."""
    now = _now()
    with closing(_access()) as access:
        first = not access.tokens()
        _, secret = access.new_token(
            name, role, "pii" if whole else "", iso(now), iso(now + timedelta(days=days))
        )
    click.echo(secret)
    if first:
        click.echo(TURNED_ON, err=True)


@tokens.command("list")
@wide_option
@json_option
def list_tokens(wide: bool, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    columns = ("id", "name", "role", "scope", "made_at", "used_at", "ends_at", "peer")
    with closing(_access()) as access:
        print_rows(
            access.tokens(), columns, as_json=as_json, empty="no tokens", by_weight=columns,
            wide=wide,
        )  # fmt: skip


@tokens.command("remove")
@click.argument("token")
def remove_token(token: str) -> None:
    """Let a token in no more."""
    with closing(_access()) as access:
        access.drop_token(token)
    click.echo(f"{token} is no longer taken")


@click.group()
def sessions() -> None:
    """Who is signed in to the console."""


@sessions.command("list")
@wide_option
@json_option
def list_sessions(wide: bool, as_json: bool) -> None:
    """List who is signed in, and since when."""
    columns = ("name", "role", "made_at", "seen_at", "ends_at", "peer", "agent")
    with closing(_access()) as access:
        print_rows(
            access.sessions(), columns, as_json=as_json, empty="nobody is signed in",
            by_weight=columns, wide=wide,
        )  # fmt: skip


@sessions.command("end")
@click.argument("name", required=False)
def end_sessions(name: str | None) -> None:
    """Sign a person out everywhere, or everybody."""
    with closing(_access()) as access:
        count = access.end_sessions(name or "")
    click.echo(f"{count} ended")
