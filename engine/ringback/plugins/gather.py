"""Rules of a project: those of its files and those of its plugins, in one language."""

from dataclasses import replace
from pathlib import Path

from ringback.plugins.loader import PluginSet
from ringback.rules.files.load import Loaded, compile_rule, load_rules
from ringback.rules.model import Rule


def gather(plugins: PluginSet, files: Path) -> Loaded:
    """Load the rules of a folder or file and compile those of the plugins, with the functions and
    steps that the plugins bring. The problems are those of both."""
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
