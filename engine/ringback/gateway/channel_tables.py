"""Tables of channels: what `[channels.NAME]` in `ringback.toml` says for each kind."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


def _like(pattern: str, what: str) -> AfterValidator:
    """A text that looks like this; `what` says in words what it must be."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {what}")
        return text

    return AfterValidator(check)


_NUMBER = r"(whatsapp:)?\+[1-9]\d{6,14}"
Url = Annotated[str, _like(r"https?://.+", "an address that begins with https://")]
Word = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def where(self) -> str:
        """Where its notices go, without anything secret."""
        return urlsplit(str(getattr(self, "url", ""))).hostname or ""


class WebhookTable(_Table):
    """A fixed address, signed by Standard Webhooks when there is a secret."""

    kind: Literal["webhook"]
    url: Url
    secret: str = ""


class PagerDutyTable(_Table):
    """An Events API v2 integration.

    https://developer.pagerduty.com/docs/events-api-v2
    """

    kind: Literal["pagerduty"]
    routing_key: Word
    url: str = "https://events.pagerduty.com/v2/enqueue"


class OpsgenieTable(_Table):
    """An API integration of Opsgenie; `https://api.eu.opsgenie.com` in the EU.

    https://docs.opsgenie.com/docs/alert-api
    """

    kind: Literal["opsgenie"]
    api_key: Word
    url: Url = "https://api.opsgenie.com"


class SlackTable(_Table):
    """An incoming webhook of Slack; its address is the secret.

    https://api.slack.com/messaging/webhooks
    """

    kind: Literal["slack"]
    url: Url


class DiscordTable(_Table):
    """A webhook of a Discord channel; its address is the secret.

    https://discord.com/developers/docs/resources/webhook
    """

    kind: Literal["discord"]
    url: Url


class TeamsTable(_Table):
    """A workflow of Microsoft Teams that posts what a webhook brings; its address is the secret.

    https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors
    """

    kind: Literal["teams"]
    url: Url


class NtfyTable(_Table):
    """A topic of ntfy, at ntfy.sh or a server of one's own.

    https://docs.ntfy.sh/publish
    """

    kind: Literal["ntfy"]
    topic: Annotated[str, _like(r"[A-Za-z0-9_-]{1,64}", "letters, digits, _ and -, 64 at most")]
    token: str = ""
    url: Url = "https://ntfy.sh"

    @property
    def where(self) -> str:
        """The server and the topic."""
        return f"{urlsplit(self.url).hostname}, topic {self.topic}"


class TelegramTable(_Table):
    """A bot of Telegram, and the chat that it writes to.

    https://core.telegram.org/bots/api
    """

    kind: Literal["telegram"]
    token: Annotated[str, _like(r"\d+:[\w-]+", "the token of a bot, as 123456:ABC-DEF")]
    chat: Annotated[str, _like(r"-?\d+|@\w+", "the id of a chat, or @ and a channel's name")]
    url: Url = "https://api.telegram.org"

    @property
    def where(self) -> str:
        """The server and the chat."""
        return f"{urlsplit(self.url).hostname}, chat {self.chat}"


class EmailTable(_Table):
    """A mail server: `smtp://user:password@host:587` (with STARTTLS) or `smtps://…:465`."""

    kind: Literal["email"]
    smtp: Annotated[str, _like(r"smtps?://.+", "smtp://user:password@host:587 or smtps://…:465")]
    sender: Annotated[str, _like(r"[^@\s]+@[^@\s]+", "an e-mail address")] = Field(alias="from")
    to: Annotated[list[str], Field(min_length=1, max_length=50)]

    @property
    def where(self) -> str:
        """The recipients and the server."""
        return f"{', '.join(self.to)} by {urlsplit(self.smtp).hostname}"


class TextTable(_Table):
    """A person on call, by a text. It goes out as any text of ours does."""

    kind: Literal["text"]
    to: Annotated[str, _like(_NUMBER, "a number as +12025550101, or whatsapp: before it")]
    sender: str = Field("", alias="from")

    @property
    def where(self) -> str:
        """The number."""
        return self.to


class CallTable(_Table):
    """A person on call, by a call that reads the notice out."""

    kind: Literal["call"]
    to: Annotated[str, _like(r"\+[1-9]\d{6,14}", "a number as +12025550101")]
    sender: str = Field("", alias="from")

    @property
    def where(self) -> str:
        """The number."""
        return self.to


class AppriseTable(_Table):
    """Anything that Apprise reaches, by its addresses. Needs `pip install apprise`."""

    kind: Literal["apprise"]
    urls: Annotated[list[str], Field(min_length=1, max_length=50)]

    @property
    def where(self) -> str:
        """The services, by the words of Apprise."""
        return ", ".join(url.partition("://")[0] for url in self.urls)


Table = Annotated[
    WebhookTable
    | PagerDutyTable
    | OpsgenieTable
    | SlackTable
    | DiscordTable
    | TeamsTable
    | NtfyTable
    | TelegramTable
    | EmailTable
    | TextTable
    | CallTable
    | AppriseTable,
    Field(discriminator="kind"),
]
TABLE: TypeAdapter[Any] = TypeAdapter(Table)
PEOPLE = ("text", "call")
"""Kinds of channels that are people, who get a text or a call of ours."""
_TABLES: tuple[type[_Table], ...] = get_args(get_args(Table)[0])


def person(
    tables: Mapping[str, Any], name: str, environ: Mapping[str, str]
) -> TextTable | CallTable | None:
    """Who is reached by a channel of the kind `text` or `call`; None for another channel, and for
    one that is set up wrongly."""
    table = tables.get(name)
    if not isinstance(table, Mapping) or table.get("kind") not in PEOPLE:
        return None
    try:
        found: TextTable | CallTable = TABLE.validate_python(
            {word: _read(value, environ) for word, value in table.items()}
        )
    except ValidationError:
        return None
    return found


def _read(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping) and set(value) == {"$env"}:
        return environ.get(str(value["$env"]), "-")
    return value


def words_of(kind: object) -> list[str]:
    """The words that a table of this kind may have; empty for a kind that is not there."""
    for table in _TABLES:
        if kind in get_args(table.model_fields["kind"].annotation):
            return [item.alias or name for name, item in table.model_fields.items()]
    return []
