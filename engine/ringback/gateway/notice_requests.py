"""Requests of notices: what each service that takes JSON over HTTP is sent. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any
from urllib.parse import quote

from ringback.actions import Notify
from ringback.gateway.channel_tables import (
    DiscordTable,
    NtfyTable,
    OpsgenieTable,
    PagerDutyTable,
    SlackTable,
    TeamsTable,
    TelegramTable,
)

CARD = "application/vnd.microsoft.card.adaptive"
_PRIORITIES = {"info": "P5", "warning": "P3", "error": "P2", "critical": "P1"}
_URGENCIES = {"info": 3, "warning": 3, "error": 4, "critical": 5}
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Posted:
    """One POST: the address, the body as data for JSON, and headers."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def headline(notice: Notify) -> str:
    """How bad it is, or that it is over, and the text."""
    return f"{'resolved' if notice.resolved else notice.severity}: {notice.text}"


@singledispatch
def posted(table: Any, notice: Notify, event_uid: str, uid: str) -> Posted:
    """The request of a notice for a channel. `uid` names the notice: the same when it is tried
    again. Raises TypeError for a table of a kind that takes no such request."""
    raise TypeError(f"{type(table).__name__} takes no request")


@posted.register
def _pagerduty(table: PagerDutyTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    return Posted(
        table.url,
        {
            "routing_key": table.routing_key,
            "event_action": "resolve" if notice.resolved else "trigger",
            "dedup_key": (notice.key or uid)[:255],
            "payload": {
                "summary": notice.text[:1024],
                "source": "ringback",
                "severity": notice.severity,
                "custom_details": {"event": event_uid},
            },
        },
    )


@posted.register
def _opsgenie(table: OpsgenieTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    """An alert, found again by its alias, or the close of it."""
    alias, headers = (notice.key or uid)[:512], {"Authorization": f"GenieKey {table.api_key}"}
    base = f"{table.url.rstrip('/')}/v2/alerts"
    if notice.resolved:
        body = {"source": "ringback", "note": notice.text[:25_000]}
        url = f"{base}/{quote(alias, safe='')}/close?identifierType=alias"
        return Posted(url, body, headers)
    alert: dict[str, Any] = {
        "message": " ".join(notice.text.split())[:130], "alias": alias,
        "description": notice.text[:15_000], "priority": _PRIORITIES[notice.severity],
        "source": "ringback", "details": {"event": event_uid},
    }  # fmt: skip
    return Posted(base, alert, headers)


@posted.register
def _slack(table: SlackTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    """A text in which nothing is a link or a mention."""
    return Posted(table.url, {"text": headline(notice)[:4000].translate(_SLACK)})


@posted.register
def _discord(table: DiscordTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    """A text that calls nobody by a mention in it."""
    return Posted(
        table.url, {"content": headline(notice)[:2000], "allowed_mentions": {"parse": []}}
    )


@posted.register
def _teams(table: TeamsTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard", "version": "1.4",
        "body": [{"type": "TextBlock", "text": headline(notice)[:10_000], "wrap": True}],
    }  # fmt: skip
    attachment = {"contentType": CARD, "contentUrl": None, "content": card}
    return Posted(table.url, {"type": "message", "attachments": [attachment]})


@posted.register
def _ntfy(table: NtfyTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    """A message as JSON, which goes to the address of the server itself."""
    body = {
        "topic": table.topic, "message": notice.text[:4000],
        "title": f"Ringback: {'resolved' if notice.resolved else notice.severity}",
        "priority": 3 if notice.resolved else _URGENCIES[notice.severity],
        "tags": ["white_check_mark" if notice.resolved else "warning"],
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {table.token}"} if table.token else {}
    return Posted(f"{table.url.rstrip('/')}/", body, headers)


@posted.register
def _telegram(table: TelegramTable, notice: Notify, event_uid: str, uid: str) -> Posted:
    """A plain text: no mark of a stranger's words is read as formatting."""
    return Posted(
        f"{table.url.rstrip('/')}/bot{table.token}/sendMessage",
        {"chat_id": table.chat, "text": headline(notice)[:4096],
         "link_preview_options": {"is_disabled": True}},
    )  # fmt: skip
