"""Compiler of a `call`: whether the run goes on in it, with what the callee answers."""

from collections.abc import Mapping
from typing import Any

from ringback.rules.files.reader import Reader
from ringback.rules.files.yaml_tree import Node
from ringback.rules.model import Step, every_step, waits
from ringback.rules.steps.kinds import CALL_STEPS


def converses(
    reader: Reader, params: Mapping[str, Any], branches: Mapping[str, tuple[Step, ...]], node: Node
) -> bool:
    """Whether something is asked in a call, or it matters who answered. Then it is a call of one
    person. What is wrong is noted."""
    talks = any(step.kind not in CALL_STEPS or waits(step) for step in branches["do"])
    found = bool(talks or branches["machine"] or branches["else"])
    children = node.value if isinstance(node.value, dict) else {}
    for word in ("do", "machine"):
        if any(step.kind == "reject" for step in every_step(branches[word])):
            text = "'reject' cannot stand in a call of ours"
            reader.fail(children[word], "schema", text, "end the call with `hangup`")
    if found and len(params["to"]) > 1:
        text = "a call with answers, `machine` or `else` is one with one person"
        reader.fail(children["to"], "schema", text, "write a `call` for each of them")
    return found
