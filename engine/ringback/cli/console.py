"""The command `console`: pages and the JSON API over the data, and who may use them."""

import secrets
from dataclasses import replace
from pathlib import Path

import click

from ringback.cli.console_access import sessions, tokens, users
from ringback.cli.console_surroundings import surroundings_of
from ringback.cli.project_context import here
from ringback.cli.serve import set_up_logging


class WithProject(click.Group):
    """A group whose first argument may be a folder in place of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read a command line; before a command no folder is named."""
        for place, word in enumerate(args):
            if word in self.commands:
                return super().parse_args(ctx, [*args[:place], "", *args[place:]])
            if not word.startswith("-"):
                break
        return super().parse_args(ctx, args)


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
        return 0
    flags = {"console_host": host, "console_port": port}
    settings = here().settings(Path(project) if project else None, **flags)
    if not supervised and not project:
        settings = replace(settings, data=here().data())
    from ringback.console.main import serve

    set_up_logging(settings)
    key = "" if supervised else secrets.token_urlsafe(24)

    def ready(url: str) -> None:
        if not supervised:
            click.echo(f"ringback: the console is at {url}/console/in#{key}")

    return serve(
        settings, surroundings_of(settings), supervised=supervised, key=key, on_ready=ready
    )


for _command in (users, tokens, sessions):
    console.add_command(_command)
