"""Tokens of a CEL expression with their places, as far as our own checks need them.

CEL itself parses and types the expression. This reads it once more for what the library cannot
tell: which fields it names, where its literals stand, and what stood at the place of an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<text>(?:[bB]?[rR]|[rR]?[bB])?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"))
  | (?P<raw>[bB]?[rR][bB]?(?:'[^'\n]*'|"[^"\n]*"))
  | (?P<string>[bB]?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)[uU]?)
  | (?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])
  | (?P<bad>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word: its kind (`name string number sign bad`), its text and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset behind the last letter."""
        return self.start + len(self.text)


def tokens(source: str) -> Iterator[Token]:
    """The words of an expression without space and comments. Never fails."""
    for found in _TOKEN.finditer(source):
        kind = found.lastgroup or "bad"
        if kind != "space":
            kind = "string" if kind in ("text", "raw") else kind
            yield Token(kind, found.group(), found.start())


def literal(token: Token) -> str:
    """What a string token says, its quotes and escapes undone."""
    text = token.text
    raw = False
    while text[:1] in ("r", "R", "b", "B"):
        raw = raw or text[0] in "rR"
        text = text[1:]
    size = 3 if text[:3] in ("'''", '"""') and len(text) >= 6 else 1
    inner = text[size:-size]
    return inner if raw else _ESCAPE.sub(_unescape, inner)


def _unescape(found: re.Match[str]) -> str:
    two, four, eight, octal, single = found.groups()
    digits = two or four or eight
    if digits:
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF else ""
    if octal:
        return chr(int(octal, 8))
    return _SHORT.get(single, single)


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name such as `event.from`, where it starts, and whether it is called."""

    text: str
    start: int
    called: bool


def names(source: str) -> list[Name]:
    """The dotted names of an expression, left to right; a selection on a result is not one."""
    words = list(tokens(source))
    found = []
    index = 0
    while index < len(words):
        word = words[index]
        behind_dot = index > 0 and words[index - 1].text == "."
        if word.kind != "name" or behind_dot:
            index += 1
            continue
        parts = [word.text]
        index += 1
        while (
            index + 1 < len(words) and words[index].text == "." and words[index + 1].kind == "name"
        ):
            parts.append(words[index + 1].text)
            index += 2
        called = index < len(words) and words[index].text == "("
        found.append(Name(".".join(parts), word.start, called))
    return found


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the function's own name (last part), and its arguments that are plain literals, or
    plain names."""

    name: str
    start: int
    literals: tuple[Token | None, ...]
    names: tuple[Name | None, ...] = ()


def calls(source: str) -> list[Call]:
    """The calls of an expression; an argument that is no single string literal counts as None, and
    so does a name that is not all of its argument."""
    words = list(tokens(source))
    found = []
    for index, word in enumerate(words[:-1]):
        if word.kind == "name" and words[index + 1].text == "(":
            given = _arguments(words, index + 2)
            literals, dotted = map(_literal, given), map(_name, given)
            found.append(Call(word.text, word.start, tuple(literals), tuple(dotted)))
    return found


def _arguments(words: list[Token], index: int) -> list[list[Token]]:
    arguments: list[list[Token]] = [[]]
    depth = 0
    for word in words[index:]:
        if word.text in ("(", "[", "{") and word.kind == "sign":
            depth += 1
        elif word.text in (")", "]", "}") and word.kind == "sign":
            if depth == 0:
                break
            depth -= 1
        if word.text == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(word)
    return arguments


def _literal(parts: list[Token]) -> Token | None:
    return parts[0] if len(parts) == 1 and parts[0].kind == "string" else None


def _name(parts: list[Token]) -> Name | None:
    text = "".join(part.text for part in parts)
    named = all(
        part.kind == "name" if index % 2 == 0 else part.text == "."
        for index, part in enumerate(parts)
    )
    return Name(text, parts[0].start, False) if parts and len(parts) % 2 and named else None
