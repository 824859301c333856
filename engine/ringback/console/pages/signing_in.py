"""Pages for signing in and out, and the one by which a key of the shell signs in."""

import hmac
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console.forms import form_of
from ringback.console.identity import identity_of
from ringback.console.origins import is_safe
from ringback.console.page import LOOKS, Page, access_of, draw
from ringback.console.problems import Problem, Refusal, refuse
from ringback.console.sessions import DEV_DAYS
from ringback.runtime import iso

LONGEST_VIEW = 500
PLAIN = (
    "This page came over plain http, where others can read a password. Put a proxy with TLS in "
    "front and name its address in RINGBACK_CONSOLE_URL, or come through a tunnel: "
    "ssh -L 8080:127.0.0.1:8080 HOST, then http://127.0.0.1:8080/console/."
)


async def show(request: Request) -> Response:
    """The form."""
    return _form(request)


async def sign_in(request: Request) -> Response:
    """Check a name and a password."""
    entry = access_of(request)
    if not is_safe(entry.origins.origin(request)):
        raise refuse("role", PLAIN)
    form = await form_of(request)
    name = form.get("name", "").strip() or "console"
    role = ""
    try:
        peer = entry.origins.peer(request)
        role = await entry.signin.role(name, form.get("password", ""), peer)
    except Refusal as error:
        answer = _form(request, error.problem, form.get("next", ""))
        answer.headers.update(error.problem.headers)
        return answer
    if not role:
        wrong = Problem("login", "The name or the password is wrong.", "Try again.")
        return _form(request, wrong, form.get("next", ""))
    answer = RedirectResponse(_inside(form.get("next", "")), 303)
    entry.sessions.begin(request, answer, name, role)
    return answer


async def show_key(request: Request) -> Response:
    """The page whose script posts the key that stands behind the # of its address."""
    return draw(request, "in.html", {"problem": None})


async def sign_in_by_key(request: Request) -> Response:
    """Check the key that `ringback dev` or `ringback console` has printed."""
    entry = access_of(request)
    given = (await form_of(request)).get("key", "").strip()
    key, peer = entry.sessions.key_of_shell(), entry.origins.peer(request)
    if entry.tries.wait(peer):
        raise refuse("limit", headers={"retry-after": "60"})
    if not key or not hmac.compare_digest(given.encode("utf-8", "replace"), key.encode()):
        wrong = Problem("login", "This key is not the one that the shell has printed.")
        return draw(request, "in.html", {"problem": wrong.shown()}, 401)
    answer = RedirectResponse("/console/", 303)
    entry.sessions.begin(request, answer, "dev", "admin", DEV_DAYS)
    entry.access.look(iso(datetime.now(UTC)), "dev", "sign-in", "by key", peer)
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    answer = RedirectResponse("/console/login", 303)
    access_of(request).sessions.end(request, answer)
    return answer


async def unmask(request: Request) -> Response:
    """Show whole numbers for a quarter of an hour."""
    identity = identity_of(request)
    if identity.via == "session":
        access_of(request).sessions.unmask(request, identity)
    return RedirectResponse(_inside((await form_of(request)).get("next", "")), 303)


async def look(request: Request) -> Response:
    """Choose light or dark, wide or close rows, keys or none; or what there is by itself."""
    form = await form_of(request)
    answer = RedirectResponse(_inside(form.get("next", "")), 303)
    for name, values in LOOKS.items():
        if form.get(name) in values:
            answer.set_cookie(
                f"rb-{name}", form[name], max_age=31_536_000, samesite="lax", httponly=True
            )
        elif name in form:
            answer.delete_cookie(f"rb-{name}")
    return answer


async def save_view(request: Request) -> Response:
    """Keep the address of a page under a name, or forget it again."""
    form, identity = await form_of(request), identity_of(request)
    access, name = access_of(request).access, form.get("name", "").strip()
    where = _inside(form.get("where", ""))
    if form.get("do") == "forget":
        access.drop_view(identity.name, name)
    elif not (name.isprintable() and 1 <= len(name) <= 60) or len(where) > LONGEST_VIEW:
        raise refuse("field", "A view has a name of 1 to 60 printable letters.",
                     fields=(("name", "is no name"),))  # fmt: skip
    else:
        access.save_view(identity.name, name, where)
    return RedirectResponse(where, 303)


def _form(request: Request, problem: Problem | None = None, following: str = "") -> Response:
    safe = is_safe(access_of(request).origins.origin(request))
    values = {
        "problem": problem.shown() if problem else None,
        "plain": "" if safe else PLAIN,
        "next": following or request.query_params.get("next", ""),
    }
    return draw(request, "login.html", values, problem.status if problem else 200)


def _inside(target: str) -> str:
    """Where to go after it: a path of ours, whatever was asked for."""
    good = target.startswith("/console/") and "\\" not in target and target.isprintable()
    return quote(target, safe="/?=&%.-_~") if good else "/console/"


PAGE = Page(
    "/console/login",
    "Sign in",
    (
        Route("/console/login", show, methods=["GET"]),
        Route("/console/login", sign_in, methods=["POST"]),
        Route("/console/in", show_key, methods=["GET"]),
        Route("/console/in", sign_in_by_key, methods=["POST"]),
        Route("/console/logout", sign_out, methods=["POST"]),
        Route("/console/look", look, methods=["POST"]),
        Route("/console/views", save_view, methods=["POST"]),
        Route("/console/unmask", unmask, methods=["POST"]),
    ),
)
