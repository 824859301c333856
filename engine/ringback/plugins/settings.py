"""Settings of a plugin: its table of `ringback.toml`, read-only, checked by its model."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from ringback.errors import Problem
from ringback.plugins.invoke import suggestion
from ringback.settings_mistakes import invalid

RESERVED = ("enabled", "sha256")
"""Words of a `[plugins.NAME]` table that are ours: to switch a plugin off, and to pin its code."""

_FILE = "ringback.toml"


def config_of(
    name: str, module: ModuleType, table: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Any, list[Problem]]:
    """The configuration of a plugin and what is wrong with it.

    A value written `{"$env" = "NAME"}` is taken from the environment. When the module has a
    pydantic model called `Config`, the table is validated by it and the model is what the plugin
    gets; else a read-only mapping.
    """
    problems: list[Problem] = []
    values = {
        key: _resolved(value, environ, f"[plugins.{name}] {key}", problems)
        for key, value in table.items()
        if key not in RESERVED
    }
    model: Any = getattr(module, "Config", None)
    if problems or not hasattr(model, "model_validate"):
        return frozen(values), problems
    from pydantic import ValidationError

    known = [word for key, item in model.model_fields.items() for word in (item.alias, key) if word]
    extra = model.model_config.get("extra", "ignore")
    unknown = [key for key in values if key not in known] if extra == "ignore" else []
    problems += [
        _problem(f"[plugins.{name}] {key}: is no setting of this plugin", suggestion(key, known))
        for key in unknown
    ]
    try:
        checked = model.model_validate(values)
    except ValidationError as error:
        for each in error.errors():
            place = ".".join(str(part) for part in each["loc"])
            problems.append(_problem(f"[plugins.{name}] {place}: {invalid(each, known)}"))
        checked = None
    return (None if problems else checked), problems


def frozen(value: Any) -> Any:
    """The same value, in which nothing can be changed."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: frozen(each) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return tuple(frozen(each) for each in value)
    return value


def _resolved(value: Any, environ: Mapping[str, str], place: str, problems: list[Problem]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"$env"}:
            name = str(value["$env"])
            if name not in environ:
                problems.append(_problem(f"{place}: the environment has no {name}"))
            return environ.get(name, "")
        return {
            key: _resolved(each, environ, f"{place}.{key}", problems) for key, each in value.items()
        }
    if isinstance(value, list):
        return [_resolved(each, environ, place, problems) for each in value]
    return value


def _problem(message: str, hint: str = "") -> Problem:
    return Problem(_FILE, 0, 0, "config", message, hint=hint)
