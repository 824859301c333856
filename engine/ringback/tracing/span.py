"""Span: one thing that was done, with its place in a trace. Immutable values."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | int | bool | float


@dataclass(frozen=True, slots=True)
class Place:
    """A span's place: its trace, its own id, and that of the span above it (0: none)."""

    trace: int
    span: int
    parent: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """One span that is over, in nanoseconds. `kind` is `internal`, `server`, `client` or
    `consumer`; `error` is empty when all went well."""

    name: str
    place: Place
    begun: int
    ended: int
    attributes: Mapping[str, Value]
    kind: str = "internal"
    error: str = ""
    events: tuple[tuple[str, int], ...] = ()
    links: tuple[tuple[int, int], ...] = ()
