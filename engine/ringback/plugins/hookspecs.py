"""Hook specifications: the exact names and arguments that a plugin may implement.

pluggy reads this page to check every plugin at load: an unknown hook or an argument that a hook
does not have is a problem with its place, never a function that is silently not called. An
implementation names the arguments that it wants and may leave out the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from ringback.actions import Action
    from ringback.events import Event
    from ringback.plugins.context import Context, SettledAction
    from ringback.plugins.registry import FunctionRegistrar, StepRegistrar

PROJECT = "ringback"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def on_event(event: Event, ctx: Context) -> Action | list[Action] | Any | None:
    """See every event that rules may see, after it was recorded. Return actions, as a rule does.

    Sync or async, under the same time limit as a rule. Prefer `@rule` when one type of event is
    enough: it shows in the trace why it did not fire.
    """


@hookspec
def on_settled(action: SettledAction, ctx: Context) -> Action | list[Action] | Any | None:
    """Hear the end of an action: delivered, failed, refused or parked. Return actions, or nothing.

    Called once for each action that leaves the states in which more may come. Sync or async.
    """


@hookspec
def register_steps(register: StepRegistrar) -> None:
    """Add steps that rule files may use under `do:`, by `register(name, function)`.

    Called once at load. The function's own parameters are the step's parameters.
    """


@hookspec
def register_functions(register: FunctionRegistrar) -> None:
    """Add functions that conditions and texts may call, by `register(name, function)`.

    Called once at load. Types come from the annotations, so that a wrong use is found at load.
    """


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to the shell: `@cli.command()` on click functions.

    Called when a `ringback` command starts inside a project folder. Never asked of the receiver.
    """


@hookspec
def startup(ctx: Context) -> Any | None:
    """A plugin host begins: check the configuration and raise ValueError to say what is wrong.

    Called once in each process that runs handlers, before the first of them. What it raises is
    logged under the plugin's name; the host goes on. Sync or async.
    """


@hookspec
def shutdown(ctx: Context) -> Any | None:
    """A plugin host ends in good order: release what `startup` took. Sync or async.

    Not called when the process is killed, so nothing may depend on it.
    """


HOOKS: tuple[str, ...] = (
    "on_event",
    "on_settled",
    "register_steps",
    "register_functions",
    "register_commands",
    "startup",
    "shutdown",
)
"""Every hook, in the order in which the manual explains them."""
