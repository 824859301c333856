"""Nested steps: those of a block, with values of its own, and those for each entry of a list.

The state of a run holds the values of those who wait for a block, the outermost first, as `outer`;
and as `loops` where it stands in its lists, the innermost last: the entries, which one is `next`,
and the `round`.
"""

from typing import Any

from ringback.rules.engine.ruleset import holds
from ringback.rules.interpreter.continuation import step_at
from ringback.rules.interpreter.progress import Progress, Run
from ringback.rules.interpreter.values import put, worked_out
from ringback.rules.language.named_values import restored, saved
from ringback.rules.model import MOST_ENTRIES, Step


def enter_block(run: Run, step: Step) -> Progress | None:
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


def leave_block(run: Run, step: Step) -> Progress | None:
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


def begin_each(run: Run, step: Step) -> Progress | None:
    """Begin with the first entry of the list, as it is now."""
    try:
        entries = saved(worked_out(step.params["of"], run.scope()))
    except ValueError as error:
        return run.fail(step, f"of: {error}")
    if not isinstance(entries, list):
        return run.fail(step, "of: is no list")
    if len(entries) > MOST_ENTRIES:
        return run.fail(step, f"of: has {len(entries)} entries, {MOST_ENTRIES} at most")
    run.state["loops"] = [*run.state.get("loops", ()), {"of": entries, "next": 0, "round": 1}]
    return _turn(run, step) if entries else _never(run, step)


def behind_each(run: Run, step: Step, branch: str) -> Progress | None:
    """Go on behind the steps for one entry, or behind those of `else`."""
    if branch != "do":
        run.next()
        return None
    loop = run.state["loops"][-1]
    if not step.params["at_once"] and not lacks(run, step):
        run.state["loops"] = run.state["loops"][:-1]
        run.next()
        return None
    if loop["next"] + 1 == len(loop["of"]):
        return next_round(run, step)
    run.state["loops"] = [*run.state["loops"][:-1], {**loop, "next": loop["next"] + 1}]
    return _turn(run, step)


def lacks(run: Run, step: Step) -> bool:
    """Whether what a list is gone through for does not hold yet. Where nothing is said, one that is
    asked at once is over with the first answer, and any other with its last entry."""
    if not step.params["until"]:
        return not step.params["at_once"]
    verdict = holds(step.params["until"], run.scope())
    if verdict.startswith("error"):
        run.note(step, f"`until` does not hold: {verdict}")
    return bool(verdict)


def done(run: Run, step: Step) -> Progress:
    """Go on behind a list of which all were asked at once, and one has answered."""
    run.state.pop("wait", None)
    run.state["loops"] = run.state["loops"][:-1]
    run.state["at"] = run.state["at"][:-2]
    run.next()
    return run.run()


def next_round(run: Run, step: Step) -> Progress | None:
    """The list from its beginning, or the steps of `else`."""
    loop = run.state["loops"][-1]
    if loop["round"] >= step.params["rounds"]:
        return _never(run, step)
    again = {"of": loop["of"], "next": 0, "round": loop["round"] + 1}
    run.state["loops"] = [*run.state["loops"][:-1], again]
    return _turn(run, step)


def list_of(run: Run) -> Step | None:
    """The `each` whose entries are asked at once by the step at which the run is."""
    at = run.state["at"]
    step = step_at(run.rule, at[:-2]) if len(at) > 2 and at[-2] == "do" else None
    at_once = step is not None and step.kind == "each" and step.params["at_once"]
    return step if at_once and at[-1] + 1 == len(step.branches["do"]) else None  # type: ignore[union-attr]


def end_turn(run: Run) -> bool:
    """End the steps for the entry that a run is at, as one of them has no answer to go on with;
    whether it is at any."""
    at, outer = run.state["at"], run.state.get("outer", [])
    for place in range(len(at) - 2, 0, -2):
        step = step_at(run.rule, at[:place])
        if step is not None and step.kind == "each" and at[place] == "do":
            if len(outer) < len(run.state.get("outer", [])):
                run.state["vars"] = run.state["outer"][len(outer)]
                run.state["outer"] = outer
            run.state["at"] = [*at[: place + 1], len(step.branches["do"])]
            return True
        if step is not None and step.kind == "run" and step.params["block"]:
            outer = outer[:-1]
    return False


def _turn(run: Run, step: Step) -> Progress | None:
    loop = run.state["loops"][-1]
    try:
        put(run.state, step.params["as"], restored(loop["of"][loop["next"]]))
    except ValueError as error:
        return run.fail(step, f"{step.params['as']}: {error}")
    run.grant()
    run.enter("do")
    return None


def _never(run: Run, step: Step) -> Progress | None:
    """The steps of `else`: the condition did not hold for any entry."""
    run.state["loops"] = run.state["loops"][:-1]
    if step.branches["else"]:
        run.enter("else")
    else:
        run.next()
    return None
