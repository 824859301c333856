"""Table of planted faults: what is changed in which file, and which tests must notice it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("faults.toml")


@dataclass(frozen=True, slots=True)
class Change:
    """One text in a file below `engine/ringback`, which is there once, and what stands there with
    the fault."""

    file: str
    find: str
    put: str

    @property
    def path(self) -> Path:
        """The file, from the root of the tree."""
        return Path("engine/ringback") / self.file


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with a name, by its changes. `tests` are those that must notice it, as pytest names
    them, below `tests`."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]


def faults() -> tuple[Fault, ...]:
    """All planted faults."""
    return tuple(
        Fault(each["name"], tuple(Change(**one) for one in each["change"]), tuple(each["tests"]))
        for each in tomllib.loads(TABLE.read_text("utf-8"))["fault"]
    )


def outdated(fault: Fault, root: Path = ROOT) -> list[str]:
    """The changes whose text is not found exactly once any more."""
    problems = []
    for change in fault.changes:
        path = root / change.path
        count = path.read_text("utf-8").count(change.find) if path.is_file() else -1
        if count != 1:
            where = f"is {count} times in" if count >= 0 else "was in"
            problems.append(f"{fault.name}: {change.find!r} {where} {change.file}")
    return problems
