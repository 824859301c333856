"""The command `console`: pages and the JSON API over the data, and who may use them."""

import secrets
from dataclasses import replace
from pathlib import Path

import click

from ringback.cli.console_access import sessions, tokens, users
from ringback.cli.console_surroundings import surroundings_of
from ringback.cli.project_context import here
from ringback.cli.serve import set_up_logging
from ringback.errors import ConfigError, HeldError, UsageError

VALUED = ("--host", "--port")
"""Its options that have a value."""
WILD = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
ELSEWHERE = (
    "to reach it from another machine, set RINGBACK_CONSOLE_URL to the address that people type"
)
BESIDE = "; that of `ringback serve` and `ringback dev` is below /console/ of the node"


class WithProject(click.Group):
    """A group whose first argument may be a folder in place of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read a command line: before a command no folder is named, and options may stand behind
        a folder too."""
        options: list[str] = []
        folder = ""
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word in self.commands:
                return super().parse_args(ctx, [*options, folder, word, *rest])
            if word.startswith("-"):
                options += [word, *([rest.pop(0)] if word in VALUED and rest else [])]
            elif folder:
                rest = [word, *rest]
                break
            else:
                folder = word
        return super().parse_args(ctx, [*options, *([folder] if folder else []), *rest])


@click.group(cls=WithProject, invoke_without_command=True)
@click.argument("project", required=False)
@click.option("--host", default=None, help="Address to listen on; default: console_host.")
@click.option("--port", default=None, help="Port; default: console_port, else a free one.")
@click.option("--supervised", is_flag=True, hidden=True)
@click.pass_context
def console(
    ctx: click.Context, project: str, host: str | None, port: str | None, supervised: bool
) -> int:
    """Run the console alone, also on a copy of the data.

    It prints an address with a key that signs you in. `ringback serve` and `ringback dev` run one
    beside the node by themselves.
    """
    if ctx.invoked_subcommand:
        if host or port or project:
            raise UsageError(
                f"--host, --port and PROJECT say how the console runs; `console "
                f"{ctx.invoked_subcommand}` goes without (another project: `ringback -C FOLDER …`)"
            )
        return 0
    flags = {"console_host": host, "console_port": port}
    try:
        settings = here().settings(Path(project) if project else None, **flags)
    except ConfigError as error:  # it knows them by the names of the settings
        raise ConfigError(
            [str(problem).replace("--console-", "--") for problem in error.problems]
        ) from None
    if not supervised and not project:
        place = here().databases()
        settings = replace(settings, data=place.data, database_url=place.url)
    from ringback.console.main import serve

    set_up_logging(settings)
    key = "" if supervised else secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        if supervised:
            return
        wild = next((each for each in WILD if url.startswith(f"http://{each}:")), "")
        click.echo(f"ringback: the console is at {url.replace(wild, WILD.get(wild, ''), 1)}"
                   f"/console/in#{key}")  # fmt: skip
        if wild and not settings.console_url:
            click.echo(f"ringback: {ELSEWHERE}", err=True)

    try:
        return serve(
            settings, surroundings_of(settings), supervised=supervised, key=key, on_ready=ready
        )
    except HeldError as error:
        beside = BESIDE if "console with pid" in str(error) else ""
        raise HeldError(f"{error}{beside}") from None


for _command in (users, tokens, sessions):
    console.add_command(_command)
