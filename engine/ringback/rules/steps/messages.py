"""Steps that write to somebody: reply, send, notify, http; and what is kept about a contact."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ringback.actions import Action, HttpRequest, Notify, Remember, SendMessage
from ringback.events import Event
from ringback.rules.addresses import distinct
from ringback.rules.language.named_values import ANSWER
from ringback.rules.language.templates import as_text
from ringback.rules.steps.base import (
    Body,
    Data,
    Json,
    MaybeWord,
    One,
    Policy,
    Recipients,
    Span,
    StepModel,
    Steps,
    Text,
    Texts,
    Url,
    Urls,
)
from ringback.runtime import from_person, iso
from ringback.verbs import Verb


class Message(StepModel):
    """What a text may have, whoever it is for: words, media, or a content template with its
    variables; when it leaves; and what Twilio makes of it.

    https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
    """

    body: Body = ""
    media: Urls = Field(default_factory=list, max_length=10)
    content: One = ""
    variables: Json = Field(default_factory=dict)
    at: One = ""
    risk_check: Literal["", "enable", "disable"] = ""
    policy: Policy = "checked"

    def wrong(self) -> tuple[str, str]:
        """Nothing to say, two things at once, or a template or a moment that is none."""
        if self.content and (self.body or self.media):
            return "content", "needs either body and media, or content"
        if not (self.body or self.media or self.content):
            return "body", "needs body, media or content"
        if self.content and "${{" not in self.content and not _TEMPLATE.fullmatch(self.content):
            return "content", f"{self.content!r} is no content template; write its SID, HX…"
        if self.variables and not self.content:
            return "variables", "variables belong to content"
        if any(not isinstance(value, str) for value in self.variables.values()):
            return "variables", "variables are texts, by their names in the template"
        try:
            from_person(self.at if self.at and "${{" not in self.at else _ANY_MOMENT)
        except ValueError as error:
            return "at", str(error)
        return "", ""

    @staticmethod
    def message(to: str, given: Mapping[str, Any]) -> SendMessage:
        """The text to one person. Raises ValueError for a moment or a template that is none."""
        content, variables = given["content"], given["variables"]
        if content and not _TEMPLATE.fullmatch(content):
            raise ValueError(f"{content!r} is no content template; its SID begins with HX")
        more = {name: given[word] for word, name in _OPTIONS.items() if given.get(word)}
        if variables:
            more[_VARIABLES] = json.dumps(variables, ensure_ascii=False)
        return SendMessage(
            to=to,
            body=given["body"],
            media=tuple(given["media"]),
            policy=given["policy"],
            not_before=iso(from_person(given["at"])) if given["at"] else "",
            extra=more | ({_SHORTEN: "true"} if given.get("shorten") else {}),
        )


def options_of(action: SendMessage) -> dict[str, Any]:
    """What a text has besides its words and media, in the words of its step."""
    extra = action.extra
    return {
        **{word: extra.get(name, "") for word, name in _OPTIONS.items()},
        "variables": json.loads(extra.get(_VARIABLES, "{}")),
        "shorten": extra.get(_SHORTEN, "") == "true",
        "at": action.not_before,
    }


_OPTIONS = {"content": "ContentSid", "risk_check": "RiskCheck", "fallback_from": "FallbackFrom"}
_VARIABLES, _SHORTEN = "ContentVariables", "ShortenUrls"
_TEMPLATE = re.compile(r"HX[0-9a-fA-F]{32}")
"""https://www.twilio.com/docs/content/content-api-resources"""
_ANY_MOMENT = "2026-01-01T00:00Z"


class Reply(Message):
    """Text the other side of the conversation, from the number that it used."""

    step: ClassVar[str] = "reply"
    needs: ClassVar[str] = "contact"
    plain: ClassVar[str] = "body"
    example: ClassVar[str] = "- reply: We are open Mon-Fri 9-17."

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One message."""
        made = Message.message(event.theirs, given)
        return (replace(made, sender=event.ours, in_reply_to=event.answered_sid),)


class Send(Message):
    """Text somebody: one number, several, or a list. `from` is our number, else the default.

    With a messaging `service` Twilio may shorten the links in it (`shorten`), and write from
    `fallback_from` to whom RCS does not reach.
    """

    step: ClassVar[str] = "send"
    gist: ClassVar[str] = "body"
    example: ClassVar[str] = "- send: {to: '${{ lists.oncall }}', body: 'Please look.'}"

    to: Recipients
    from_: One = Field("", alias="from")
    service: One = ""
    shorten: bool = False
    fallback_from: One = ""

    def wrong(self) -> tuple[str, str]:
        """A text that says nothing, or asks for what only a messaging service does."""
        for word in ("shorten", "fallback_from"):
            if getattr(self, word) and not self.service:
                return word, f"{word!r} needs a messaging `service`"
        return Message.wrong(self)

    @staticmethod
    def told_once(event: Event, given: dict[str, Any]) -> dict[str, Any]:
        """Each person once, in whatever spelling."""
        return given | {"to": distinct(given["to"], given["from"], event.ours)}

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One message for each recipient."""
        service, sender = given["service"], given["from"]
        return tuple(
            replace(Message.message(to, given), sender=sender, messaging_service_sid=service)
            for to in given["to"]
        )


class NotifyStep(StepModel):
    """Tell a person or a machine: in the log, by a webhook, or through a configured channel."""

    step: ClassVar[str] = "notify"
    plain: ClassVar[str] = "text"
    example: ClassVar[str] = (
        "- notify: {text: 'Delivery failed', webhook: 'https://example.org/hook'}"
    )

    text: Text
    via: One = ""
    webhook: Url = ""
    key: Text = ""
    severity: Literal["info", "warning", "error", "critical"] = "warning"
    resolved: bool = False

    def wrong(self) -> tuple[str, str]:
        """A webhook without its address, an address that is none, an end of no matter."""
        if self.resolved and not self.key:
            return "resolved", "needs key: the matter that is over"
        if self.via == "webhook" and not self.webhook:
            return "via", "needs webhook: the address to post to"
        if self.webhook and "${{" not in self.webhook and not self.webhook.startswith("http"):
            return "webhook", "webhook must be an address that begins with https://"
        return "", ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One notice."""
        via = given["via"] or ("webhook" if given["webhook"] else "log")
        return (
            Notify(
                text=given["text"],
                via=via,
                url=given["webhook"],
                key=given["key"],
                severity=given["severity"],
                resolved=given["resolved"],
            ),
        )


MaybeAuth = Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]{1,40})?$")]


class Http(StepModel):
    """Call a web service. Private addresses are refused, redirects are not followed.

    `auth` names credentials of the configuration, which go to their own host alone.

    With `as` the run waits for the answer, for `timeout` in all, and asks up to `retries` times
    again; `else` are the steps for when none comes.
    """

    step: ClassVar[str] = "http"
    plain: ClassVar[str] = "url"
    example: ClassVar[str] = (
        "- http: {url: 'https://example.org/hook', json: {from: '${{ event.from }}'}}"
    )
    keeps: ClassVar[Mapping[str, str]] = ANSWER

    url: Url = Field(min_length=1)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    json_: Data = Field(default_factory=dict, alias="json")
    headers: Json = Field(default_factory=dict)
    auth: MaybeAuth = ""
    as_: MaybeWord = Field("", alias="as")
    timeout: Annotated[Span, Field(ge=1, le=3600)] = 30.0
    retries: int = Field(0, ge=0, le=5)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """An address that is none, a header that would be two, a time that nobody waits."""
        for word in ("timeout", "retries"):
            if word in self.model_fields_set and not (self.as_ or self.else_):
                return word, f"{word} needs `as`: without it nothing waits for the answer"
        if "${{" not in self.url and not self.url.startswith("http"):
            return "url", "url must be an address that begins with https://"
        for name, value in self.headers.items():
            if any(sign in f"{name}{value}" for sign in "\r\n"):
                return "headers", f"the header {name.strip()!r} has a line break"
            if self.auth and name.strip().lower() == "authorization":
                return "headers", "auth gives the header Authorization: leave it out here"
        return "", ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One request."""
        return (
            HttpRequest(
                url=given["url"],
                method=given["method"],
                json=given["json"] or None,
                headers={name: as_text(value) for name, value in given["headers"].items()},
                auth=given["auth"],
            ),
        )


class RememberStep(StepModel):
    """Keep values about this contact, each under a name, for `remembered('name')`."""

    step: ClassVar[str] = "remember"
    needs: ClassVar[str] = "contact"
    whole: ClassVar[str] = "values"
    example: ClassVar[str] = "- remember: {name: '${{ event.body }}'}"

    values: Json = Field(min_length=1, max_length=50)

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One value for each name."""
        return tuple(
            Remember(event.conversation, name, as_text(value))
            for name, value in given["values"].items()
        )


class Forget(StepModel):
    """Forget values about this contact, by their names."""

    step: ClassVar[str] = "forget"
    needs: ClassVar[str] = "contact"
    plain: ClassVar[str] = "names"
    example: ClassVar[str] = "- forget: [name]"

    names: Texts = Field(min_length=1, max_length=50)

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One value for each name."""
        return tuple(Remember(event.conversation, name, None) for name in given["names"])
