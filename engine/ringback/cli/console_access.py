"""The commands `console users`, `tokens` and `sessions`: who may use the console."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from ringback.cli.output import json_option, print_rows, wide_option
from ringback.cli.project_context import here, live_dev
from ringback.runtime import iso
from ringback.store.console import passwords
from ringback.store.console.access import (
    Access,
    require_name,
    require_password,
    require_token_name,
)

ROLES = ("read", "operate", "admin")
role_option = click.option(
    "--role", type=click.Choice(ROLES), default="read", show_default=True,
    help="What they may do: look, work on what needs a person, or everything.",
)  # fmt: skip
TURNED_ON = "a running `ringback serve` shows its console from its next start on"


def _access() -> Access:
    return Access(here().data())


def _was_off() -> bool:
    """Whether nobody could use a console of this project so far: no running node shows one then."""
    from ringback.receiver.companion import is_wanted

    settings = here().settings()
    return live_dev(settings.data) is None and not is_wanted(replace(settings, data=here().data()))


def _now() -> datetime:
    return datetime.now(UTC)


def _named(check: Callable[[str], str]) -> Callable[[click.Context, click.Parameter, str], str]:
    """The check of a name, before anything else is asked for."""
    return lambda _context, _parameter, name: check(name)


@click.group()
def users() -> None:
    """People who may sign in to the console."""


@users.command("add")
@click.argument("name", callback=_named(require_name), is_eager=True)
@role_option
@click.password_option(help="Their password; it is asked for when it is not given.")
def add_user(name: str, role: str, password: str) -> None:
    """Add a person, or give one another role and password."""
    require_password(password)
    first = _was_off()
    with closing(_access()) as access:
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
@click.argument("name", callback=_named(require_token_name), is_eager=True)
@role_option
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650))
@click.option("--whole", is_flag=True, help="Numbers and texts are not masked for it.")
def add_token(name: str, role: str, days: int, whole: bool) -> None:
    """Make a token; it is shown once."""
    now, first = _now(), _was_off()
    ends = iso(now + timedelta(days=days))
    with closing(_access()) as access:
        others = access.tokens_of(name)
        uid, secret = access.new_token(name, role, "pii" if whole else "", iso(now), ends)
    click.echo(secret)
    click.echo(
        f"{uid} of {name}, with the role {role}, ends {ends[:10]}; it is shown this once. Send it "
        "as `Authorization: Bearer …` to /api/v1 at the address of the node",
        err=True,
    )
    if others:
        known = ", ".join(others)
        click.echo(f"{known} of the same name stays; `ringback console tokens remove ID` ends it",
                   err=True)  # fmt: skip
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
