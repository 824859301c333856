"""Numbers of persons on pages: masked as the role and the settings say."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from ringback.console.api.answers import whole
from ringback.console.api.masked_answers import masked
from ringback.console.identity import identity_of
from ringback.console.page import console_of


def as_seen(request: Request, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a template as whoever asks may see them."""
    console = console_of(request)
    if whole(console, identity_of(request)):
        return values
    seen: Mapping[str, Any] = masked(values, texts=console.settings.console_mask == "all")
    return seen
