"""A project whose plugins are imported in another process, so that none can hang a command."""

import asyncio
import os

from ringback.config import Settings
from ringback.errors import PluginError
from ringback.plugins.loader import PluginSet, load_plugins
from ringback.plugins.manifest import Manifest
from ringback.project import Project
from ringback.worker.hosts.pool import command_for
from ringback.worker.hosts.server_link import start_server


def described(settings: Settings) -> Project:
    """The project without the code of its plugins. Each is imported elsewhere, within its limit;
    one that takes longer is a problem. Raises PluginError when no process can be started."""
    return Project.described(settings, _manifest(settings))


def described_within(settings: Settings, seconds: float) -> Project | None:
    """The same; None when the plugins take longer than that altogether."""
    try:
        return Project.described(settings, _manifest(settings, seconds))
    except (TimeoutError, PluginError):
        return None


def proven(settings: Settings) -> PluginSet:
    """The plugins that could be imported elsewhere in time, imported here too."""
    names = [each.name for each in _manifest(settings).plugins.plugins]
    return load_plugins(
        settings.project / "plugins", only=names,
        entry_points=tuple(name for name in settings.entry_points if name in names),
        config=settings.plugin_config, environ=settings.environ,
    )  # fmt: skip


def _manifest(settings: Settings, seconds: float | None = None) -> Manifest:
    """What another process says of the plugins. Raises TimeoutError after so many seconds."""
    command = command_for(settings, dict(os.environ))

    async def ask() -> Manifest:
        async with asyncio.timeout(seconds):
            link, manifest = await start_server(command)
            await link.close()
            return manifest

    return asyncio.run(ask()) if command.wanted() else Manifest()
