"""CEL: conditions and texts, typed when they are loaded, evaluated over declared fields.

The library stands behind a small interface: `Language.compile` gives a `Program` or complaints,
`Program.evaluate` a value or a `Fault`. https://github.com/google/cel-spec
"""

import functools
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ringback.hooks.definitions import Hook
from ringback.rules.addresses import every_spelling
from ringback.rules.functions import choices
from ringback.rules.functions.builtins import BUILTINS
from ringback.rules.functions.declared import TYPES, cel, cel_type, declarations, plain_type
from ringback.rules.functions.function import Function
from ringback.rules.functions.overloads import overloads
from ringback.rules.language.complaints import (
    CEL_FUNCTIONS,
    Complaint,
    Vocabulary,
    complaints,
    hidden,
    reason_of,
)
from ringback.rules.language.hoist import EVERY, MAPS, Argument, Hoisted, Hoister, Overload
from ringback.rules.language.literals import check_literals
from ringback.rules.language.membership import CALL, SPACE, Group, Membership
from ringback.rules.language.named_values import NO_NAMES, Names, fields_of
from ringback.rules.language.scope import FIELDS, NEVER, RUN_FIELDS, Field, NoFacts, Scope
from ringback.rules.language.tokens import names
from ringback.rules.timing.calendar import Hours

LONGEST_EXPRESSION = 4000
"""The longest expression, in letters."""

_ERROR = cel.Type.ERROR
_MISSING = re.compile(r'Key not found in map : "(k\d+)"')
_NOWHERE = Scope(NEVER, NoFacts())


@dataclass(frozen=True, slots=True)
class Fault:
    """What an evaluation gave instead of a value: the reason, in words."""

    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled expression. `type` is the CEL type of its result, `needs` the fields it reads.

    `running` is what really runs: `source` with the calls of our functions, `hoisted`, taken out.
    """

    source: str
    running: str
    type: str
    needs: tuple[tuple[str, Callable[[Scope], Any]], ...]
    hoisted: tuple[Hoisted, ...]
    code: Any = field(repr=False)
    alone: Hoisted | None = None
    """The call that is all of it, when there is one that is true or false."""

    @property
    def fixed(self) -> bool:
        """Whether its value is the same in every scope; nobody knows."""
        return False

    def evaluate(self, scope: Scope) -> Any:
        """The value in this scope as plain Python, or a `Fault`. Never raises."""
        try:
            scope.enter()
            if self.alone is not None:
                return scope.once(self.alone.text, partial(_attempt, self.alone))
            data = scope.data(self.needs)
            failed = _call(self.hoisted, scope, data) if self.hoisted else None
            result = self.code.eval(data=data)
            if self.type == "bool":  # `value` of a list takes half as long as the evaluation
                value = result.value()
                if value is True or value is False:
                    return value
            if result.type() == _ERROR:
                return Fault(_reason(str(result), failed))
            return result.plain_value()
        except Exception as error:
            return Fault(reason_of(str(error)) or type(error).__name__)

    def value(self, scope: Scope) -> Any:
        """The same for an argument of a call. Raises ValueError with the reason of a fault."""
        found = self.evaluate(scope)
        if isinstance(found, Fault):
            raise ValueError(found.message)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Plain:
    """An argument that needs no evaluation: a field, or a constant."""

    type: str
    value: Callable[[Scope], Any]
    fixed: bool = False


def _call(calls: Sequence[Hoisted], scope: Scope, data: dict[str, Any]) -> dict[str, str]:
    """Make the calls and put their values into the maps of `data`; why some have failed."""
    failed: dict[str, str] = {}
    for call in calls:
        values = data.setdefault(MAPS[call.overload.returns], {})
        found = scope.once(call.text, partial(_attempt, call))
        if isinstance(found, Fault):
            failed[call.key] = found.message
        else:
            values[call.key] = found
    return failed


def _attempt(call: Hoisted, scope: Scope) -> Any:
    try:
        return call.make(scope)
    except Exception as error:
        return Fault(reason_of(str(error)) or type(error).__name__)


def _reason(message: str, failed: Mapping[str, str] | None) -> str:
    missing = _MISSING.search(message) if failed else None
    if failed and missing and missing[1] in failed:
        return failed[missing[1]]
    return reason_of(message)


class Language:
    """What the rules of one project can say: its lists, its hours, its plugins' functions, and its
    hooks; None where nobody knows those."""

    def __init__(
        self,
        *,
        lists: Mapping[str, Sequence[str]] | None = None,
        hours: Mapping[str, Hours] | None = None,
        functions: Iterable[Function] = (),
        groups: Mapping[str, Group] | None = None,
        hooks: Mapping[str, Hook] | None = None,
        texts: Collection[str] = (),
    ) -> None:
        """`texts` are the names of the texts in languages that the function `t` among `functions`
        can say."""
        self.hooks = hooks
        self.lists = {name: list(values) for name, values in (lists or {}).items()}
        self.hours = dict(hours or {})
        self.functions = tuple(functions)
        self.texts = texts
        self._membership = Membership(dict(groups or {}))
        self.groups = self._membership.groups
        self._fields: dict[str, Field] = {**FIELDS, **RUN_FIELDS}
        for name, values in self.lists.items():
            self._fields[f"lists.{name}"] = Field("list(string)", _constant(values), "a list")
        for name in self.groups:
            self._fields[f"{SPACE}.{name}"] = Field("map(string, string)", _constant({}), "")
        known = frozenset(self._fields)
        twins = {name: every_spelling(values) for name, values in self.lists.items()}
        twins = {name: values for name, values in twins.items() if values != self.lists[name]}
        for name, values in twins.items():
            self._fields[f"{EVERY}.{name}"] = Field("list(string)", _constant(values), "")
        ask = Overload(("string", "string"), "bool", False, self._membership.ask)
        ours = {**overloads(self.functions), CALL: [ask]}
        self._hoister = Hoister(ours, self._argument, twins)
        self._env = self._environment()
        self._with_names: dict[frozenset[tuple[str, str]], Language] = {}
        signatures: dict[str, tuple[str, ...]] = dict(CEL_FUNCTIONS)
        for item in BUILTINS:
            short = item.name.rpartition(".")[2]
            signatures[short] = (*signatures.get(short, ()), item.signature)
        for function in self.functions:
            signatures[function.name] = (f"{function.name}({', '.join(function.args)})",)
        self._rule_words = Vocabulary(known - frozenset(RUN_FIELDS), signatures)
        self._run_words = Vocabulary(known, signatures)

    def compile(
        self,
        source: str,
        *,
        want: Sequence[str] = ("bool",),
        running: bool = False,
        names: Names = NO_NAMES,
    ) -> Program | list[Complaint]:
        """Compile an expression whose result must be of one of these types (empty: any).

        `running` allows the names that only steps know (`reply.*`, `vars.*`, `burst.*`); `names`
        are those of the rule's own values.
        """
        words = self._run_words if running else self._rule_words
        if not source.strip():
            return [Complaint(0, "syntax", "the expression is empty")]
        if len(source) > LONGEST_EXPRESSION:
            text = f"the expression is longer than {LONGEST_EXPRESSION} letters"
            return [Complaint(0, "limit", text)]
        try:
            knowing = self._knowing(names.used(source))
            code = knowing._env.compile(source)
        except Exception as error:
            more = Vocabulary(words.fields | names.spelt, words.functions)
            return complaints(str(error), source, more)
        found = hidden(source) + ([] if running else names.early(source))
        found += check_literals(source, self.hours, self.lists, self.texts)
        once = tuple(want) != ("bool",) and (running or names.texts is None)
        found += choices.misplaced(source, names.inlined(source), once=once)
        type_ = plain_type(code.return_type())
        if want and type_ not in (*want, "dyn"):  # of that each value has a type of its own
            wanted = " or ".join(want) if len(want) < 4 else "text or a number"
            hint = "has() is only for maps; compare with '' or 0" if "has(" in source else ""
            found.append(Complaint(0, "type", f"expected {wanted}, got {type_}", hint))
        if found:
            return found
        text = names.inlined(source)
        if text == source:
            return self._placed(source, knowing._program(source, type_, code))
        if len(text) > LONGEST_EXPRESSION:
            wrong = f"with the values of `let` it is longer than {LONGEST_EXPRESSION} letters"
            return [Complaint(0, "limit", wrong)]
        try:
            knowing = self._knowing(names.used(text))
            program = knowing._program(text, type_, knowing._env.compile(text))
            return self._placed(source, replace(program, source=source))
        except Exception as error:
            wrong = f"a value of `let` cannot stand here: {reason_of(str(error))}"
            return [Complaint(0, "type", wrong, "call what runs over a list by another name")]

    def _placed(self, source: str, program: Program) -> Program | list[Complaint]:
        return self._membership.misplaced(source, program.running) or program

    def _knowing(self, used: Mapping[str, str]) -> "Language":
        """The same with a rule's own values, by their dotted names with their types."""
        if not used:
            return self
        key = frozenset(used.items())
        if key not in self._with_names:
            other = copy(self)
            other._fields = {**self._fields, **fields_of(used)}
            other._hoister = self._hoister.finding(other._argument)
            other._env = other._environment()
            self._with_names[key] = other
        return self._with_names[key]

    def _environment(self) -> Any:
        variables = {name: cel_type(item.type) for name, item in self._fields.items()}
        for word, name in MAPS.items():
            variables[name] = cel.Type.Map(cel.Type.STRING, TYPES[word])
        return cel.NewEnv(variables=variables, functions=declarations(self.functions))

    def _program(self, source: str, type_: str, code: Any) -> Program:
        try:
            text, hoisted = self._hoister.rewrite(source)
            if text != source:
                code = self._env.compile(text)
                needs, alone = self._needs(text), _alone(text, hoisted)
                return Program(source, text, type_, needs, hoisted, code, alone)
        except Exception:
            logging.getLogger(__name__).exception("calls stay inside of %r", source)
        return Program(source, source, type_, self._needs(source), (), code)

    def _argument(self, source: str) -> Argument | None:
        """An argument of a call, when it stands for itself."""
        name = source.strip()
        known = self._fields.get(name)
        if known is not None:
            get = known.get
            fixed = name.startswith("lists.")
            return _Plain(known.type, lambda scope: scope.once(name, get), fixed)
        try:
            code = self._env.compile(source)
        except Exception:
            return None
        program = self._program(source, plain_type(code.return_type()), code)
        if program.needs or program.hoisted or names(source):
            return program
        constant = program.evaluate(_NOWHERE)
        if isinstance(constant, Fault):
            return program
        return _Plain(program.type, lambda _: constant, fixed=True)

    def batch(self, programs: Sequence[Program]) -> Program | None:
        """One program that gives the list of all these programs' values; None if too large."""
        source = "[" + ",".join(f"\n{program.running}\n" for program in programs) + "]"
        try:
            code = self._env.compile(source)
        except Exception:
            logging.getLogger(__name__).debug("conditions do not fit in one program")
            return None
        needs = dict(need for program in programs for need in program.needs)
        hoisted = {call.key: call for program in programs for call in program.hoisted}
        return Program(
            "", source, "list(bool)", tuple(needs.items()), tuple(hoisted.values()), code
        )

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


def _alone(text: str, hoisted: Sequence[Hoisted]) -> Hoisted | None:
    """The call that is the whole of a condition."""
    name = f"{MAPS['bool']}.{hoisted[0].key}" if len(hoisted) == 1 else ""
    return hoisted[0] if text.strip() == name else None


def _constant(values: Any) -> Callable[[Any], Any]:
    return lambda _scope: values


@functools.cache
def plain_language() -> Language:
    """The language of a project without lists, hours and functions of its own."""
    return Language()
