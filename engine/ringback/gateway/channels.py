"""Channels of notices to people: the log, a webhook, e-mail, chats, pagers, Apprise.

A project names its channels in `ringback.toml`, a rule or plugin says `via: NAME`::

    [channels.ops]
    kind = "pagerduty"
    routing_key = {"$env" = "PAGERDUTY_KEY"}

Each attempt is one attempt: what failed is tried again by the worker, by the same rules as any
other action. Repeating a notice is harmless: PagerDuty knows it by its key, a webhook by its id.
"""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from ringback.actions import Notify
from ringback.errors import ServerError, UsageError
from ringback.gateway import email
from ringback.gateway.channel_tables import (
    TABLE,
    AppriseTable,
    CallTable,
    EmailTable,
    TextTable,
    WebhookTable,
    words_of,
)
from ringback.gateway.notice_requests import Posted, posted
from ringback.gateway.safe_http import Outbound
from ringback.settings_mistakes import invalid

log = logging.getLogger("ringback.notice")

BUILT_IN = ("log", "webhook")
"""Channels that need no table: `webhook` takes its address from the notice."""

MOST_MAILS = 1_000
"""So many mails may wait for recipients who are refused for a while."""

_LEVELS = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def _installed(module: str) -> bool:
    return module in sys.modules or find_spec(module) is not None


class Channels:
    """The channels of a project. `problems` says what is wrong with their tables, by name."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        outbound: Outbound,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._outbound = outbound
        self._mails: dict[str, email.Progress] = {}
        self._tables: dict[str, Any] = {}
        self.problems: list[str] = []
        self._kinds = {
            name: table.get("kind") or "" for name, table in tables.items() if name not in BUILT_IN
        }
        for name, table in tables.items():
            if name in BUILT_IN:
                self.problems.append(f"[channels.{name}]: the name is taken by a built-in channel")
                continue
            try:
                self._tables[name] = TABLE.validate_python(
                    {word: self._value(name, word, each, environ or {})
                     for word, each in table.items()}
                )  # fmt: skip
            except ValidationError as error:
                for each in error.errors():
                    place = ".".join(str(part) for part in each["loc"][1:])
                    if each["type"].startswith("union_tag"):
                        place = "kind"
                    known = words_of(table.get("kind"))
                    self.problems.append(f"[channels.{name}] {place}: {invalid(each, known)}")
                continue
            if table.get("kind") == "apprise" and not _installed("apprise"):
                says = f"[channels.{name}] needs Apprise, which is not installed"
                self.problems.append(f"{says}: pip install apprise")

    def require(self, name: str) -> None:
        """Raise UsageError when no channel is called so."""
        if name not in (*BUILT_IN, *self._tables):
            known = ", ".join((*BUILT_IN, *self._tables))
            raise UsageError(f"notify: no channel is called {name!r}; there are: {known}")

    def described(self) -> list[tuple[str, str, str]]:
        """The name and kind of each channel, and where its notices go, without anything secret;
        those that are set up wrongly too."""
        built_in = [("log", "built in", "the log"), ("webhook", "built in", "as the notice says")]
        return built_in + [
            (name, str(kind), self._tables[name].where if name in self._tables else "")
            for name, kind in self._kinds.items()
        ]

    async def give(self, notice: Notify, event_uid: str, uid: str) -> None:
        """Give one notice. `uid` names it: the same when it is tried again, and no other's.

        Raises UsageError for a channel that is not there, GatewayError when the other side did not
        take it.
        """
        self.require(notice.via)
        table = self._tables.get(notice.via)
        match table:
            case WebhookTable():
                await self._webhook(notice, event_uid, uid, table.url, table.secret)
            case EmailTable():
                await self._email(notice, event_uid, uid, table)
            case AppriseTable():
                await self._apprise(notice, table)
            case TextTable() | CallTable():
                raise UsageError(
                    f"notify: {notice.via} is a person, who gets a text or call instead"
                )
            case None:
                await self._built_in(notice, event_uid, uid)
            case _:
                await self._post(posted(table, notice, event_uid, uid))

    async def _email(self, notice: Notify, event_uid: str, uid: str, table: EmailTable) -> None:
        """One mail. Who has it does not get it again when it is tried again for the others."""
        message = email.compose(
            table.sender, table.to, notice.text, name=uid, key=notice.key, event_uid=event_uid,
            severity="resolved" if notice.resolved else notice.severity,
        )  # fmt: skip
        progress = self._mails.pop(uid, None) or email.Progress()
        try:
            await asyncio.to_thread(email.send, table.smtp, message, progress)
        except ServerError:
            if len(self._mails) < MOST_MAILS:
                self._mails[uid] = progress
            raise

    async def _built_in(self, notice: Notify, event_uid: str, uid: str) -> None:
        if notice.via == "log":
            level = _LEVELS.get(notice.severity, logging.WARNING)
            log.log(level, "%s", notice.text, extra={"event_uid": event_uid, "key": notice.key})
        else:
            await self._webhook(notice, event_uid, uid, notice.url, "")

    async def _webhook(
        self, notice: Notify, event_uid: str, uid: str, url: str, secret: str
    ) -> None:
        payload = {
            "type": "ringback.notice", "text": notice.text, "key": notice.key,
            "severity": notice.severity, "resolved": notice.resolved, "event": event_uid,
        }  # fmt: skip
        await self._outbound.deliver(url, payload, message_id=uid, secret=secret)

    async def _post(self, wanted: Posted) -> None:
        await self._outbound.request(
            "POST", wanted.url, body=json.dumps(wanted.body).encode(),
            headers={"Content-Type": "application/json", **wanted.headers},
        )  # fmt: skip

    async def _apprise(self, notice: Notify, table: AppriseTable) -> None:
        try:
            apprise = importlib.import_module("apprise")
        except ImportError:
            raise UsageError("notify: this channel needs Apprise: pip install apprise") from None
        reach = apprise.Apprise()
        for url in table.urls:
            if not reach.add(url):
                raise UsageError("notify: Apprise does not understand one of this channel's urls")
        if not await reach.async_notify(body=notice.text, title=f"Ringback {notice.severity}"):
            raise ServerError("Apprise could not reach everybody on this channel", origin="network")

    def _value(self, name: str, word: str, value: Any, environ: Mapping[str, str]) -> Any:
        if isinstance(value, list | tuple):
            return [self._value(name, word, each, environ) for each in value]
        if not (isinstance(value, Mapping) and set(value) == {"$env"}):
            return value
        variable = str(value["$env"])
        if variable not in environ:
            self.problems.append(f"[channels.{name}] {word}: the environment has no {variable}")
        return environ.get(variable, "-")
