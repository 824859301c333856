"""Questions to a person, by text (`ask`) or in a call (`gather`), and once more where none fits.

How often a question was asked is `tried` in the state of the run, as long as it is open.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ringback.actions import SendMessage, reply
from ringback.events import Event, conversation_of
from ringback.rules.addresses import is_service, spelt
from ringback.rules.engine.ruleset import triggered
from ringback.rules.interpreter.answers import LISTENS, TEXT, asks_help, leaves
from ringback.rules.interpreter.continuation import branch, kept
from ringback.rules.interpreter.nested import done, end_turn, lacks, list_of, next_round
from ringback.rules.interpreter.progress import Progress, Run, join_keys
from ringback.rules.interpreter.render import render
from ringback.rules.interpreter.saved_event import event_to
from ringback.rules.interpreter.values import put
from ringback.rules.language.cel import Fault
from ringback.rules.language.named_values import restored
from ringback.rules.model import Step, Trigger

TRIES = 3
"""How often the question of a `gather` is put that says `again`."""


def ask(run: Run, step: Step) -> Progress | None:
    """Send the question, and wait for a text of that person; for one of all who are asked at once
    when the last of them is."""
    key = _put(run, step, "text")
    if isinstance(key, Progress):
        return key
    if list_of(run) is None:
        return _wait(run, step, key)
    loop = run.state["loops"][-1]
    asked = [*loop.get("asked", ()), [key, loop["next"], 1]]
    run.state["loops"] = [*run.state["loops"][:-1], {**loop, "asked": asked}]
    if loop["next"] + 1 == len(loop["of"]):
        return _wait(run, step, join_keys(each[0] for each in asked))
    run.next()
    return None


def gather(run: Run, step: Step) -> Progress | None:
    """Put the question to a caller."""
    return _say(run, step, {"again"})


def answered(run: Run, step: Step, event: Event | None) -> Progress:
    """Go on behind an `ask`: with the answer, with the question once more, or without one."""
    if list_of(run) is not None:
        return _one_answered(run, step, event)
    asked = f"“{run.question}”"
    if event is None:
        return _open(run, step, f"no answer to {asked}")
    if leaves(event):
        if event.conversation == run.event.conversation:
            return run.finish("stopped: they sent STOP")
        return _open(run, step, f"no answer to {asked}: they sent STOP")
    if event.type not in LISTENS or asks_help(event, step.params["if"]):
        return run.again()
    if event.type != TEXT:
        run.state["reply"] = event_to(event)
        return _open(run, step, f"{asked} was not delivered (error {event.error_code})")
    verdict = triggered(Trigger((TEXT,), tuple(step.params["if"])), run.scope(event))
    run.state["reply"] = event_to(event)
    if verdict:
        return _unfit(run, step, verdict)
    _close(run)
    if step.params["as"]:
        run.state.setdefault("vars", {})[step.params["as"]] = kept(step, event)
    run.next()
    return run.run()


def put_again(run: Run, step: Step, event: Event) -> Progress | None:
    """The question of a `gather` once more, when the caller has given none of its answers and is to
    be asked again; None when the run goes on."""
    tries = step.params["tries"] or (TRIES if step.params["again"] else 1)
    tried = run.state.get("tried", 1)
    if branch(step, event) != "else" or tried >= tries:
        run.state.pop("tried", None)
        return None
    run.state["tried"] = tried + 1
    run.state["reply"] = event_to(event)
    return _say(run, step, ())


def _unfit(run: Run, step: Step, verdict: str) -> Progress:
    """An answer that does not fit. Why is noted for the trace, without a word of it."""
    tried, tries = run.state.get("tried", 1), step.params["tries"]
    run.note(step, f"answer {tried} of {tries} does not fit: {verdict}")
    if tried >= tries:
        said = f"none of {tries} answers fits" if tries > 1 else "the answer does not fit"
        return _open(run, step, f"{said}: “{run.question}”")
    run.state["tried"] = tried + 1
    key = _put(run, step, "again" if step.params["again"] else "text")
    return key if isinstance(key, Progress) else _wait(run, step, key)


def _one_answered(run: Run, step: Step, event: Event | None) -> Progress:
    """One of those who were asked at once has answered, or is out; without an event the time is
    over for all. The first answer that fits is taken, and `until` has the last word."""
    each, loop = list_of(run), run.state["loops"][-1]
    assert each is not None
    if event is None:
        return _round_over(run, each)
    found = next((one for one in loop["asked"] if one[0] == event.conversation), None)
    if found is None or event.type not in LISTENS or asks_help(event, step.params["if"]):
        return run.again()
    if leaves(event) and event.conversation == run.event.conversation:
        return run.finish("stopped: they sent STOP")
    run.state["reply"] = event_to(event)
    put(run.state, each.params["as"], restored(loop["of"][found[1]]))
    left = [one for one in loop["asked"] if one is not found]
    if event.type == TEXT and not leaves(event):
        verdict = triggered(Trigger((TEXT,), tuple(step.params["if"])), run.scope(event))
        if not verdict:
            if step.params["as"]:
                run.state["vars"][step.params["as"]] = kept(step, event)
            if not lacks(run, each):
                return done(run, each)
        elif found[2] < step.params["tries"]:
            run.note(step, f"answer {found[2]} of {step.params['tries']} does not fit: {verdict}")
            key = _put(run, step, "again" if step.params["again"] else "text")
            if isinstance(key, Progress):
                return key
            left = [*left, [key, found[1], found[2] + 1]]
    if not left:
        return _round_over(run, each)
    run.state["loops"] = [*run.state["loops"][:-1], {**loop, "asked": left}]
    due = datetime.fromisoformat(run.state["wait"]["due"])
    return run.pause(due, LISTENS, join_keys(one[0] for one in left))


def _round_over(run: Run, each: Step) -> Progress:
    """Nobody of a round has given the answer: the next round, or the steps of `else`."""
    run.state.pop("wait", None)
    run.state["at"] = run.state["at"][:-2]
    return next_round(run, each) or run.run()


def _open(run: Run, step: Step, why: str) -> Progress:
    """No answer: the steps of `else`. Without any the run ends, as what stands behind needs one;
    inside of `each` it goes on with the next entry."""
    _close(run)
    if not step.branches["else"]:
        if end_turn(run):
            run.note(step, why)
            return run.run()
        return run.finish(f"stopped: {why}")
    run.note(step, why)
    run.enter("else")
    return run.run()


def _close(run: Run) -> None:
    run.state.pop("wait", None)
    run.state.pop("tried", None)


def _put(run: Run, step: Step, word: str) -> Progress | str:
    """Send a text of the question. The conversation in which its answer comes, or the end."""
    left_out = {"text", "again"} - {word}
    given = render(_without(step, left_out), run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    event = run.event
    if not given["to"]:
        if not event.theirs:
            return run.fail(step, "there is nobody on the other side of this event")
        run.actions.append(reply(event, given[word]))
        return event.conversation
    sender, to = spelt(given["from"] or event.ours, given["to"], event.ours)
    if not sender or is_service(sender):
        return run.fail(step, "needs `from`, a number of ours: the answer comes to it")
    run.actions.append(SendMessage(to, given[word], sender))
    return conversation_of(sender, to)


def _wait(run: Run, step: Step, key: str) -> Progress:
    return run.pause(run.now + timedelta(seconds=step.params["timeout"]), LISTENS, key)


def _say(run: Run, step: Step, left_out: Collection[str]) -> Progress | None:
    given: dict[str, Any] | Fault = render(_without(step, left_out), run.scope())
    if isinstance(given, Fault):
        return run.fail(step, given.message)
    return run.perform(step, {**dict.fromkeys(left_out, ""), **given})


def _without(step: Step, names: Collection[str]) -> Step:
    """The step without texts that are not said now: they may be about an answer yet to come."""
    params = {name: value for name, value in step.params.items() if name not in names}
    return replace(step, params=params)
