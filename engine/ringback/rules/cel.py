"""CEL: conditions and texts, typed when they are loaded, evaluated over declared fields.

The library stands behind a small interface: `Language.compile` gives a `Program` or complaints,
`Program.evaluate` a value or a `Fault`. https://github.com/google/cel-spec
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cel_expr_python import cel

from ringback.rules.calendar import Hours
from ringback.rules.functions import BUILTINS
from ringback.rules.literals import check_literals
from ringback.rules.model import Function
from ringback.rules.patterns import matches
from ringback.rules.scope import FIELDS, RUN_FIELDS, Field, Scope
from ringback.rules.tokens import calls, names
from ringback.rules.words import CEL_FUNCTIONS, Complaint, Vocabulary, complaints, did_you_mean

LONGEST_EXPRESSION = 4000
"""The longest expression, in letters."""

_TYPES: dict[str, Any] = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "timestamp": cel.Type.TIMESTAMP,
    "duration": cel.Type.DURATION,
    "list(string)": cel.Type.List(cel.Type.STRING),
    "map(string, string)": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}
TYPE_WORDS = tuple(word for word in _TYPES if not word.startswith("map"))
"""The types that a function of a plugin may take and give."""

_WRAPPED = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_ERROR = cel.Type.ERROR
_MATCHES = "matches__"


@dataclass(frozen=True, slots=True)
class Fault:
    """What an evaluation gave instead of a value: the reason, in words."""

    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled expression. `type` is the CEL type of its result, `needs` the fields it reads.

    `running` is what really runs: the same as `source`, with faster functions in it.
    """

    source: str
    running: str
    type: str
    needs: tuple[tuple[str, Callable[[Scope], Any]], ...]
    code: Any = field(repr=False)

    def evaluate(self, scope: Scope) -> Any:
        """The value in this scope as plain Python, or a `Fault`. Never raises."""
        try:
            scope.enter()
            data = {name: scope.once(name, get) for name, get in self.needs}
            result = self.code.eval(data=data)
            value = result.value()
            if value is True or value is False:
                return value
            if result.type() == _ERROR:
                return Fault(_clean(str(result)))
            return result.plain_value()
        except Exception as error:
            return Fault(_clean(str(error)) or type(error).__name__)


def _clean(message: str) -> str:
    text = _WRAPPED.sub("", _WRAPPED.sub("", message.strip()))
    if "Iteration budget" in text:
        return "it takes too many steps"
    return text[:300]


class Language:
    """What the rules of one project can say: its lists, its hours, its plugins' functions."""

    def __init__(
        self,
        *,
        lists: Mapping[str, Sequence[str]] | None = None,
        hours: Mapping[str, Hours] | None = None,
        functions: Iterable[Function] = (),
    ) -> None:
        self.lists = {name: list(values) for name, values in (lists or {}).items()}
        self.hours = dict(hours or {})
        self.functions = tuple(functions)
        self._fields: dict[str, Field] = {**FIELDS, **RUN_FIELDS}
        for name, values in self.lists.items():
            self._fields[f"lists.{name}"] = Field("list(string)", _constant(values), "a list")
        self._env = cel.NewEnv(
            variables={name: _TYPES[item.type] for name, item in self._fields.items()},
            functions=_declarations(self.functions),
        )
        signatures: dict[str, tuple[str, ...]] = dict(CEL_FUNCTIONS)
        for item in BUILTINS:
            short = item.name.rpartition(".")[2]
            signatures[short] = (*signatures.get(short, ()), item.signature)
        for function in self.functions:
            signatures[function.name] = (f"{function.name}({', '.join(function.args)})",)
        outside = frozenset(self._fields) - frozenset(RUN_FIELDS)
        self._rule_words = Vocabulary(outside, signatures)
        self._run_words = Vocabulary(frozenset(self._fields), signatures)

    def compile(
        self, source: str, *, want: Sequence[str] = ("bool",), running: bool = False
    ) -> Program | list[Complaint]:
        """Compile an expression whose result must be of one of these types (empty: any).

        `running` allows the names that only steps know (`reply.*`, `vars.*`, `burst.*`).
        """
        words = self._run_words if running else self._rule_words
        if not source.strip():
            return [Complaint(0, "syntax", "the expression is empty")]
        if len(source) > LONGEST_EXPRESSION:
            text = f"the expression is longer than {LONGEST_EXPRESSION} letters"
            return [Complaint(0, "limit", text)]
        try:
            code = self._env.compile(source)
        except Exception as error:
            return complaints(str(error), source, words)
        found = [] if running else _too_early(source)
        found += check_literals(source, self.hours)
        type_ = plain_type(code.return_type())
        if want and type_ not in want:
            wanted = " or ".join(want) if len(want) < 4 else "text or a number"
            hint = "has() is only for maps; compare with '' or 0" if "has(" in source else ""
            found.append(Complaint(0, "type", f"expected {wanted}, got {type_}", hint))
        if found:
            return found
        running_source = _faster(source)
        if running_source != source:
            code = self._env.compile(running_source)
        return Program(source, running_source, type_, self._needs(source), code)

    def batch(self, programs: Sequence[Program]) -> Program | None:
        """One program that gives the list of all these programs' values; None if too large."""
        source = "[" + ",".join(f"\n{program.running}\n" for program in programs) + "]"
        try:
            code = self._env.compile(source)
        except Exception:
            logging.getLogger(__name__).debug("conditions do not fit in one program")
            return None
        needs = dict(need for program in programs for need in program.needs)
        return Program("", source, "list(bool)", tuple(needs.items()), code)

    def _needs(self, source: str) -> tuple[tuple[str, Callable[[Scope], Any]], ...]:
        found: dict[str, Callable[[Scope], Any]] = {}
        for name in names(source):
            parts = name.text.split(".")
            for size in range(len(parts), 0, -1):
                known = self._fields.get(".".join(parts[:size]))
                if known is not None:
                    found[".".join(parts[:size])] = known.get
                    break
        return tuple(found.items())


def _constant(values: list[str]) -> Callable[[Any], Any]:
    return lambda _scope: values


def plain_type(type_: Any) -> str:
    """The library's type in the spelling of the language: `LIST<STRING>` is `list(string)`."""
    return str(type_).lower().replace("<", "(").replace(">", ")")


def _too_early(source: str) -> list[Complaint]:
    spaces = {"reply": "wait_for or gather", "vars": "a step with `as`", "burst": "once_after"}
    return [
        Complaint(
            name.start, "type", f"{name.text!r} is not known yet",
            f"only steps can use it, after {spaces[space]}",
        )
        for name in names(source)
        if (space := name.text.partition(".")[0]) in spaces
    ]  # fmt: skip


def _faster(source: str) -> str:
    """The expression with our `matches`, which keeps its patterns compiled, in place of CEL's."""
    for call in reversed(calls(source)):
        if call.name == "matches":
            end = call.start + len(call.name)
            source = f"{source[: call.start]}{_MATCHES}{source[end:]}"
    return source


def _declarations(functions: Sequence[Function]) -> list[Any]:
    overloads: dict[str, list[Any]] = {}

    def add(name: str, args: Sequence[str], returns: str, member: bool, call: Any) -> None:
        known = overloads.setdefault(name, [])
        known.append(
            cel.Overload(
                id=f"{name}_{len(known)}_{'_'.join(args)}".replace("(", "_").replace(")", ""),
                return_type=_TYPES[returns],
                parameters=[_TYPES[word] for word in args],
                is_member=member,
                impl=call,
            )
        )

    for member in (True, False):
        add(_MATCHES, ("string", "string"), "bool", member, matches)
    for item in BUILTINS:
        add(item.name, item.args, item.returns, item.member, item.call)
    for function in functions:
        add(function.name, function.args, function.returns, False, function.call)
        if function.args:
            add(function.name, function.args, function.returns, True, function.call)
    return [cel.FunctionDecl(name, list(items)) for name, items in overloads.items()]


def check_function(function: Function) -> str:
    """What is wrong with a plugin's function, empty when it can be used."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", function.name):
        return f"{function.name!r} is no name for a function: use small letters, digits and _"
    taken = {item.name.rpartition(".")[2] for item in BUILTINS} | set(CEL_FUNCTIONS)
    if function.name in taken:
        return f"{function.name!r} is a function of the language already"
    for word in (*function.args, function.returns):
        if word not in TYPE_WORDS:
            hint = did_you_mean(word, TYPE_WORDS) or "known: " + ", ".join(TYPE_WORDS)
            return f"unknown type {word!r}; {hint}"
    return ""
