"""Credentials of web services: what `[credentials.NAME]` in `ringback.toml` says.

A step names them (`http: {url: …, auth: shop}`), and the request gets them when it leaves, if it
goes to the host that they are for::

    [credentials.shop]
    host = "shop.example.org"
    token = {"$env" = "SHOP_TOKEN"}

No action, event or page ever holds a secret: they have the name.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ringback.errors import BadRequest, UsageError
from ringback.gateway.safe_http import split_url
from ringback.settings_mistakes import invalid, nearest

MASK = "***"
_LEAST = 4
"""Shorter texts are not looked for in answers: they stand in every text."""
_HTTPS = 443


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str | list[str] = Field(min_length=1)
    token: str = ""
    user: str = ""
    password: str = ""
    header: str = Field("", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*$")
    value: str = ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that they are for."""
        names = self.host if isinstance(self.host, list) else [self.host]
        return tuple(name.strip().lower() for name in names)

    def wrong(self) -> str:
        """What is wrong with the words together, or with a value; empty when nothing is."""
        given = [bool(self.token), bool(self.user or self.password), bool(self.header)]
        if sum(given) != 1:
            return "needs one of token, user and password, or header and value"
        if bool(self.header) != bool(self.value):
            return "header and value belong together"
        if any("/" in host or not host for host in self.hosts):
            return "host is a name like shop.example.org or shop.example.org:8443, without https://"
        if any(not sign.isprintable() or ord(sign) > 126 for sign in self.sent[1]):
            return "a secret has a line break or a letter outside of ASCII"
        return ""

    @property
    def sent(self) -> tuple[str, str]:
        """The header that a request gets."""
        if self.header:
            return self.header, self.value
        if self.token:
            return "Authorization", f"Bearer {self.token}"
        pair = f"{self.user}:{self.password}".encode()
        return "Authorization", f"Basic {base64.b64encode(pair).decode()}"

    @property
    def secrets(self) -> list[str]:
        """What no text may show."""
        said = [self.token, self.password, self.value, self.sent[1].partition(" ")[2]]
        return [each for each in said if len(each) >= _LEAST]


class WebCredentials:
    """The credentials of a project. `problems` says what is wrong with their tables, by name."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.problems: list[str] = []
        self._tables: dict[str, _Table] = {}
        for name, table in (tables or {}).items():
            where = f"[credentials.{name}]"
            try:
                found = _Table.model_validate(
                    {word: self._value(where, word, each, environ or {})
                     for word, each in table.items()}
                )  # fmt: skip
            except ValidationError as error:
                for each in error.errors():
                    place = ".".join(str(part) for part in each["loc"][:1])
                    self.problems.append(f"{where} {place}: {invalid(each, _Table.model_fields)}")
                continue
            if wrong := found.wrong():
                self.problems.append(f"{where} {wrong}")
            self._tables[name] = found
        secrets = {secret for table in self._tables.values() for secret in table.secrets}
        forms = (_spellings(secret) for secret in sorted(secrets, key=len, reverse=True))
        self._secrets = re.compile("|".join(forms) or r"(?!)")

    def header(self, name: str, url: str) -> tuple[str, str]:
        """The header with these credentials for a request to this address. Raises UsageError when
        there are none of this name, or when they are for another host."""
        if name not in self._tables:
            raise UsageError(f"no credentials are called {name!r}{nearest(name, self._tables)}")
        if wrong := self.wrong_host(name, url):
            raise UsageError(wrong)
        return self._tables[name].sent

    def wrong_host(self, name: str, url: str) -> str:
        """Why these credentials may not go to this address; empty when they may, or when there is
        no address yet."""
        if not url:
            return ""
        try:
            parts, host, port = split_url(url)
        except BadRequest as error:
            return str(error)
        hosts, named = self._tables[name].hosts, f"[{host}]" if ":" in host else host
        usual = parts.scheme == "https" and port == _HTTPS  # http shows a secret to all between
        if f"{named}:{port}" in hosts or (usual and named in hosts):
            return ""
        other = named if usual else f"{parts.scheme}://{named}:{port}"
        return f"the credentials {name!r} are for {' and '.join(hosts)}, and not for {other}"

    def masked(self, text: str) -> str:
        """A text without any of the secrets."""
        return self._secrets.sub(MASK, text)

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Any:
        return iter(self._tables)

    def _value(self, where: str, word: str, value: Any, environ: Mapping[str, str]) -> Any:
        if not (isinstance(value, Mapping) and set(value) == {"$env"}):
            return value
        variable = str(value["$env"])
        if not environ.get(variable):
            self.problems.append(f"{where} {word}: the environment has no {variable}")
        return environ.get(variable) or "-"


def _spellings(secret: str) -> str:
    """A pattern for a secret as it is, with escapes of JSON, and as it is written in an address."""
    signs = []
    for sign in secret:
        escaped = [rf"\\{re.escape(sign)}"] if sign in '"\\/' else []
        written = (re.escape(sign), *escaped, rf"(?i:\\u{ord(sign):04x}|%{ord(sign):02x})")
        signs.append(f"(?:{'|'.join(written)})")
    return "".join(signs)
