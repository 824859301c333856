"""Reply of the application to a text: its document fetched, its messages and redirects run.

https://www.twilio.com/docs/messaging/twiml
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urljoin

from ringback.simulator.debugger import Trouble, report
from ringback.simulator.records import Message
from ringback.simulator.refusal import Refusal
from ringback.simulator.sending import SendRequest, send
from ringback.simulator.twiml import Document, Element, parse
from ringback.simulator.webhook_client import Delivery, Webhook
from ringback.simulator.world import World

DOCUMENTS = 20
REPLIES, REPLY_SECONDS = 15, 30.0
REPLY_CODES = {21211: 14101, 21212: 14102, 21606: 14102, 21602: 14103, 21617: 14103, 21609: 14105}
"""What the REST API refuses with one code, a document with another."""


def fetch(
    world: World, message: Message, webhook: Webhook, fallback_url: str, fallback_method: str
) -> None:
    """Ask the application what to do about an inbound message, and do it."""

    def failed(code: int, text: str, asked: Webhook, delivery: Delivery) -> None:
        report(
            world,
            Trouble(code, "error", text, message.account_sid, message.sid, asked, delivery),
        )
        if fallback_url and asked.url != fallback_url:
            more = (("ErrorCode", str(code)), ("ErrorUrl", asked.url))
            again = replace(
                webhook, url=fallback_url, method=fallback_method, fields=webhook.fields + more
            )
            world.outbox.ask(again, partial(_read, world, message, again, 1, lost))

    def lost(code: int, text: str, asked: Webhook, delivery: Delivery) -> None:
        report(
            world,
            Trouble(code, "error", text, message.account_sid, message.sid, asked, delivery),
        )

    world.outbox.ask(webhook, partial(_read, world, message, webhook, 1, failed))


Failed = Callable[[int, str, Webhook, Delivery], None]


def _read(
    world: World, message: Message, asked: Webhook, depth: int, failed: Failed, delivery: Delivery
) -> None:
    if delivery.error:
        failed(delivery.error, delivery.reason, asked, delivery)
        return
    if delivery.status == 204:
        return
    document = parse(delivery.body, delivery.content_type or None, channel="message")
    for problem in document.problems:
        if problem is not document.error:
            report(
                world,
                Trouble(
                    problem.code, problem.level, problem.message, message.account_sid,
                    message.sid, asked, delivery,
                ),
            )  # fmt: skip
    if document.error is not None:
        failed(document.error.code, document.error.message, asked, delivery)
        return
    _run(world, message, asked, depth, failed, delivery, document)


def _run(
    world: World, message: Message, asked: Webhook, depth: int, failed: Failed,
    delivery: Delivery, document: Document,
) -> None:  # fmt: skip
    base = delivery.url or asked.url
    for verb in document.verbs:
        if verb.name == "Message":
            send_reply(world, message, verb, base)
        elif verb.name == "Redirect":
            if depth >= DOCUMENTS:
                failed(14106, "the redirects of this reply never end", asked, delivery)
                return
            target = urljoin(base, verb.text) if verb.text else base
            again = replace(asked, url=target, method=verb.get("method").upper() or "POST")
            world.outbox.ask(again, partial(_read, world, message, again, depth + 1, failed))
            return


def send_reply(world: World, message: Message, verb: Element, base: str) -> None:
    """Send one `<Message>` of a reply; what Twilio would refuse becomes a debugger error."""
    texts = [child.text for child in verb.nested("Body")] or [verb.text]
    callback = verb.get("action") or verb.get("statusCallback")
    request = SendRequest(
        recipient=verb.get("to") or message.sender or "",
        sender=verb.get("from") or message.recipient,
        body="".join(texts),
        media=tuple(urljoin(base, child.text) for child in verb.nested("Media") if child.text),
        callback=urljoin(base, callback) if callback else "",
        direction="outbound-reply",
    )

    def refused(code: int, words: str) -> None:
        report(world, Trouble(code, "error", words, message.account_sid, message.sid))

    now = world.clock.now()
    recent = [
        at
        for at in world.replies.get((request.sender, request.recipient), [])
        if at > now - REPLY_SECONDS
    ]
    if len(recent) >= REPLIES:
        refused(14107, "more than 15 replies between these two numbers in 30 seconds")
        return
    world.replies[request.sender, request.recipient] = [*recent, now]
    try:
        send(world, message.account_sid, request)
    except Refusal as refusal:
        refused(REPLY_CODES.get(refusal.code, refusal.code), refusal.message)
