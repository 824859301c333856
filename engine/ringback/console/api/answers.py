"""Answers of the JSON API: JSON, masked as the role says, with an entity tag."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.identity import Identity, may
from ringback.console.page import Console
from ringback.console.problems import refuse
from ringback.errors import UsageError
from ringback.printed_json import printed_json

_PASSING = ("counted_to",)
"""What differs from one moment to the next and is no other answer."""
_STANDING = ("state", "tries", "paused")
_SAID: Mapping[str, tuple[str, ...]] = {
    "override": ("state", "until"), "mute": ("until", "at"),
    "problem": ("said", "until", "above", "at"),
}  # fmt: skip
"""What people change of objects, and of what they said the words that tell one from another."""


def answered(
    request: Request,
    console: Console,
    identity: Identity,
    found: Any,
    status: int = 200,
    *,
    personal: bool,
) -> Response:
    """The response that holds what was found, or 304 when whoever asks has it already."""
    if isinstance(found, Response):
        return found
    stands = standing(found)
    found = shown_to(console, identity, found, personal=personal)
    headers = {"etag": tag_of(stands, found), "vary": "authorization, cookie"}
    if status == 200 and request.method in ("GET", "HEAD") and _known(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(printed_json(found), status, headers, media_type="application/json")


def shown_to(
    console: Console, identity: Identity, found: Mapping[str, Any], *, personal: bool
) -> Mapping[str, Any]:
    """What somebody sees of what was found."""
    if personal and not whole(console, identity):
        return {**masked(found, texts=console.settings.console_mask == "all"), "masked": True}
    return found


def whole(console: Console, identity: Identity) -> bool:
    """Whether somebody is shown numbers as they are: where the settings mask nothing, a program
    whose token says so, and a person who has unmasked them and may do more than read."""
    if console.settings.console_mask == "none":
        return True
    return identity.unmasked and (identity.via == "token" or may(identity, "operate"))


def standing(found: Mapping[str, Any]) -> dict[str, Any]:
    """How an object stands: what people change of it, without what is counted beside it."""
    stands: dict[str, Any] = {name: found[name] for name in _STANDING if name in found}
    for name, words in _SAID.items():
        said = found.get(name)
        known = said if isinstance(said, Mapping) else {}
        stands[name] = {word: known.get(word) for word in words} if known else None
    return stands


def tag_of(stands: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """The entity tag of an answer: how the object stands, and after a dot all that is shown."""
    lasting = {name: value for name, value in shown.items() if name not in _PASSING}
    return f'W/"{tag_of_state(stands)}.{_digest(lasting)}"'


def tag_of_state(stands: Mapping[str, Any]) -> str:
    """The part of an entity tag that says how an object stands."""
    return _digest(stands)


def _digest(value: Mapping[str, Any]) -> str:
    text = printed_json(value).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def _known(request: Request, tag: str) -> bool:
    """Whether whoever asks has it: https://www.rfc-editor.org/rfc/rfc9110#field.if-none-match."""
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    return "*" in known or tag.removeprefix("W/") in [each.removeprefix("W/") for each in known]


@contextmanager
def problems_of(parameters: Sequence[Parameter]) -> Iterator[None]:
    """A mistake that the questions find in a value is one of a field."""
    try:
        yield
    except UsageError as error:
        raise refuse("field", str(error)) from None
