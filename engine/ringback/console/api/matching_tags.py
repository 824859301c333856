"""Condition of a change: the entity tag of what somebody has read (RFC 9110, If-Match).

The tag becomes what is expected of the subject, which the worker looks at in the transaction of the
change: a request that is repeated still gets its first answer. https://www.rfc-editor.org/rfc/rfc9110#field.if-match
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ringback.console.api.answers import shown_to, tag_of
from ringback.console.identity import Identity
from ringback.console.page import Console
from ringback.console.problems import refuse

HEADER = "If-Match"
EXPECT = "expect"
_CHANGED = "as it was read"
_TRUE = ("state", "tries")


def of_object(path: str) -> str:
    """The path of the object that an operation is about."""
    return path.rpartition("/")[0]


def expected(
    request: Request, console: Console, identity: Identity, found: Mapping[str, Any], *,
    personal: bool,
) -> dict[str, Any]:  # fmt: skip
    """What has to be true of an object for the change: what is true now when the request names its
    tag, else something that is not."""
    known = [each.strip() for each in request.headers.get(HEADER, "").split(",")]
    tag = tag_of(shown_to(console, identity, found, personal=personal))
    if "*" in known or tag.removeprefix("W/") in [each.removeprefix("W/") for each in known]:
        return {name: found[name] for name in _TRUE if name in found}
    return {"state": _CHANGED}


def not_here() -> Exception:
    """The refusal of a condition where nothing can be compared."""
    return refuse(
        "field", f"{HEADER} is not known here.", mend="Leave it away.",
        fields=((HEADER, "is not known here"),),
    )  # fmt: skip
