"""The state of a simulated Twilio: every record, and the clock, random numbers, ledger and plan.

They decide when, by what chance, and what is written down; the tables hold what exists. Everything
in here happens in one thread of one event loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ringback.simulator.clock import Clock
from ringback.simulator.faults import Fault, Plan, faults_from
from ringback.simulator.handset import Handset
from ringback.simulator.ledger import Ledger
from ringback.simulator.randomness import SeededRandom
from ringback.simulator.records import (
    Account,
    Media,
    Message,
    Notification,
    Resource,
    Table,
)
from ringback.simulator.voice.call_records import Recording
from ringback.simulator.voice.exchange import Exchange
from ringback.simulator.webhook_client import Delivery, Secret, Webhook, WebhookClient

NUMBERS = ("+14155550100", "+12125550101", "+18885550102")
SHORT_CODE = "24242"


class Webhooks(Protocol):
    """What sends webhooks (`outbox.Outbox`, which knows the world)."""

    @property
    def answered(self) -> Mapping[str, int]:
        """How many requests about a call or message have been answered, by SID."""

    def notify(self, webhook: Webhook) -> None:
        """Send a notification."""

    def ask(self, webhook: Webhook, then: Callable[[Delivery], None]) -> None:
        """Send a request whose reply is wanted."""


class HasExchange(Protocol):
    """What holds the telephone exchange of an account (`switchboard.Switchboard`)."""

    @property
    def exchange(self) -> Exchange:
        """The exchange."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to start: the seed, the pace of time, and what the plan says.

    `session` is mixed into all that is drawn but who we are: another session has the same account,
    token, key and numbers, and other SIDs. `ahead` is by how many seconds its time is ahead of the
    wall clock at the start; a negative one begins in the past.
    """

    seed: int = 1
    session: str = ""
    speed: float = 1.0
    stepped: bool = False
    ahead: float = 0.0
    plan: dict[str, Any] = field(default_factory=dict)
    ledger_file: Path | None = None


@dataclass(slots=True)
class Connection:
    """A Maton connection: the grant that lets the gateway speak for one Twilio account."""

    connection_id: str
    status: str
    created: datetime
    updated: datetime
    session: str
    account_sid: str
    app: str = "twilio"
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: drawn from the seed, so that settings can be written before the start."""

    account_sid: str
    auth_token: str
    api_key: str
    api_secret: str
    maton_api_key: str
    connection_id: str
    shared_key_id: str
    shared_key: str


def identity_of(seed: int) -> Identity:
    """The credentials of a simulator with this seed."""
    random = SeededRandom(seed, "identity")
    return Identity(
        account_sid=random.sid("AC"),
        auth_token=random.token("auth"),
        api_key=random.sid("SK"),
        api_secret=random.token("secret"),
        maton_api_key="maton_" + random.token("maton", 192),
        connection_id=random.uuid("connection"),
        shared_key_id="webhooks_sharedkey_" + random.token("shared-id"),
        shared_key=random.token("shared", 256),
    )


class World:
    """Everything that exists in one simulated Twilio."""

    def __init__(self, options: Options, base_url: str = "") -> None:
        self.options = options
        self.base_url = base_url
        self.identity = identity_of(options.seed)
        self.clock = Clock(speed=options.speed, stepped=options.stepped, ahead=options.ahead)
        self.random = SeededRandom(options.seed, options.session)
        self.ledger = Ledger(self.clock.shown, options.ledger_file)
        self.plan = Plan(self.random, faults_from(options.plan.get("faults") or []))
        self.webhook_client = WebhookClient(self._secret, one_by_one=options.stepped)
        self.clock.quiet = self.webhook_client.quiet
        self.clock.broken = lambda words: self.note(f"the simulator broke: {words}")
        self.webhook_client.broken = self.clock.broken
        self.messaging: dict[str, Any] = dict(options.plan.get("messaging") or {})
        self.maton: dict[str, Any] = dict(options.plan.get("maton") or {})
        self.births: dict[str, tuple[int, float]] = {}
        self.accounts: Table[Account] = self._table("Accounts")
        self.numbers: Table[Resource] = self._table("IncomingPhoneNumbers")
        self.applications: Table[Resource] = self._table("Applications")
        self.addresses: Table[Resource] = self._table("Addresses")
        self.caller_ids: Table[Resource] = self._table("OutgoingCallerIds")
        self.services: Table[Resource] = self._table("Services")
        self.messages: Table[Message] = self._table("Messages")
        self.media: Table[Media] = self._table("Media")
        self.notifications: Table[Notification] = self._table("Notifications")
        self.handsets: dict[str, Handset] = {}
        self.blocks: set[tuple[str, str]] = set()
        self.busy_until: dict[str, float] = {}
        self.connections: dict[str, Connection] = {}
        self.replies: dict[tuple[str, str], list[float]] = {}
        self.on_arrival: Callable[[Message], None] = lambda _: None
        self.outbox: Webhooks
        self.switchboards: dict[str, HasExchange] = {}
        self.call_events: dict[str, list[dict[str, Any]]] = {}
        self.deleted_recordings: dict[str, list[Recording]] = {}
        self.list_fault: Fault | None = None
        self.debugger_url = ""
        self.events_url = ""
        self.shared_key_signing = False
        self.closers: list[Callable[[], None]] = []

    def _table(self, name: str) -> Table[Any]:
        return Table(name, self.ledger, self.clock.shown, self.births)

    def _secret(self, account_sid: str) -> Secret:
        account = self.accounts.get(account_sid)
        token = account.token if account else self.identity.auth_token
        if self.shared_key_signing:
            return Secret(token, self.identity.shared_key_id, self.identity.shared_key)
        return Secret(token)

    def note(self, text: str) -> None:
        """Write down something that is no record and no request."""
        self.ledger.add("note", text=text)

    def stamps(self, prefix: str, account_sid: str) -> dict[str, Any]:
        """The common fields of a new record."""
        now = self.clock.shown()
        return {
            "sid": self.random.sid(prefix),
            "account_sid": account_sid,
            "created": now,
            "updated": now,
        }

    def handset(self, number: str) -> Handset:
        """The phone behind a number; every number that is not ours has one."""
        plain = number.removeprefix("whatsapp:").removeprefix("rcs:").removeprefix("messenger:")
        if plain not in self.handsets:
            self.handsets[plain] = Handset(plain)
        return self.handsets[plain]

    def number(self, address: str) -> Resource | None:
        """Our number with this address (channel prefix aside), of any account."""
        plain = address.rpartition(":")[2]
        return next((row for row in self.numbers if row.fields["phone_number"] == plain), None)

    def not_ours(self, address: str) -> str:
        """What is said of an address that is none of our numbers, with those that are."""
        ours = ", ".join(sorted(str(row.fields["phone_number"]) for row in self.numbers))
        return f"{address} is not one of our numbers{f': {ours}' if ours else ''}"

    def verified(self, account_sid: str, address: str) -> bool:
        """Whether somebody showed that this number, which is not ours, is theirs to call from."""
        rows = self.caller_ids.of(account_sid)
        return any(row.text("phone_number") == address for row in rows)

    async def close(self) -> None:
        """Stop time, drop what is under way, close files and connections."""
        self.clock.stop()
        for closer in self.closers:
            closer()
        await self.webhook_client.close()
        self.ledger.close()
