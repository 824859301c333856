"""The decorator `@rule`: a Python function as a rule, in the same words as in a rule file."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from ringback.plugins.conversation import is_conversation
from ringback.rules.model import RuleSpec

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "__ringback_rules__"

Span = str | int | float | timedelta
"""A length of time: "90s", "15m", "12h", "2d", a number of seconds, or a timedelta."""

Words = str | Sequence[str]
"""One text, or several."""

Trigger = Words | Mapping[str, Any]
"""Event types, or the words of a rule file in a mapping: `{"on": …, "if": …}`."""


def rule(
    on: Words | None = None,
    *,
    name: str | None = None,
    if_: Words | None = None,
    from_: Words | None = None,
    to: Words | None = None,
    trust: Words | None = None,
    key: str | None = None,
    once_within: Span | None = None,
    once_after: Span | None = None,
    max_wait: Span | None = None,
    accumulate_within: Span | None = None,
    threshold: int | None = None,
    unless: Trigger | None = None,
    within: Span | None = None,
    schedule: str | Mapping[str, Any] | None = None,
    mode: str | None = None,
    max: int | None = None,  # noqa: A002 - the word of the rule language
    cancel_on: Trigger | None = None,
    state: str | None = None,
    priority: int | None = None,
    backstop: bool | None = None,
    also_answers: bool | None = None,
    ordered: bool | None = None,
    limit: Span | None = None,
    budget: Mapping[str, Any] | None = None,
    **unknown: NoReturn,
) -> Callable[[F], F]:
    """Make a rule of the function below: when an event fits these words, call it for its actions.

    The words mean what they mean in a rule file (`if_` and `from_` end in an underscore because
    Python keeps `if` and `from`). `on` is one event type or several, `message.*` for a family.
    `limit` is how long the function may take. The function names what it needs of `event`,
    `contact`, `config`, `log`, `clock`, `store` and `convo`, and returns an action, a list or None;
    it may be `async`. It stays callable as it was. The decorator may stand more than once on one
    function: each makes a rule of its own, the second under the name `function-2` unless `name`
    says otherwise. What the words say is checked when the project loads, with file and line.
    Raises TypeError for a word that does not exist.
    """
    given = {
        "on": on,
        "if": if_,
        "from": from_,
        "to": to,
        "trust": trust,
        "key": key,
        "once_within": once_within,
        "once_after": once_after,
        "max_wait": max_wait,
        "accumulate_within": accumulate_within,
        "threshold": threshold,
        "unless": unless,
        "within": within,
        "schedule": schedule,
        "mode": mode,
        "max": max,
        "cancel_on": cancel_on,
        "state": state,
        "priority": priority,
        "backstop": backstop,
        "also_answers": also_answers,
        "ordered": ordered,
        "budget": budget,
        "limit": limit,
    }
    for word in unknown:
        close = get_close_matches(word, [*given, "if_", "from_", "name"], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise TypeError(f"@rule has no word {word!r}{hint}")
    words = {word: _plain(value) for word, value in given.items() if value is not None}

    def mark(function: F) -> F:
        already: tuple[RuleSpec, ...] = getattr(function, ATTRIBUTE, ())
        code = function.__code__
        spec = RuleSpec(
            name=name or _free_name(function.__name__, already),
            handler=function,
            words=words,
            file=code.co_filename,
            line=code.co_firstlineno,
            converses=is_conversation(function),
        )
        setattr(function, ATTRIBUTE, (*already, spec))
        return function

    return mark


def specs_of(function: object) -> tuple[RuleSpec, ...]:
    """The rules that `@rule` made of this function; the lowest decorator first."""
    specs = getattr(function, ATTRIBUTE, ())
    return specs if isinstance(specs, tuple) else ()


def _free_name(name: str, already: tuple[RuleSpec, ...]) -> str:
    taken = {spec.name for spec in already}
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(word): _plain(each) for word, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(each) for each in value]
    return value
