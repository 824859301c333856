"""Assembly: rules and plugins of a folder put together for a bench, as a node would have them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ringback.config import Settings, is_project
from ringback.errors import Problem, RuleErrors
from ringback.plugins.loader import PluginSet, load_plugins
from ringback.project import gather
from ringback.rules.engine.ruleset import RuleSet
from ringback.testing.limits import within_limits

STEP_SECONDS = 5.0


def settings_of(project: Path) -> Settings | None:
    """The settings of a project folder that has any. Raises ConfigError when they are wrong, and
    RuleErrors for a folder that is no project, of which nothing would be loaded."""
    if not is_project(project):
        raise RuleErrors([no_project(project)])
    if any((project / name).is_file() for name in ("ringback.toml", ".env")):
        return Settings.load(project, os.environ, {})
    return None


def plugins_of(
    project: Path, config: Mapping[str, Mapping[str, Any]] | None, settings: Settings | None
) -> PluginSet:
    """The plugins of a project folder, with `config` or, without it, as its settings have them."""
    if config is not None or settings is None:
        return load_plugins(project / "plugins", config=config)
    return load_plugins(
        project / "plugins",
        entry_points=settings.entry_points,
        config=settings.plugin_config,
        environ=settings.environ,
    )


def ruleset_of(
    plugins: PluginSet, files: Path | Iterable[Path], seconds: float = STEP_SECONDS
) -> tuple[RuleSet, list[Problem]]:
    """The rules of a folder, a file or several with those of plugins, and what is wrong with them.

    `seconds` is what a step of a plugin may take.
    """
    loaded = gather(within_limits(plugins, seconds), files)
    return RuleSet(loaded.rules, loaded.language), loaded.problems


def no_plugin(place: Path) -> Problem:
    """What is wrong with a place from which nothing was loaded."""
    hint = "a file whose name begins with _ or . is a helper of plugins; give it a plain name"
    return Problem(str(place), 0, 0, "plugin", "is no plugin: nothing was loaded", hint=hint)


def no_project(place: Path) -> Problem:
    """What is wrong with a folder that is no project, so that nothing of it would be loaded."""
    hint = "name the project's folder, a plugin or a rule file"
    return Problem(
        str(place), 0, 0, "file", "is no project: no ringback.toml, rules/ or plugins/", hint=hint
    )
