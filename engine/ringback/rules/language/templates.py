"""Templates: `${{ CEL }}` inside a text of a rule, typed when it is loaded.

Only what a rule file says between `${{` and `}}` is evaluated. What an event brings along is data:
it is put in as it is and never read again. `$${{` writes a plain `${{`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.complaints import Complaint
from ringback.rules.language.named_values import NO_NAMES, Names
from ringback.rules.language.numbers import number_text
from ringback.rules.language.scope import Scope
from ringback.rules.language.tokens import tokens
from ringback.rules.timing.durations import format_duration

CAP = 4096
"""The longest rendered text, in letters, where a step names no other: longer ones are cut."""
DATA_CAP = 16384
"""The longest of the texts that are data for a machine, or kept: those are never cut."""

PRINTABLE = (
    "string", "int", "uint", "double", "bool", "timestamp", "duration", "list(string)", "dyn",
    "list(int)", "list(double)", "list(dyn)",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A text with its expressions compiled. Without any it is the plain text.

    Of a `typed` one that is a single expression the value keeps its type. In a `url` values are
    encoded where they stand. One that is `whole` means nothing when it is cut, as an address does.
    """

    source: str
    parts: tuple[str | Program, ...]
    cap: int = CAP
    typed: bool = False
    url: bool = False
    whole: bool = False

    def render(self, scope: Scope) -> str | Fault:
        """The text in this scope, cut to the cap; a `Fault` when an expression fails, or when it is
        to be whole and is longer."""
        rendered: list[str] = []
        written = ""
        left = self.cap
        for part in self.parts:
            if left <= 0 and not self.whole:
                break
            if isinstance(part, str):
                text = part
                written += part
            else:
                value = part.evaluate(scope)
                if isinstance(value, Fault):
                    return _blamed(part, value)
                text = as_text(value)
                written += "value"
                if self.url:
                    text = _in_url("".join(rendered), text)
            rendered.append(text if self.whole else text[:left])
            left -= len(text)
        if left < 0 and self.whole:
            return self._long(self.cap - left)
        whole = "".join(rendered)
        return (_climbing(whole, written) if self.url else None) or whole

    @property
    def alone(self) -> Program | None:
        """The expression, when the text is nothing else."""
        first = self.parts[0] if len(self.parts) == 1 else None
        return first if isinstance(first, Program) else None

    def kept_value(self, scope: Scope) -> Any:
        """The value as it is, with its type; of several parts the text."""
        if self.alone is None:
            return self.render(scope)
        value = self.alone.evaluate(scope)
        return _blamed(self.alone, value) if isinstance(value, Fault) else value

    def render_value(self, scope: Scope) -> Any:
        """The text, or of a typed one the value as JSON data: a whole number has no fraction, and
        moments and spans are as in a text."""
        alone = self.alone if self.typed else None
        if alone is None:
            return self.render(scope)
        value = alone.evaluate(scope)
        return _blamed(alone, value) if isinstance(value, Fault) else _data(value)

    def render_list(self, scope: Scope) -> list[Any] | Fault:
        """The same as a list: several texts when the one expression in it is a list."""
        if self.alone is not None:
            value = self.alone.evaluate(scope)
            if isinstance(value, list):
                found = [_data(item) if self.typed else as_text(item) for item in value]
                longest = max((len(item) for item in found if isinstance(item, str)), default=0)
                too_long = self.whole and not self.typed and longest > self.cap
                return self._long(longest) if too_long else found
        text = self.render_value(scope)
        return text if isinstance(text, Fault) else [text]

    def _long(self, size: int) -> Fault:
        source = self.source if len(self.source) < 60 else f"{self.source[:60]}…"
        return Fault(f"{source} has {size} letters, {self.cap} at most")


def _blamed(part: Program, fault: Fault) -> Fault:
    return Fault(f"${{{{ {part.source.strip()} }}}}: {fault.message}")


def as_text(value: Any) -> str:
    """A value as people write it in a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, list | tuple):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {as_text(item)}" for key, item in value.items())
    return "" if value is None else str(value)


def _in_url(before: str, text: str) -> str:
    """A value as it stands behind this beginning of an address, where it can end nothing.

    With nothing before it the value is the address, or its beginning. In the name of the host a
    port may follow. https://www.rfc-editor.org/rfc/rfc3986#section-2
    """
    scheme, sign, rest = before.partition("://")
    path = rest if sign else scheme
    if any(each in path for each in "/?#"):
        return quote(text, safe="")
    return quote(text, safe=":") if sign else text


def _climbing(url: str, written: str) -> Fault | None:
    """The fault of an address of which a value has made a part `.` or `..`.

    No encoding keeps it from meaning another address.
    https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4
    """
    parts = zip(reversed(_path(url)), reversed(_path(written)), strict=False)
    for part, plain in parts:
        if part in (".", "..") and part != plain:
            return Fault(f"a value makes `/{part}/` of a part of the address: that is another one")
    return None


def _path(url: str) -> list[str]:
    _, sign, rest = url.partition("://")
    return re.split("[?#]", rest if sign else url)[0].split("/")[1:]


def _data(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_data(item) for item in value]
    if isinstance(value, Mapping):
        return {as_text(key): _data(item) for key, item in value.items()}
    if isinstance(value, float):  # the same figures as in a text
        return float(number_text(value)) if math.isfinite(value) else as_text(value)
    known = value is None or isinstance(value, str | bool | int | float)
    return value if known else as_text(value)


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
    source: str,
    language: Language,
    *,
    running: bool = True,
    typed: bool = False,
    names: Names = NO_NAMES,
) -> Template | list[Complaint]:
    """Compile a text, with every complaint about every expression in it. A `typed` one that is a
    single expression may have a value of any type."""
    pieces = split_template(source)
    if isinstance(pieces, Complaint):
        return [pieces]
    parts: list[str | Program] = []
    found: list[Complaint] = []
    want = () if typed and len(pieces) == 1 else PRINTABLE
    for text, offset, is_expression in pieces:
        if not is_expression:
            parts.append(text)
            continue
        program = language.compile(text, want=want, running=running, names=names)
        if isinstance(program, Program):
            parts.append(program)
        else:
            found += [
                Complaint(each.offset + offset, each.kind, each.message, each.hint)
                for each in program
            ]
    return found or Template(source, tuple(parts), typed=typed)
