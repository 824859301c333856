"""Numbers of persons on pages: masked as the role and the settings say."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from ringback.console.api.answers import whole
from ringback.console.api.masked_answers import masked
from ringback.console.identity import identity_of
from ringback.console.page import console_of
from ringback.console.rows import SAID, EventRow, hidden, row_of


def as_seen(request: Request, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a template as whoever asks may see them."""
    console = console_of(request)
    if whole(console, identity_of(request)):
        return values
    seen: Mapping[str, Any] = masked(values, texts=console.settings.console_mask == "all")
    return seen


def rows_seen(
    request: Request, events: Sequence[Mapping[str, Any]],
    came: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[EventRow]:  # fmt: skip
    """Events as rows, with what came of each, as whoever asks may see them. Only what a row shows
    is masked; which numbers are a person's is told by the events whole."""
    console = console_of(request)
    rows = [row_of(each, came.get(each["uid"], [])) for each in events]
    if whole(console, identity_of(request)):
        return rows
    plain = [{name: getattr(row, name) for name in SAID} for row in rows]
    texts = console.settings.console_mask == "all"
    return [
        hidden(row, each)
        for row, each in zip(rows, masked(plain, texts=texts, beside=events), strict=True)
    ]
