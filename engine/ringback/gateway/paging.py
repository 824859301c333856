"""Paging of lists by `next_page_uri`, to the end and nowhere else.

`Page` alone does not page; the cursor is a token in the link. The link is a path of api.twilio.com,
so it goes behind the gateway's own base. https://www.twilio.com/docs/usage/twilios-response
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ringback.errors import Unreadable
from ringback.gateway.transport import Reply
from ringback.twilio.rest import VERSION, Request

MAX_PAGES = 10_000
MAX_EMPTY_PAGES = 20

Ask = Callable[[Request], Awaitable[Reply]]


async def rows(ask: Ask, first: Request, key: str, limit: int = 0) -> AsyncIterator[dict[str, Any]]:
    """The rows of a list over all its pages, each SID once, at most `limit` (0: all).

    A list moves while it is read, so that a row may come twice; it is given out once. Raises
    Unreadable for a page without rows under `key`, a link that leaves the list, or a list that has
    no end.
    """
    seen: set[str] = set()
    links: set[str] = set()
    request: Request | None = first
    empty = given = 0
    while request is not None:
        data = (await ask(request)).data
        page = data.get(key)
        if not isinstance(page, list):
            raise _unreadable(f"there is no {key} in the list")
        empty = empty + 1 if not page else 0
        for row in page:
            if not isinstance(row, dict):
                raise _unreadable(f"a row of {key} is not an object")
            sid = row.get("sid")
            if isinstance(sid, str) and sid:
                if sid in seen:
                    continue
                seen.add(sid)
            yield row
            given += 1
            if limit and given >= limit:
                return
        link = data.get("next_page_uri")
        if not link:
            return
        if not isinstance(link, str):
            raise _unreadable("the link to the next page is not an address")
        if link in links or len(links) >= MAX_PAGES or empty >= MAX_EMPTY_PAGES:
            raise _unreadable("the list has no end: its links go in a circle or past empty pages")
        links.add(link)
        request = _following(first, link)


def _following(first: Request, link: str) -> Request:
    try:
        parts = urlsplit(link)
    except ValueError:
        raise _unreadable("the link to the next page is not an address") from None
    # A gateway that rewrites links may put its own prefix in front; what counts is what follows.
    where = parts.path[parts.path.find(VERSION) :]
    expected = (VERSION + first.path).removesuffix(".json")
    if parts.scheme or parts.netloc or where.removesuffix(".json") != expected:
        raise _unreadable("the link to the next page leads out of the list")
    return replace(first, form=tuple(parse_qsl(parts.query, keep_blank_values=True)))


def _unreadable(why: str) -> Unreadable:
    return Unreadable(f"the list cannot be read on: {why}", http_status=200, wrote=False)
