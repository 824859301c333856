"""The program `ringback`: the group of all commands, and how errors end it.

Commands are named here and loaded when they are used, so that `ringback --help` stays quick.
"""

import gc
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ringback.cli.held_signals import let_signals_through
from ringback.cli.project_context import Place, find_project
from ringback.errors import ConfigError, RingbackError, RuleErrors

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init:init", "Make a project folder with starter rules and plugins."),
    "dev": ("dev:dev", "Run a node and a simulated Twilio here; needs no account."),
    "demo": ("demo.command:demo", "Play a shop's week in the simulator, to look around in."),
    "serve": ("serve:serve", "Run a node: receive webhooks and react to them."),
    "worker": ("serve:worker", "Run the worker half alone."),
    "check": ("check:check", "Check rules, plugins and settings; name every problem."),
    "test": ("test:test", "Run the cases that stand beside the rules."),
    "backtest": (
        "backtest:backtest",
        "Recorded events through the rules of today; nothing is performed.",
    ),
    "replay": ("replay:replay", "A stored event through the rules of today; dry without --send."),
    "start": ("start_rule:start", "Start a rule now, for a person, with JSON."),
    "simulate": ("simulate:simulate", "Text or call the node as somebody outside would."),
    "simulator": ("simulator:simulator", "Run the simulated Twilio alone."),
    "events": ("events:events", "What came in."),
    "trace": ("trace:trace", "Why something happened, or did not."),
    "explain": ("explain:explain", "What an error of Twilio means, and what to do."),
    "incidents": ("incidents:incidents", "What is wrong or was, and what is to be done."),
    "failures": ("failures:failures", "Texts and calls that failed, counted, and the remedies."),
    "deliveries": ("deliveries:deliveries", "How many texts arrived, and how long they took."),
    "runs": ("runs:runs", "Rules at work, and what they wait for."),
    "actions": ("actions:actions", "What was sent, and what needs a person."),
    "conversation": ("contacts:conversation", "What was said with a person."),
    "conversations": ("conversation_list:conversations", "With whom we text and call."),
    "calls": ("call_list:calls", "The calls that go on."),
    "queues": ("call_list:queues", "Who waits in which queue."),
    "contacts": ("contacts:contacts", "What is known of a person."),
    "broadcast": ("broadcast:broadcast", "One text to all of a group."),
    "groups": ("group_commands:groups", "Groups of people, and who is in them."),
    "consents": ("consent_list:consents", "Who may be texted, and who may not."),
    "spend": ("spend:spend", "What left today, what it cost, what is left of the budgets."),
    "approve": ("actions:approve", "Say yes to actions of a rule in draft."),
    "decline": ("actions:decline", "Say no to actions of a rule in draft."),
    "bulks": ("bulk_commands:bulks", "One decision about many actions or runs."),
    "doings": ("doing_list:doings", "What people did here, and what was refused to them."),
    "rules": ("rules:rules", "The rules of this project."),
    "eval": ("eval:evaluate", "What an expression of rules says of an event."),
    "plugins": ("plugins:plugins", "The plugins of this project."),
    "channels": ("channel_list:channels", "How notices reach people, and whether they do."),
    "gateway": ("gateway:gateway", "Twilio's REST API by hand."),
    "connections": ("connections:connections", "The Maton connections of your key."),
    "connect": ("connect:connect", "Point a number's webhooks to this node, and back."),
    "healthcheck": ("healthcheck:healthcheck", "Whether the node here answers, for supervisors."),
    "doctor": ("doctor:doctor", "What keeps this node from working, and the mend."),
    "pause": ("control:pause", "Hold every effect; webhooks are still recorded."),
    "resume": ("control:resume", "Let effects out again."),
    "console": ("console:console", "Pages and the JSON API over the data, and who may use them."),
    "api": ("api_schema:api", "The JSON API of the console, for programs."),
    "db": ("db:db", "Back up and check the data."),
    "cluster": ("cluster:cluster", "The PostgreSQL database of a node: its tables, its state."),
    "config": ("config:config", "The settings in force, and where each comes from."),
    "docs": ("docs:docs", "The manual: its pages, or one of them."),
}

FRESH_OBJECTS = 10_000
"""After so many new objects the collector looks for garbage. The 700 of Python are a line or two of
an import, and nearly all that a start makes stays."""

HIDDEN: dict[str, str] = {"plugin-hosts": "plugin_hosts:plugin_hosts"}
"""Commands that a process of ours starts, and no person."""


class Shell(click.Group):
    """The root group: loads a command when it is named, and plugins' commands after ours."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our commands, in the order that a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load the command of this name, from here or from a plugin of the project."""
        if name in COMMANDS or name in HIDDEN:
            place = HIDDEN[name] if name in HIDDEN else COMMANDS[name][0]
            module, _, attribute = place.partition(":")
            command: click.Command = getattr(import_module(f"ringback.cli.{module}"), attribute)
            return _with_whole_lines(command)
        return plugin_commands(ctx).get(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is named first; a typing error gets the nearest one for a hint."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], [*COMMANDS, *_listed(ctx)], 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])
        extra = _listed(ctx)
        if extra:
            with formatter.section("Commands of this project's plugins"):
                lines = [(name, each.get_short_help_str(200)) for name, each in extra.items()]
                formatter.write_dl(lines)


def _with_whole_lines(command: click.Command) -> click.Command:
    """The command, its line in listings being the whole first sentence of its help: click would cut
    it where the terminal ends."""
    if command.short_help is None and command.help:
        paragraph = " ".join(command.help.partition("\n\n")[0].split())
        command.short_help = f"{paragraph.partition('. ')[0].rstrip('.')}."
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _with_whole_lines(inner)
    return command


def plugin_commands(ctx: click.Context) -> dict[str, click.Command]:
    """The commands that the plugins of the project around us register; none outside a project."""
    project = _project(ctx)
    if not (project / "plugins").is_dir():
        return {}
    from ringback.cli.plugins import registered_commands

    return registered_commands(project)


def _listed(ctx: click.Context) -> dict[str, click.Command]:
    """The same for a listing: only their names and help are true."""
    from ringback.cli.plugin_commands import listed_commands

    known = listed_commands(_project(ctx))
    return plugin_commands(ctx) if known is None else known


def _project(ctx: click.Context) -> Path:
    given: Path | None = ctx.find_root().params.get("project")
    return given or find_project(Path.cwd())


@click.group(
    cls=Shell,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `ringback dev`. `ringback docs` has the manual.",
)
@click.option(
    "-C", "--project", type=click.Path(path_type=Path, file_okay=False), envvar="RINGBACK_PROJECT",
    help="Project folder; default: the nearest one upwards with a ringback.toml, else this one.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path, resolve_path=True, file_okay=False),
    help="Data folder to use instead of the project's.",
)  # fmt: skip
@click.version_option(package_name="ringback")
@click.pass_context
def cli(ctx: click.Context, project: Path | None, data: Path | None) -> None:
    """Event automation over Twilio: webhooks in, rules decide, texts and calls go out."""
    if ctx.invoked_subcommand not in ("serve", "worker"):
        let_signals_through()
    flags = {"data": str(data)} if data else {}
    ctx.obj = Place((project or find_project(Path.cwd())).absolute(), flags, alone=bool(ctx.obj))


def main(arguments: list[str] | None = None) -> None:
    """Run the shell and exit with the code that DESIGN names for the way it ended."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; problems go to stderr, one line each. Without
    arguments it is that of this process, which runs nothing else."""
    gc.set_threshold(FRESH_OBJECTS)
    try:
        result: Any = cli.main(
            arguments, prog_name="ringback", standalone_mode=False, obj=arguments is None
        )
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RingbackError as error:
        for line in _lines(error):
            click.echo(f"ringback: {line}", err=True)
        return error.exit_code
    except OSError as error:
        click.echo(f"ringback: {error}", err=True)
        return 74
    return result if isinstance(result, int) else 0


def _lines(error: RingbackError) -> list[str]:
    if isinstance(error, ConfigError | RuleErrors):
        return [str(problem) for problem in error.problems]
    return str(error).splitlines() or [type(error).__name__]


if __name__ == "__main__":
    main()
