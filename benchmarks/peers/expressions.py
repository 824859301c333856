"""Expression libraries for comparison, over the rules and events on stdin: `{name, rules,
events}`.

Prints the microseconds for one event with all rules, and how many rules fired. Everything that can
be made before the events come is made before.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any


def cel_python(rules: list[str]) -> Callable[[dict[str, Any]], int]:
    """The pure Python implementation of CEL."""
    import celpy

    environment = celpy.Environment()
    programs = [environment.program(environment.compile(rule)) for rule in rules]

    def fired(event: dict[str, Any]) -> int:
        named = {"from" if name == "sender" else name: value for name, value in event.items()}
        activation = {"event": celpy.json_to_cel(named)}
        return sum(bool(program.evaluate(activation)) for program in programs)

    return fired


def jinja2(rules: list[str]) -> Callable[[dict[str, Any]], int]:
    """Jinja2's compiled expressions, with a test for patterns as Ansible has one."""
    from jinja2 import Environment

    environment = Environment()
    environment.tests["search"] = lambda text, pattern: bool(re.search(pattern, text))
    compiled = [environment.compile_expression(rule) for rule in rules]
    return lambda event: sum(bool(each(**event)) for each in compiled)


def rule_engine(rules: list[str]) -> Callable[[dict[str, Any]], int]:
    """The library `rule-engine`."""
    import rule_engine as engine

    compiled = [engine.Rule(rule) for rule in rules]
    return lambda event: sum(each.matches(event) for each in compiled)


def main() -> None:
    work = json.load(sys.stdin)
    makers = {"cel-python": cel_python, "jinja2": jinja2, "rule-engine": rule_engine}
    fired = makers[work["name"]](work["rules"])
    events = work["events"]
    fired(events[0])
    start = time.perf_counter()
    total = sum(map(fired, events))
    seconds = time.perf_counter() - start
    json.dump({"microseconds": seconds / len(events) * 1e6, "fired": total}, sys.stdout)


if __name__ == "__main__":
    main()
