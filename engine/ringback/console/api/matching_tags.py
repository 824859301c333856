"""Condition of a change: the entity tag of what somebody has read (RFC 9110, If-Match).

The tag becomes what is expected of the subject, which the worker looks at in the transaction of the
change: a request that is repeated still gets its first answer. https://www.rfc-editor.org/rfc/rfc9110#field.if-match
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ringback.console.api.answers import standing, tag_of_state
from ringback.console.problems import refuse
from ringback.store.operations.doings import TAG

HEADER = TAG
EXPECT = "expect"
_TRUE = ("state", "tries")


def of_object(path: str) -> str:
    """The path of the object that an operation is about."""
    return path.rpartition("/")[0]


def expected(request: Request, found: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be true of an object for the change: what is true now when the request names its
    tag, else that the tag is another. What is counted beside it may be other than it was."""
    given = request.headers.get(HEADER, "")
    known = [each.strip().removeprefix("W/").strip('"') for each in given.split(",")]
    if "*" in known or tag_of_state(standing(found)) in [each.split(".")[0] for each in known]:
        return _true(found)
    return {TAG: given}


def _true(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the worker compares again, in its words."""
    if "problem" in found:
        return {"state": found["problem"]["said"] if found["problem"] else "open"}
    if "mute" in found:
        return {"state": "muted" if found["mute"] else "not muted"}
    if "paused" in found:
        return {"state": "paused" if found["paused"] else "running"}
    return {name: found[name] for name in _TRUE if name in found}


def not_here() -> Exception:
    """The refusal of a condition where nothing can be compared."""
    return refuse(
        "field", f"{HEADER} is not known here.", mend="Leave it away.",
        fields=((HEADER, "is not known here"),),
    )  # fmt: skip
