"""Rows of plugins: what each adds and how it fares, as the shell and the console list them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ringback.errors import Problem
from ringback.plugins.loader import Plugin, PluginSet


def rows_of(
    plugins: PluginSet, problems: Iterable[Problem], trouble: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """A row for each plugin in use, for each that did not load, and for each that is off. `trouble`
    is what the journal says of some, by their names."""
    return [
        *(_row(plugin, trouble or {}) for plugin in plugins.plugins),
        *_left_out(problems),
        *({"name": name, "state": "off"} for name in plugins.disabled),
    ]


def _row(plugin: Plugin, trouble: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "origin": plugin.origin,
        "version": plugin.version,
        "state": trouble.get(plugin.name, "good"),
        "rules": ", ".join(rule.removeprefix(f"{plugin.name}.") for rule in plugin.rules),
        "hooks": ", ".join(plugin.hooks),
        "functions": ", ".join(plugin.functions),
        "steps": ", ".join(plugin.steps),
        "about": plugin.doc,
        "path": str(plugin.path),
    }


def _left_out(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """A row for each plugin that did not load, with its first problem."""
    rows: dict[str, dict[str, Any]] = {}
    for each in problems:
        path = Path(each.file)
        if path.suffix == ".py":
            name = path.parent.name if path.name == "__init__.py" else path.stem
            rows.setdefault(
                name, {"name": name, "state": f"left out: {each.message}", "path": each.file}
            )
    return list(rows.values())
