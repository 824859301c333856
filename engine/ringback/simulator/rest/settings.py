"""Settings that a request may change: parameters in CamelCase to fields in snake_case, checked."""

import re
from collections.abc import Mapping
from typing import Any

from ringback.simulator.form import Form
from ringback.simulator.refusal import invalid

URL_CODES = {"status_callback": 21502}
LONGEST_NAME = 64
SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}", re.ASCII)


def snake(name: str) -> str:
    """`SmsFallbackUrl` becomes `sms_fallback_url`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def changes(form: Form, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The fields that a request sets. A parameter that is there but blank clears its field, unless
    only certain words may stand in it: the document knows no null there, so it stays as it is.

    `kinds` names each parameter and how it is read: url, method, flag, sid, name, text, or a list
    of words separated by `|`.
    """
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name not in form:
            continue
        field, value = snake(name), form.text(name)
        if kind == "url":
            found[field] = form.url(name, URL_CODES.get(field, 21402))
        elif kind == "method":
            found[field] = form.method(name)
        elif kind == "flag":
            found[field] = form.flag(name)
        elif kind == "sid":
            if value and not SID.fullmatch(value):
                raise invalid(20423, f"{name} is not a SID: {value[:60]}")
            found[field] = value or None
        elif kind == "name":
            if len(value) > LONGEST_NAME:
                raise invalid(20002, f"{name} may have {LONGEST_NAME} characters")
            found[field] = value
        elif "|" in kind:
            if word := form.choice(name, tuple(kind.split("|")), ""):
                found[field] = word
        else:
            found[field] = value
    return found


def fallbacks(fields: Mapping[str, Any]) -> None:
    """A fallback without a primary URL is refused."""
    for prefix, code in (("voice", 21405), ("sms", 21406)):
        if (
            fields.get(f"{prefix}_fallback_url")
            and not fields.get(f"{prefix}_url")
            and not fields.get(f"{prefix}_application_sid")
        ):
            raise invalid(code, f"A {prefix} fallback URL needs a {prefix} URL")
