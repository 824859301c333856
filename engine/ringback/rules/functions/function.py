"""Functions of conditions and texts: those of the language, and those that a plugin adds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Builtin:
    """One overload of a function. `member` says that the first argument stands before the dot."""

    name: str
    args: tuple[str, ...]
    returns: str
    member: bool
    call: Callable[..., Any]
    doc: str
    example: str

    @property
    def signature(self) -> str:
        """How the function is written: `text.keyword(list(string))`."""
        if self.member:
            return f"{self.args[0]}.{self.name}({', '.join(self.args[1:])})"
        return f"{self.name}({', '.join(self.args)})"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a plugin for conditions and texts. Types are CEL's words.

    It can be called free, `f(event.body)`, and as member of its first argument, `event.body.f()`.
    """

    name: str
    call: Callable[..., Any]
    args: tuple[str, ...]
    returns: str
    doc: str = ""
    plugin: str = ""
