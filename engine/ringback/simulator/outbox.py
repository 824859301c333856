"""Outbox of webhooks, in which the fault plan loses, delays, repeats and reorders them.

Every webhook goes through here, so every one is in the ledger, with the faults that struck it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from ringback.simulator.faults import Fault
from ringback.simulator.override import read_override
from ringback.simulator.webhook_client import Delivery, Webhook, without_user
from ringback.simulator.world import World

Done = Callable[[Delivery], None]

HELD_SECONDS = 60.0
EVENTS_KEPT = 200
BODY_KEPT = 8192


class Outbox:
    """Sends webhooks for one world. `report` hears of what a debugger would show."""

    def __init__(self, world: World, report: Callable[[Webhook, Delivery], None]) -> None:
        self._world = world
        self._report = report
        self.answered: Counter[str] = Counter()
        self._held: dict[str, list[Callable[[], None]]] = {}

    def notify(self, webhook: Webhook) -> None:
        """Send a notification: the reply has no influence, a failure is a warning."""
        self._check(webhook)
        self._send(self._named(webhook), lambda delivery: self._delivered(webhook, delivery), False)

    def ask(self, webhook: Webhook, then: Done) -> None:
        """Send a request whose reply is wanted. `then` is called once, later."""
        self._check(webhook)
        self._send(self._named(webhook), then, True)

    def _check(self, webhook: Webhook) -> None:
        """A malformed override is a warning; the default stands for it."""
        if problem := read_override(webhook.url)[1].problem:
            words = "the connection override in the fragment is not valid"
            self._report(webhook, Delivery(url=webhook.url, error=problem, reason=words))

    def _named(self, webhook: Webhook) -> Webhook:
        return replace(webhook, token=self._world.random.uuid("idempotency"))

    def _delivered(self, webhook: Webhook, delivery: Delivery) -> None:
        if not delivery.fine:
            self._report(webhook, delivery)

    def _send(self, webhook: Webhook, done: Done, wanted: bool) -> None:
        world = self._world
        wait = 0.0
        copies: list[tuple[int, float]] = []
        reorder = False
        for fault in world.plan.for_webhook(webhook.purpose):
            world.ledger.add(
                "fault", fault=fault.do, name=fault.name, purpose=webhook.purpose,
                sid=webhook.subject,
            )  # fmt: skip
            if fault.do == "lose":
                if wanted:
                    lost = Delivery(url=webhook.url, error=11200, reason="lost by the fault plan")
                    world.clock.after(0.0, partial(done, lost))
                return
            if fault.do == "delay":
                wait += float(fault.get("seconds", 5.0)) + self._jitter(fault)
            elif fault.do == "duplicate":
                copies.append((int(fault.get("copies", 1)), float(fault.get("gap", 0.0))))
            elif fault.do == "reorder":
                reorder = True
            elif fault.do == "wrong_tag":
                tag = str(fault.get("tag", "") or world.random.token("tag", 96))
                webhook = replace(webhook, url=_retag(webhook.url, tag))
            elif fault.do == "bad_signature":
                webhook = replace(webhook, spoil="bad_signature")
        go = partial(self._go, webhook, done)
        if reorder:
            self._hold(webhook.subject, go)
        elif wait > 0:
            world.clock.after(wait, go)
        else:
            go()
        for count, gap in copies:
            for number in range(1, count + 1):
                again = partial(self._go, webhook, lambda _: None)
                if gap > 0:
                    world.clock.after(wait + gap * number, again)
                else:
                    world.clock.after(wait, again)

    def _jitter(self, fault: Fault) -> float:
        most = float(fault.get("jitter", 0.0))
        return self._world.random.between(f"jitter:{fault.name}", 0.0, most) if most else 0.0

    def _hold(self, subject: str, go: Callable[[], None]) -> None:
        """Keep it until the next webhook about the same thing has been answered."""
        held = self._held.setdefault(subject, [])
        held.append(go)
        self._world.clock.after(HELD_SECONDS, partial(self._release, subject))

    def _release(self, subject: str) -> None:
        for go in self._held.pop(subject, []):
            go()

    def _go(self, webhook: Webhook, done: Done) -> None:
        world = self._world
        number = world.ledger.add(
            "webhook", purpose=webhook.purpose, method=webhook.method,
            url=without_user(webhook.url), sid=webhook.subject, fields=dict(webhook.fields),
            json=webhook.json.decode(),
            spoiled=webhook.spoil,
        )  # fmt: skip
        world.webhook_client.send(webhook, partial(self._answered, webhook, number, done))

    def _answered(self, webhook: Webhook, number: int, done: Done, delivery: Delivery) -> None:
        self._world.ledger.add(
            "answered", webhook=number, status=delivery.status, error=delivery.error,
            reason=delivery.reason, content_type=delivery.content_type,
            body=_text(delivery),
        )  # fmt: skip
        self.answered[webhook.subject] += 1
        if webhook.voice:
            self._remember(webhook, delivery)
        try:
            done(delivery)
        finally:
            self._release(webhook.subject)

    def _remember(self, webhook: Webhook, delivery: Delivery) -> None:
        """Keep the request and its answer for the call's Events page."""
        events = self._world.call_events.setdefault(webhook.subject, [])
        if len(events) < EVENTS_KEPT:
            events.append(
                {
                    "request": {
                        "url": without_user(webhook.url),
                        "method": webhook.method,
                        "parameters": dict(webhook.fields),
                    },
                    "response": {
                        "response_code": delivery.status,
                        "content_type": delivery.content_type,
                        "response_body": _text(delivery),
                    },
                }
            )


def _text(delivery: Delivery) -> str:
    """The body of an answer, cut to what is worth keeping."""
    return delivery.body[:BODY_KEPT].decode("utf-8", "replace")


def _retag(url: str, tag: str) -> str:
    parts = urlsplit(url)
    head, _, _ = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=f"{head}/{tag}"))
