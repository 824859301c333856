"""Values that a run keeps under names, in its state: those of `let`, with their types."""

from collections.abc import Iterable, Mapping
from typing import Any

from ringback.rules.interpreter.progress import Progress, Run
from ringback.rules.language.cel import Fault
from ringback.rules.language.named_values import answer_saved, restored, saved, size_of
from ringback.rules.language.scope import Scope
from ringback.rules.language.templates import DATA_CAP, Template
from ringback.rules.model import Step

MOST_KEPT = 65_536
"""How many letters all values of a run may take together, as JSON."""


def let(run: Run, step: Step) -> Progress | None:
    """Give names to values."""
    wrong = keep(run, step.params["values"].items())
    if wrong:
        return run.fail(step, wrong)
    run.next()
    return None


def keep(run: Run, values: Iterable[tuple[str, Any]]) -> str:
    """Work out values one after the other and keep them; what is wrong with the first that cannot
    be kept."""
    for name, value in values:
        try:
            scope = run.scope()
            scope.place += f" {name}"
            put(run.state, name, worked_out(value, scope))
        except ValueError as error:
            return f"{name}: {error}"
    return ""


def put(state: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value in the state of a run. Raises ValueError for one that is none, or too large."""
    data = saved(value)
    size = size_of(data)
    if size > DATA_CAP:
        raise ValueError(f"the value has {size} letters as JSON, {DATA_CAP} at most")
    _put(state, name, data)


def put_answer(state: dict[str, Any], name: str, status: int, text: str) -> None:
    """Keep the answer to a web request. Raises ValueError when there is no room for it."""
    _put(state, name, answer_saved(status, text))


def _put(state: dict[str, Any], name: str, data: Any) -> None:
    kept = {**state.get("vars", {}), name: data}
    if size_of(kept) > MOST_KEPT:
        raise ValueError(f"all values of this run have more than {MOST_KEPT} letters as JSON")
    state["vars"] = kept


def kept_values(state: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the state of a run, by their names."""
    return {name: restored(value) for name, value in state.get("vars", {}).items()}


def worked_out(value: Any, scope: Scope) -> Any:
    """A value of now. Raises ValueError with the reason when there is none."""
    if isinstance(value, Template):
        found = value.kept_value(scope)
        if isinstance(found, Fault):
            raise ValueError(found.message)
        return found
    if isinstance(value, list):
        return [worked_out(item, scope) for item in value]
    if isinstance(value, Mapping):
        return {key: worked_out(item, scope) for key, item in value.items()}
    return value
