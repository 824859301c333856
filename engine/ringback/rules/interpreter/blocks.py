"""Blocks under way: each has values of its own, and gives one back at its end.

The values of those who wait for it, the outermost first, are `outer` in the state of the run.
"""

from typing import TYPE_CHECKING, Any

from ringback.rules.interpreter.progress import Progress
from ringback.rules.interpreter.values import put, worked_out
from ringback.rules.model import Step

if TYPE_CHECKING:
    from ringback.rules.interpreter.machine import Machine


def enter(run: "Machine", step: Step) -> Progress | None:
    """Begin a block, with the values that it needs and no others."""
    own: dict[str, Any] = {}
    for name, value in step.params["given"].items():
        try:
            put(own, name, worked_out(value, run.scope()))
        except ValueError as error:
            return run.fail(step, f"{name}: {error}")
    run.state["outer"] = [*run.state.get("outer", ()), run.state.get("vars", {})]
    run.state["vars"] = own.get("vars", {})
    run.enter("run")
    return None


def leave(run: "Machine", step: Step) -> Progress | None:
    """Go on behind a block that is done, with what it gives."""
    outer = run.state.get("outer") or [{}]
    try:
        given = worked_out(step.params["gives"], run.scope())
        run.state["vars"], run.state["outer"] = outer[-1], outer[:-1]
        if step.params["as"]:
            put(run.state, step.params["as"], given)
    except ValueError as error:
        return run.fail(step, f"what the block {step.params['block']!r} gives: {error}")
    run.next()
    return None
