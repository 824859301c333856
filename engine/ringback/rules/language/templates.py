"""Templates: `${{ CEL }}` inside a text of a rule, typed when it is loaded.

Only what a rule file says between `${{` and `}}` is evaluated. What an event brings along is data:
it is put in as it is and never read again. `$${{` writes a plain `${{`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.messages import Complaint
from ringback.rules.language.scope import Scope
from ringback.rules.language.tokens import tokens
from ringback.rules.timing.durations import format_duration

CAP = 4096
"""The longest rendered text, in letters, where a step names no other: longer ones are cut."""

PRINTABLE = (
    "string", "int", "uint", "double", "bool", "timestamp", "duration", "list(string)", "dyn",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A text with its expressions compiled. Without any it is the plain text."""

    source: str
    parts: tuple[str | Program, ...]
    cap: int = CAP

    def render(self, scope: Scope) -> str | Fault:
        """The text in this scope, cut to the cap; a `Fault` when an expression fails."""
        rendered: list[str] = []
        left = self.cap
        for part in self.parts:
            if left <= 0:
                break
            if isinstance(part, str):
                text = part
            else:
                value = part.evaluate(scope)
                if isinstance(value, Fault):
                    return Fault(f"${{{{ {part.source.strip()} }}}}: {value.message}")
                text = as_text(value)
            rendered.append(text[:left])
            left -= len(text)
        return "".join(rendered)

    def render_list(self, scope: Scope) -> list[str] | Fault:
        """The same as a list: several texts when the one expression in it is a list."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Program):
            value = self.parts[0].evaluate(scope)
            if isinstance(value, list):
                return [as_text(item)[: self.cap] for item in value]
        text = self.render(scope)
        return text if isinstance(text, Fault) else [text]


def as_text(value: Any) -> str:
    """A value as people write it in a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, list | tuple):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {as_text(item)}" for key, item in value.items())
    return "" if value is None else str(value)


def split_template(source: str) -> list[tuple[str, int, bool]] | Complaint:
    """The pieces of a text: (piece, its offset, whether it is an expression)."""
    pieces: list[tuple[str, int, bool]] = []
    start = 0
    plain = ""
    while True:
        opening = source.find("${{", start)
        if opening < 0:
            plain += source[start:]
            break
        if opening > 0 and source[opening - 1] == "$":
            plain += source[start : opening - 1] + "${{"
            start = opening + 3
            continue
        closing = _closing(source, opening + 3)
        if closing < 0:
            return Complaint(opening, "syntax", "'${{' has no '}}'")
        plain += source[start:opening]
        if plain:
            pieces.append((plain, start, False))
            plain = ""
        pieces.append((source[opening + 3 : closing], opening + 3, True))
        start = closing + 2
    if plain or not pieces:
        pieces.append((plain, start, False))
    return pieces


def _closing(source: str, start: int) -> int:
    depth = 0
    before = None
    for word in tokens(source[start:]):
        if word.text == "{":
            depth += 1
        elif word.text == "}":
            if depth == 0 and before is not None and before.end == word.start:
                return start + before.start
            before = word if depth == 0 else None
            depth = max(0, depth - 1)
            continue
        before = None
    return -1


def compile_template(
    source: str, language: Language, *, running: bool = True
) -> Template | list[Complaint]:
    """Compile a text, with every complaint about every expression in it."""
    pieces = split_template(source)
    if isinstance(pieces, Complaint):
        return [pieces]
    parts: list[str | Program] = []
    found: list[Complaint] = []
    for text, offset, is_expression in pieces:
        if not is_expression:
            parts.append(text)
            continue
        program = language.compile(text, want=PRINTABLE, running=running)
        if isinstance(program, Program):
            parts.append(program)
        else:
            found += [
                Complaint(each.offset + offset, each.kind, each.message, each.hint)
                for each in program
            ]
    return found or Template(source, tuple(parts))
