"""A function that a plugin adds to the language of conditions and texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
