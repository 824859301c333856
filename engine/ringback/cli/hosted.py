"""A project whose plugins are imported in another process, so that none can hang a command.

That process is forked from this one once the engine is imported, which both of them need. Where
more runs in this process than a command, it is started as a program of its own, first of all.
"""

import asyncio
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from ringback.cli.project_context import alone
from ringback.config import Settings
from ringback.errors import PluginError
from ringback.worker.hosts.server_link import (
    PLUGIN_SECONDS,
    Launched,
    command_for,
    launch,
    start_server,
)

if TYPE_CHECKING:
    from ringback.plugins.loader import PluginSet
    from ringback.plugins.manifest import Manifest
    from ringback.project import Project


def described(settings: Settings) -> "Project":
    """The project without the code of its plugins. Each is imported elsewhere, within its limit;
    one that takes longer is a problem. Raises PluginError when no process can be started."""
    process = launched(settings)
    from ringback.project import Project

    return Project.described(settings, _manifest(settings, process))


def described_soon(settings: Settings) -> "Project | None":
    """The same; None when the plugins take longer than a node would wait for them."""
    process = launched(settings)
    from ringback.project import Project

    try:
        return Project.described(settings, _manifest(settings, process, PLUGIN_SECONDS))
    except (TimeoutError, PluginError):
        return None


def proven(settings: Settings) -> "PluginSet":
    """The plugins that could be imported elsewhere in time, imported here too."""
    process = launched(settings)
    from ringback.plugins.loader import load_plugins

    names = [each.name for each in _manifest(settings, process).plugins.plugins]
    return load_plugins(
        settings.project / "plugins", only=names,
        entry_points=tuple(name for name in settings.entry_points if name in names),
        config=settings.plugin_config, environ=settings.environ,
    )  # fmt: skip


def launched(settings: Settings) -> Launched | None:
    """The process that imports the plugins; None where there are none."""
    command = command_for(settings, dict(os.environ))
    if not command.wanted():
        return None
    # Threads first: in one of them there is no command whose place could be asked for.
    if threading.active_count() > 1 or not alone():
        return launch(command)
    import ringback.project  # noqa: F401 - heavy, and from now on in both processes
    from ringback.cli.plugin_hosts import forked
    from ringback.worker.hosts.process.branch import branch

    return branch(command, partial(forked, settings.project))


def _manifest(
    settings: Settings, process: Launched | None, seconds: float | None = None
) -> "Manifest":
    """What that process says of the plugins. Raises TimeoutError after so many seconds."""
    from ringback.plugins.manifest import Manifest

    command = command_for(settings, dict(os.environ))

    async def ask() -> Manifest:
        async with asyncio.timeout(seconds):
            link, manifest = await start_server(command, process)
            await link.close()
            return manifest

    return asyncio.run(ask()) if process is not None else Manifest()
