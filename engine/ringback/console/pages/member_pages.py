"""Page of whoever may come in: people, their sessions, and the tokens of programs."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import changing
from ringback.console.api.parameters import query_values
from ringback.console.changing import NewToken
from ringback.console.forms import form_of
from ringback.console.identity import ROLES, identity_of, may
from ringback.console.page import Page, access_of, draw
from ringback.console.pages.settings import PATH as SETTINGS
from ringback.console.pages.settings import tabs
from ringback.console.problems import refuse
from ringback.store.console import passwords

PATH = f"{SETTINGS}/people"
PEOPLE, TOKENS = f"{PATH}/add", f"{PATH}/tokens"
DROP_PERSON, DROP_TOKEN, END = f"{PATH}/remove", f"{PATH}/tokens/remove", f"{PATH}/sessions/end"


async def people(request: Request) -> Response:
    """Who may come in."""
    query_values(request, ())
    return _page(request, None)


async def add(request: Request) -> Response:
    """Add a person, or give one another role and password."""
    form = await form_of(request)
    await changing.put_person(
        request, form.get("request", ""), form.get("name", ""), _role(form),
        form.get("password", ""),
    )  # fmt: skip
    return RedirectResponse(PATH, 303)


async def remove(request: Request) -> Response:
    """Let a person in no more."""
    form = await form_of(request)
    await changing.drop_person(request, form.get("request", ""), form.get("name", ""))
    return RedirectResponse(PATH, 303)


async def make_token(request: Request) -> Response:
    """Make a token; the answer shows its secret, and nothing does later."""
    form = await form_of(request)
    days = form.get("days", "").strip() or str(changing.DAYS)
    if not (days.isascii() and days.isdecimal() and 1 <= int(days[:6]) <= changing.MOST_DAYS):
        why = f"A token lasts 1 to {changing.MOST_DAYS} days."
        raise refuse("field", why, fields=(("days", "is out of bounds"),))
    made = await changing.make_token(
        request, form.get("request", ""), form.get("name", ""), _role(form), int(days),
        whole=form.get("whole") == "yes",
    )  # fmt: skip
    return _page(request, made)


async def remove_token(request: Request) -> Response:
    """Let a token in no more."""
    form = await form_of(request)
    await changing.drop_token(request, form.get("request", ""), form.get("id", ""))
    return RedirectResponse(PATH, 303)


async def end(request: Request) -> Response:
    """Sign somebody out of a session."""
    form = await form_of(request)
    await changing.end_session(request, form.get("request", ""), form.get("id", ""))
    return RedirectResponse(PATH, 303)


def _role(form: Any) -> str:
    role = str(form.get("role", ""))
    if role not in ROLES:
        raise refuse("field", f"A role is one of {', '.join(ROLES)}.",
                     fields=(("role", f"is one of {', '.join(ROLES)}"),))  # fmt: skip
    return role


def _page(request: Request, made: NewToken | None) -> Response:
    if not may(identity_of(request), "admin"):
        raise refuse("role", "Who may come in is shown to the role `admin`.")
    access = access_of(request).access
    return draw(
        request, "people.html",
        {
            "title": "People", "tabs": tabs(request), "people": access.people(),
            "sessions": access.sessions(), "tokens": access.tokens(), "made": made,
            "roles": ROLES, "least": passwords.LEAST_LETTERS,
            "paths": {
                "add": PEOPLE, "remove": DROP_PERSON, "token": TOKENS, "drop": DROP_TOKEN,
                "end": END,
            },
        },
    )  # fmt: skip


PAGE = Page(
    PATH, "People",
    (
        Route(PATH, people, methods=["GET"]), Route(PEOPLE, add, methods=["POST"]),
        Route(DROP_PERSON, remove, methods=["POST"]), Route(TOKENS, make_token, methods=["POST"]),
        Route(DROP_TOKEN, remove_token, methods=["POST"]), Route(END, end, methods=["POST"]),
    ),
)  # fmt: skip
