"""Tables of the JSON API for its page of the manual, from the declarations of its resources."""

from collections.abc import Iterable, Iterator

from ringback.console.api.lists import PAGING
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Resource
from ringback.console.problems import KINDS

_PAGING = {each.name for each in PAGING}


def tables(resources: Iterable[Resource]) -> str:
    """The part of the page about the resources: what each can be asked, and by which role."""
    return "\n\n".join("\n".join(_lines(each)) for each in resources) + "\n"


def problems() -> str:
    """The table of the kinds of problems."""
    rows = [
        f"| `{slug}` | {kind.status} | {kind.title}. {kind.mend} |" for slug, kind in KINDS.items()
    ]
    return "\n".join(("| problem | status | what it says |", "|---|---|---|", *rows)) + "\n"


def _lines(resource: Resource) -> Iterator[str]:
    yield f"### {resource.name}\n\n{resource.about}\n\n| request | role | answer |\n|---|---|---|"
    found: dict[str, Parameter] = {}
    for endpoint in resource.endpoints:
        yield f"| `{endpoint.method} {endpoint.path}` | `{endpoint.role}` | {endpoint.about} |"
        for each in (*endpoint.parameters, *endpoint.body):
            found.setdefault(each.name, each)
    shown = [each for name, each in found.items() if name not in _PAGING]
    if shown:
        yield "\n| parameter | meaning |\n|---|---|"
        yield from (f"| `{each.name}` | {each.about}{_choices(each)} |" for each in shown)


def _choices(parameter: Parameter) -> str:
    if not parameter.choices:
        return ""
    names = ", ".join(f"`{each}`" for each in parameter.choices)
    several = parameter.kind == "list"
    return f" Some of {names}, with commas between." if several else f" One of {names}."
