"""A project whose plugins are imported in this process, after each was imported elsewhere in time.

A plugin that hangs at import, or ends the process, would take the command with it.
"""

from typing import TYPE_CHECKING

from ringback.cli.hosted import described
from ringback.config import Settings
from ringback.errors import RuleErrors

if TYPE_CHECKING:
    from ringback.project import Project


def check_imports(settings: Settings) -> None:
    """Import the plugins elsewhere. Raises RuleErrors that name those which cannot be imported, and
    PluginError when no process can be started."""
    faults = described(settings).plugin_problems
    if faults:
        raise RuleErrors(faults)


def import_checked(settings: Settings) -> "Project":
    """The project with the code of its plugins. Raises as `check_imports`."""
    check_imports(settings)
    from ringback.project import Project  # heavy: `hosted` imports it at its time

    return Project.load(settings)
