"""XML of a resource, which Twilio sends without `.json`: names in UpperCamel.

https://www.twilio.com/docs/usage/twilios-response#response-formats-xml
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ENVELOPE = (
    "page", "page_size", "start", "end", "uri", "first_page_uri", "next_page_uri",
    "previous_page_uri",
)  # fmt: skip


def render(data: Mapping[str, Any]) -> str:
    """A resource, or a page of them, as a `TwilioResponse` document."""
    lists = [name for name, value in data.items() if isinstance(value, list)]
    if "page" in data and lists:
        facts = " ".join(f"{_flat(n)}={quoteattr(_text(data[n]))}" for n in ENVELOPE if n in data)
        name = _camel(lists[0])
        rows = "".join(_element(_one(name), row) for row in data[lists[0]])
        inner = f"<{name} {facts}>{rows}</{name}>"
    else:
        inner = _element(_kind(data), data)
    return f'<?xml version="1.0" encoding="UTF-8"?><TwilioResponse>{inner}</TwilioResponse>'


def refusal(body: Mapping[str, Any]) -> str:
    """An error as XML."""
    names = (("Code", "code"), ("Message", "message"), ("MoreInfo", "more_info"))
    inner = "".join(f"<{name}>{escape(_text(body[key]))}</{name}>" for name, key in names)
    inner += f"<Status>{body['status']}</Status>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><RestException>'
        f"{inner}</RestException></TwilioResponse>"
    )


def _element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inner = "".join(_element(_camel(key), item) for key, item in value.items())
        return f"<{name}>{inner}</{name}>"
    return f"<{name}>{escape(_text(value))}</{name}>" if value is not None else f"<{name}/>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # Not every character of a text may stand in XML.
    return "" if value is None else _ILLEGAL.sub("\ufffd", str(value))


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _flat(name: str) -> str:
    return name.replace("_", "")


def _one(name: str) -> str:
    if name.endswith("ses"):
        return name[:-2]
    return name.removesuffix("List").removesuffix("s") or name


def _kind(data: Mapping[str, Any]) -> str:
    uri = str(data.get("uri") or "").removesuffix(".json").split("/")
    return _one(uri[-2]) if len(uri) > 2 else "Resource"
