"""Records of the account and its messages, in tables that write the ledger."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from ringback.simulator.ledger import Ledger
from ringback.simulator.refusal import missing


@dataclass(slots=True, kw_only=True)
class Record:
    """What every record has. `born` is its place in the order of creation."""

    sid: str
    account_sid: str
    created: datetime
    updated: datetime
    born: int = 0


@dataclass(slots=True, kw_only=True)
class Account(Record):
    """An account or sub-account. `token` signs its webhooks."""

    friendly_name: str
    token: str
    owner_sid: str
    status: str = "active"
    kind: str = "Full"


@dataclass(slots=True, kw_only=True)
class Resource(Record):
    """A record without a life of its own: a number, an application, an address, a service."""

    fields: dict[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field as text; nothing when it is null or not there."""
        return str(self.fields.get(name) or "")


PRICE_AFTER = 60.0
"""So many seconds after its end the price of a message or call is shown."""


@dataclass(slots=True, kw_only=True)
class Message(Record):
    """A text message in either direction. `history` is every status it has had. Its price is shown
    from `priced_at` on, a moment of virtual time."""

    sender: str | None
    recipient: str
    body: str
    status: str
    direction: str
    service_sid: str | None = None
    segments: int = 1
    media: list[str] = field(default_factory=list)
    error_code: int | None = None
    callback: str = ""
    sent: datetime | None = None
    price: str | None = None
    priced_at: float = 0.0
    validity: float = 36_000.0
    feedback: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Media(Record):
    """One item of a message, e.g. a picture. `source` is where the sender said that it lies."""

    parent_sid: str
    content_type: str
    source: str


@dataclass(slots=True, kw_only=True)
class Notification(Record):
    """One error or warning, as the debugger shows it."""

    call_sid: str | None
    code: int
    level: str
    text: str
    url: str = ""
    method: str = ""
    variables: str = ""
    response_body: str = ""
    response_headers: str = ""


R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """Records of one kind by SID, in the order of creation. Every change is an entry."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        date: Callable[[], datetime],
        births: dict[str, tuple[int, float]],
    ) -> None:
        self.name = name
        self._ledger = ledger
        self._date = date
        self._rows: dict[str, R] = {}
        self._births = births

    def add(self, record: R, **facts: Any) -> R:
        """Put a new record in."""
        record.born = len(self._births) + 1
        self._births[record.sid] = (record.born, record.created.timestamp())
        self._rows[record.sid] = record
        self._ledger.add("created", resource=self.name, sid=record.sid, **facts)
        return record

    def touch(self, record: R, **facts: Any) -> None:
        """Note that a record has changed."""
        record.updated = self._date()
        self._ledger.add("updated", resource=self.name, sid=record.sid, **facts)

    def remove(self, record: R) -> None:
        """Take a record out. Its place in the order stays known, for pages that are being read."""
        if self._rows.pop(record.sid, None) is not None:
            self._ledger.add("deleted", resource=self.name, sid=record.sid)

    def get(self, sid: str) -> R | None:
        return self._rows.get(sid)

    def need(self, account_sid: str, sid: str, path: str = "") -> R:
        """The record of an account, or Twilio's 404."""
        record = self._rows.get(sid)
        if record is None or record.account_sid != account_sid:
            raise missing(path or f"/{self.name}/{sid}")
        return record

    def of(self, account_sid: str) -> Iterator[R]:
        """The records of an account, oldest first."""
        return (row for row in list(self._rows.values()) if row.account_sid == account_sid)

    def newest(self, account_sid: str) -> Iterator[R]:
        """The records of an account, newest first."""
        rows = list(self._rows.values())
        return (row for row in reversed(rows) if row.account_sid == account_sid)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)
