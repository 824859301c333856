"""Error messages of CEL, made into sentences that name the mend."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from ringback.rules.language.tokens import Token, names, tokens

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?=\n \||\nERROR:|\Z)", re.DOTALL)
_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '(.*)'")
_UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")
_SELECT = re.compile(r"expression of type '(.+?)' cannot be the operand of a select")
_WRAPPED = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_NO_KEY = re.compile(r'Key not found in map : "(.*)"')
_TAIL = re.compile(r"\s*\[[A-Z_]+\]\s*$")

_COMPARE = {"_==_": "==", "_!=_": "!=", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_ARITHMETIC = {"_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "divide"}
_WORD_SIGNS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong in an expression, at this offset of its text."""

    offset: int
    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an expression may name: fields by their dotted names, functions with signatures."""

    fields: frozenset[str]
    functions: dict[str, tuple[str, ...]]


CEL_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "contains": ("string.contains(string)",),
    "startsWith": ("string.startsWith(string)",),
    "endsWith": ("string.endsWith(string)",),
    "matches": ("string.matches(string)",),
    "size": ("size(string)", "size(list)", "size(map)"),
    "int": ("int(string)", "int(double)", "int(timestamp)"),
    "uint": ("uint(int)",),
    "double": ("double(string)", "double(int)"),
    "string": ("string(int)", "string(double)", "string(bool)", "string(timestamp)"),
    "bool": ("bool(string)",),
    "duration": ("duration(string)",),
    "timestamp": ("timestamp(string)", "timestamp(int)"),
    "has": ("has(map.key)",),
    "all": ("list.all(x, condition)",),
    "exists": ("list.exists(x, condition)",),
    "exists_one": ("list.exists_one(x, condition)",),
    "filter": ("list.filter(x, condition)",),
    "map": ("list.map(x, expression)",),
    **{
        f"get{part}": (f"timestamp.get{part}()", f"timestamp.get{part}(string)")
        for part in (
            "FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours",
            "Minutes", "Seconds", "Milliseconds",
        )
    },
}  # fmt: skip
"""What CEL itself brings, with how it is written: https://github.com/google/cel-spec."""


def reason_of(message: str) -> str:
    """Why an evaluation has failed, in words."""
    text = _WRAPPED.sub("", _WRAPPED.sub("", message.strip()))
    if "Iteration budget" in text:
        return "it takes too many steps"
    missing = _NO_KEY.fullmatch(text)
    return f"there is no {missing[1]!r}; has(…) asks for it" if missing else text[:300]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known word, empty when none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def slip_of(word: str, known: Iterable[str]) -> str:
    """The known word that this one was meant to be: another case, one letter too many, too few or
    wrong, or two in each other's place. Empty when it is none of these, or known itself."""
    words = list(known)
    return "" if word in words else next((each for each in words if _slipped(word, each)), "")


def _slipped(word: str, known: str) -> bool:
    one, other = word.casefold(), known.casefold()
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return abs(len(one) - len(other)) <= 1
    here, there = one[start:], other[start:]
    swapped = here[:2] == there[1::-1] and here[2:] == there[2:]
    return swapped or here[1:] == there or here == there[1:] or here[1:] == there[1:]


def complaints(error: str, source: str, known: Vocabulary) -> list[Complaint]:
    """Every error in the text that the library raised, in readable words and with its offset."""
    found: list[Complaint] = []
    for line, column, text in _ERROR.findall(error):
        offset = _offset(source, int(line), int(column))
        complaint = _complaint(text.strip(), offset, source, known)
        if all(complaint.offset != other.offset for other in found):
            found.append(complaint)
        if complaint.kind == "syntax":
            break
    if not found:
        text = _TAIL.sub("", error).partition(": ")[2] or error
        found.append(_complaint(text, 0, source, known))
    return sorted(found, key=lambda each: each.offset)


def _offset(source: str, line: int, column: int) -> int:
    if line < 1 or column < 1:
        return 0
    lines = source.split("\n")
    before = sum(len(each) + 1 for each in lines[: line - 1])
    return min(before + column - 1, len(source))


def _complaint(text: str, offset: int, source: str, known: Vocabulary) -> Complaint:
    text = _TAIL.sub("", text)
    if text.startswith("Syntax error"):
        return _syntax(text, offset, source)
    if "recursion" in text:
        return Complaint(0, "limit", "the expression is too long or nested too deep (32 levels)",
                         "split it: a list under `if` holds several lines")  # fmt: skip
    reserved = re.match(r"reserved identifier: (\S+)", text)
    if reserved:
        return Complaint(offset, "syntax", f"{reserved[1]!r} is a reserved word of CEL")
    undeclared = _UNDECLARED.search(text)
    if undeclared:
        return _undeclared(undeclared[1], offset, source, known)
    overload = _OVERLOAD.search(text)
    if overload:
        return _overload(overload[1], overload[2], offset, source, known)
    select = _SELECT.search(text)
    if select:
        return Complaint(offset, "type", f"a {plain_type(select[1])} has no fields")
    return Complaint(offset, "type", text)


def plain_type(text: str) -> str:
    """A CEL type in its usual spelling."""
    return text.replace("null_type", "null").replace("wrapper(", "(")


def _at(source: str, offset: int) -> tuple[list[Token], int]:
    """All words, and the index of the one at or behind the offset."""
    words = list(tokens(source))
    for index, word in enumerate(words):
        if word.end > offset:
            return words, index
    return words, len(words)


def _syntax(text: str, offset: int, source: str) -> Complaint:
    words, index = _at(source, offset)
    bad = next((word for word in words if word.kind == "bad"), None)
    if bad is not None and bad.start <= offset + 1:
        if bad.text in "'\"":
            return Complaint(bad.start, "syntax", "a text in quotes does not end")
        if bad.text in "=&|":
            sign = {"=": "==", "&": "&&", "|": "||"}[bad.text]
            return Complaint(bad.start, "syntax", f"a single {bad.text!r}", f"write {sign!r}")
        return Complaint(bad.start, "syntax", f"{bad.text!r} has no meaning here")
    if index >= len(words):
        end = words[-1].end if words else 0
        return Complaint(end, "syntax", "the expression ends too early")
    word = words[index]
    if word.text in _WORD_SIGNS:
        hint = f"write {_WORD_SIGNS[word.text]!r}"
        return Complaint(word.start, "syntax", f"unexpected {word.text!r}", hint)
    if word.text == "+" and index + 1 < len(words) and words[index + 1].kind == "number":
        hint = f"write a phone number in quotes: '+{words[index + 1].text}'"
        return Complaint(word.start, "syntax", "unexpected '+'", hint)
    return Complaint(word.start, "syntax", f"unexpected {word.text!r}")


def _undeclared(name: str, offset: int, source: str, known: Vocabulary) -> Complaint:
    words, index = _at(source, offset)
    called = index < len(words) and words[index].text == "("
    if index < len(words) and words[index].text == "." and index + 1 < len(words):
        index += 1
        called = index + 1 < len(words) and words[index + 1].text == "("
    elif called:
        index -= 1
    start = words[index].start if 0 <= index < len(words) else offset
    last = name.rpartition(".")[2]
    if called and last in known.functions:
        hint = "write " + " or ".join(known.functions[last])
        return Complaint(start, "type", f"{last}() does not take these arguments", hint)
    if called:
        hint = did_you_mean(last, known.functions)
        return Complaint(start, "type", f"unknown function {last!r}", hint)
    space = name.partition(".")[0]
    inside = sorted(
        field[len(space) + 1 :] for field in known.fields if field.startswith(f"{space}.")
    )
    if inside:
        near = get_close_matches(name[len(space) + 1 :], inside, n=1, cutoff=0.6)
        hint = f"did you mean {space + '.' + near[0]!r}?" if near else "known: " + ", ".join(inside)
        return Complaint(start, "type", f"unknown field {name!r}", hint)
    while index > 1 and words[index - 1].text == ".":
        index -= 2
        start = words[index].start
    hint = did_you_mean(name, known.fields)
    if space == "lists":
        hint = "add it under `lists`"
    elif "." not in name and not hint:
        hint = f"a text needs quotes: '{name}'"
    return Complaint(start, "type", f"unknown name {name!r}", hint)


def _overload(name: str, types: str, offset: int, source: str, known: Vocabulary) -> Complaint:
    given = plain_type(types).strip("()")
    args = _split(plain_type(types)[1:-1])
    words, index = _at(source, offset)
    if name in _COMPARE:
        hint = _compare_hint(args, words, index)
        return Complaint(offset, "type", f"can't compare {args[0]} with {args[-1]}", hint)
    if name in _ARITHMETIC:
        hint = "string(…) makes a text of it" if name == "_+_" and "string" in args else ""
        return Complaint(offset, "type", f"can't {_ARITHMETIC[name]} {' and '.join(args)}", hint)
    if name == "@in":
        hint = _compare_hint(
            [args[0], args[-1].removeprefix("list(").removesuffix(")")], words, index
        )
        return Complaint(offset, "type", f"can't look for {args[0]} in {args[-1]}", hint)
    if name in ("_&&_", "_||_"):
        sign = name.strip("_")
        return Complaint(offset, "type", f"'{sign}' needs bool on both sides, not {given}")
    if name == "!_":
        return Complaint(offset, "type", f"'!' needs a bool, not {given}")
    if name == "-_":
        return Complaint(offset, "type", f"'-' needs a number, not {given}")
    if name == "_?_:_":
        wrong = (
            "needs a bool before '?'"
            if args[0] != "bool"
            else "needs the same type on both sides of ':'"
        )
        return Complaint(offset, "type", f"the choice {wrong}, not {given}")
    if name == "_[_]":
        return Complaint(offset, "type", f"can't take an element of {args[0]} by {args[-1]}")
    if index > 0 and index < len(words) and words[index].text == "(":
        offset = words[index - 1].start
    takes = known.functions.get(name.rpartition(".")[2]) or known.functions.get(name, ())
    hint = "write " + " or ".join(takes) if takes else ""
    return Complaint(offset, "type", f"{name}() can't take ({given})", hint)


def _compare_hint(args: list[str], words: list[Token], index: int) -> str:
    if set(args) == {"int", "string"}:
        near = [word for word in words[index : index + 3] if word.kind in ("string", "number")]
        if near and near[0].kind == "string" and near[0].text.strip("'\"").isdecimal():
            return f"write {near[0].text.strip(chr(39) + chr(34))} without quotes"
        if near and near[0].kind == "number":
            return f"write '{near[0].text}' in quotes"
    if "null" in args:
        return "a field is never null: an absent one is '' or 0"
    return ""


def _split(types: str) -> list[str]:
    """Split `int, list(string)` at the commas that stand outside of brackets."""
    parts, depth = [""], 0
    for letter in types:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def hidden(source: str) -> list[Complaint]:
    """Names that only the program itself gives."""
    return [
        Complaint(name.start, "type", f"unknown name {name.text!r}")
        for name in names(source)
        if name.text.partition(".")[0].endswith("__")
    ]


def too_early(source: str, own: Iterable[str]) -> list[Complaint]:
    """Names that only steps know, where none has run; `own` are those of values that are there."""
    spaces = {"reply": "wait_for or gather", "vars": "a step with `as`", "burst": "once_after"}
    there = frozenset(own)
    return [
        Complaint(
            name.start, "type", f"{name.text!r} is not known yet",
            f"only steps can use it, after {spaces[space]}",
        )
        for name in names(source)
        if (space := name.text.partition(".")[0]) in spaces
        and not (space == "vars" and name.text.split(".")[1:2] and name.text.split(".")[1] in there)
    ]  # fmt: skip
