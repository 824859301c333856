"""Project: the settings, rules and plugins of one folder, put together.

Plugins come first, because they add functions and steps to the rule language. Then the rule files
and the rules of plugins compile to one `RuleSet`. What is wrong is collected, never raised: a
problem leaves out the rule or plugin that has it, and the caller decides what that means.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.errors import Problem
from ringback.plugins.channel_calls import channel_calls
from ringback.plugins.loader import PluginSet, load_plugins
from ringback.plugins.manifest import Manifest
from ringback.rules.addresses import bad_number
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import Loaded, compile_rule, load_rules
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.model import Rule, every_step
from ringback.settings_mistakes import line_of
from ringback.settings_values import read_file

BROUGHT = ("unknown step ", "unknown function ")
"""How problems begin that a missing plugin may be the reason of."""


@dataclass(frozen=True)
class Project:
    """What a worker works with. `problems` is empty when everything of the folder is good;
    `left_out` are the rules of files that are wrong, each with its place."""

    settings: Settings
    ruleset: RuleSet
    plugins: PluginSet
    problems: list[Problem]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def plugin_problems(self) -> list[Problem]:
        """Those of the problems that are of plugins."""
        return _relative(self.plugins.problems, self.settings.project)

    def refusals(self, *, missing: bool = False) -> list[Problem]:
        """What keeps a node from starting: wrong settings and rules, and no fault of a plugin.

        While a plugin is wrong, or some are `missing` because they are still being imported, a
        word of a rule that it may bring is no reason either: the worker leaves that rule out, and
        says so.
        """
        faults = [each for each in self.plugin_problems if each.kind != "config"]
        lenient = missing or bool(faults)
        return [
            each
            for each in self.problems
            if each not in faults and not (lenient and each.message.startswith(BROUGHT))
        ]

    @classmethod
    def load(
        cls,
        settings: Settings,
        *,
        before: Callable[[str, Path], None] | None = None,
        without: Mapping[str, Problem] | None = None,
    ) -> "Project":
        """Read `rules/` and `plugins/` of the project. Never raises for what is in them.

        `before` and `without` are those of `load_plugins`.
        """
        plugins = load_plugins(
            settings.project / "plugins",
            entry_points=settings.entry_points,
            config=settings.plugin_config,
            environ=settings.environ,
            before=before,
            without=without,
        )
        return cls._of(settings, plugins)

    @classmethod
    def described(cls, settings: Settings, manifest: Manifest) -> "Project":
        """The same project where its plugins are not imported, but for those that extend the
        engine itself: a process that has them says in `manifest` what they are."""
        if not manifest.data:  # there are none, and nobody has checked the rules yet
            return cls._of(settings, manifest.plugins)
        extending = {each.name for each in manifest.plugins.plugins if each.extends}
        if extending:
            load_plugins(
                settings.project / "plugins", only=extending,
                entry_points=tuple(each for each in settings.entry_points if each in extending),
                config=settings.plugin_config, environ=settings.environ,
            )  # fmt: skip
        project = cls._of(settings, manifest.plugins)
        rules = [rule for rule in project.ruleset.rules if rule.name in manifest.rules]
        wrong = {rule.name: f"in {rule.file}, line {rule.line}" for rule in project.ruleset.rules}
        left_out = {name: place for name, place in wrong.items() if name not in manifest.rules}
        others = [each for each in manifest.problems if each not in project.problems]
        return replace(
            project, ruleset=RuleSet(rules, project.ruleset.language),
            problems=_relative([*project.problems, *others], settings.project),
            left_out={**project.left_out, **left_out},
        )  # fmt: skip

    @classmethod
    def _of(cls, settings: Settings, plugins: PluginSet) -> "Project":
        loaded = gather(plugins, settings.project / "rules")
        problems = [
            *_channel_problems(settings), *_credential_problems(loaded.rules, settings),
            *_sender_problems(settings), *loaded.problems,
            *_doubles(loaded.rules), *_unpriced(loaded.rules, settings),
            *_unheard(loaded.rules, settings),
        ]  # fmt: skip
        return cls(
            settings,
            RuleSet(loaded.rules, loaded.language),
            plugins,
            _relative(problems, settings.project),
            loaded.left_out,
        )


def gather(plugins: PluginSet, files: Path | Iterable[Path]) -> Loaded:
    """Load the rules of a folder, or of these files, and compile those of the plugins, with the
    functions and steps that the plugins bring. The problems are those of both."""
    loaded = load_rules(files, functions=plugins.functions, steps=plugins.steps)
    rules = list(loaded.rules)
    problems = [*plugins.problems, *loaded.problems]
    for spec in plugins.specs:
        compiled = compile_rule(spec, loaded.language)
        if isinstance(compiled, Rule):
            rules.append(compiled)
        else:
            problems += compiled
    return replace(loaded, rules=tuple(rules), problems=problems)


def _channel_problems(settings: Settings) -> list[Problem]:
    if not settings.channels and not settings.escalations:
        return []
    from ringback.gateway.channels import Channels  # what it needs is heavy, and few have channels
    from ringback.gateway.escalation_tables import problems
    from ringback.gateway.safe_http import Outbound

    channels = Channels(settings.channels, Outbound(), environ=settings.environ)
    wrong = [*channels.problems, *problems(settings.escalations, settings.channels)]
    return [Problem("ringback.toml", 0, 0, "config", line) for line in wrong]


def _credential_problems(rules: Iterable[Rule], settings: Settings) -> list[Problem]:
    """Credentials that are set up wrongly, that a rule names and that are not there, and addresses
    that they are not for."""
    uses = [
        (rule, step) for rule in rules for step in every_step(rule.steps)
        if step.kind == "http" and step.params["auth"]
    ]  # fmt: skip
    if not settings.credentials and not uses:
        return []
    from ringback.gateway.web_credentials import WebCredentials  # few have any

    found = WebCredentials(settings.credentials, settings.environ)
    problems = [Problem("ringback.toml", 0, 0, "config", line) for line in found.problems]
    for rule, step in uses:
        name, hint, wrong = step.params["auth"], "", ""
        if name in found:
            wrong = found.wrong_host(name, _fixed_address(step.params["url"]))
        elif name not in settings.credentials:
            wrong = f"no credentials are called {name!r}"
            hint = did_you_mean(name, found) or f"add [credentials.{name}] to ringback.toml"
        if wrong:
            problems.append(Problem(rule.file, step.line, 1, "name", wrong, hint=hint))
    return list(dict.fromkeys(problems))


def _fixed_address(url: Any) -> str:
    """An address as far as it is known before a rule runs; empty when its host is not."""
    if isinstance(url, str):
        return url
    written = url.parts[0] if isinstance(url.parts[0], str) else ""
    return written if "/" in written.partition("://")[2] else ""


def _sender_problems(settings: Settings) -> list[Problem]:
    """A number of ours that no telephone can have. A service or a name is looked at by nobody."""
    if not settings.sender.rpartition(":")[2].startswith("+"):
        return []
    wrong = bad_number(settings.sender)
    layer, _, variable = settings.sources.get("sender", "").partition(" ")
    line = line_of(read_file(settings.project / layer, []), ["sender"]) if not variable else 0
    message = f"{variable or 'sender'}: {wrong}"
    return [Problem(layer, line, min(line, 1), "config", message)] if wrong else []


def _doubles(rules: Iterable[Rule]) -> list[Problem]:
    """A name stands for one rule: runs, strikes and `once_within` are kept under it."""
    first: dict[str, Rule] = {}
    problems = []
    for rule in rules:
        earlier = first.setdefault(rule.name, rule)
        if earlier is not rule and earlier.file != rule.file:
            message = f"rule {rule.name!r} is defined in {earlier.file}:{earlier.line} already"
            problems.append(
                Problem(rule.file, rule.line, 1, "schema", message, hint="give it another name")
            )
    return problems


def _unpriced(rules: Iterable[Rule], settings: Settings) -> list[Problem]:
    """A budget of money means nothing before a segment has a price."""
    hint = "set RINGBACK_SEGMENT_PRICE (segment_price in ringback.toml)"
    return [
        Problem(
            rule.file, rule.line, 1, "schema",
            f"the budget of rule {rule.name!r} has a price_per_day, and segments have no price",
            hint=hint,
        )
        for rule in rules
        if rule.budget and rule.budget.price_per_day and not settings.segment_price
    ]  # fmt: skip


def _unheard(rules: Iterable[Rule], settings: Settings) -> Iterator[Problem]:
    """Notices of rules and settings through a channel that is not there."""
    uses = (use for use in _uses(rules, settings) if not use.user.startswith("escalation "))
    return (_unknown(use, settings) for use in uses if _is_unknown(use, settings))


@dataclass(frozen=True, slots=True)
class _Use:
    """One place that names a channel; `where` is what stands in front of the problem there."""

    via: str
    user: str
    file: str
    line: int = 0
    column: int = 0
    kind: str = "name"
    where: str = ""


def _uses(rules: Iterable[Rule], settings: Settings) -> Iterator[_Use]:
    for rule in rules:
        for step in every_step(rule.steps):
            via = step.params.get("via") if step.kind == "notify" else ""
            if isinstance(via, str) and via:
                yield _Use(via, f"rule {rule.name}", rule.file, step.line, 1)
    for name, table in settings.escalations.items():
        for via in _told(table):
            yield _Use(via, f"escalation {name}", "ringback.toml")
    for name, table in settings.plugin_config.items():
        via = table.get("via")
        if isinstance(via, str) and via:
            where = f"[plugins.{name}] via: "
            yield _Use(via, f"plugin {name}", "ringback.toml", kind="config", where=where)


def _told(table: Mapping[str, Any]) -> Iterator[str]:
    """The channels in the steps of an escalation, which is checked elsewhere: only for the list."""
    steps = table.get("steps")
    for step in steps if isinstance(steps, list | tuple) else ():
        tell = step.get("tell") if isinstance(step, Mapping) else None
        names = [tell] if isinstance(tell, str) else tell
        yield from (each for each in names if isinstance(each, str)) if names else ()


def _code_uses(settings: Settings) -> Iterator[_Use]:
    for call in channel_calls(settings.project / "plugins"):
        yield _Use(
            call.via, f"plugin {call.file.stem}", str(call.file), call.line, call.column, "plugin"
        )


def _is_unknown(use: _Use, settings: Settings) -> bool:
    return use.via not in ("log", "webhook", *settings.channels)


def _unknown(use: _Use, settings: Settings) -> Problem:
    known = ("log", "webhook", *settings.channels)
    hint = did_you_mean(use.via, known) or f"there are: {', '.join(known)}"
    message = f"{use.where}no channel is called {use.via!r}"
    return Problem(use.file, use.line, use.column, use.kind, message, hint=hint)


def unheard_code(settings: Settings) -> list[Problem]:
    """Notices in the code of plugins through a channel that is not there. They keep no node from
    starting: the code may never come to them."""
    found = [_unknown(use, settings) for use in _code_uses(settings) if _is_unknown(use, settings)]
    return _relative(found, settings.project)


def channel_users(project: Project) -> dict[str, set[str]]:
    """The channels that anything names, each with the rules and plugins that do."""
    found: dict[str, set[str]] = {}
    rules, settings = project.ruleset.rules, project.settings
    for use in (*_uses(rules, settings), *_code_uses(settings)):
        found.setdefault(use.via, set()).add(use.user)
    return found


_TABLE = re.compile(r"\[([\w.-]+)\] ?([\w.$-]*)")


def _placed(problem: Problem, root: Path) -> Problem:
    """A problem of the settings, with the line of the table and key that it begins with."""
    found = _TABLE.match(problem.message)
    path = [*found[1].split("."), *filter(None, found[2].split("."))] if found else []
    if "'" in problem.message and not path and problem.kind == "plugin":
        path = ["entry_points"]
    text = read_file(root / problem.file, [])
    line = line_of(text, path) if path else 0
    source = text.splitlines()[line - 1] if line else ""
    return replace(problem, line=line, column=1 if line else 0, source=source)


def _relative(problems: list[Problem], root: Path) -> list[Problem]:
    """Problems with their files named as seen from the project, in the order of the files."""

    def inside(file: str) -> str:
        path = Path(file)
        return str(path.relative_to(root)) if path.is_relative_to(root) else file

    named = [replace(problem, file=inside(problem.file)) for problem in problems]
    named = [
        _placed(each, root) if each.file == "ringback.toml" and not each.line else each
        for each in named
    ]
    return sorted(named, key=lambda problem: (problem.file, problem.line, problem.column))
