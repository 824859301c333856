"""Twilio in memory, with the behaviour that the send protocol has to survive.

It goes on when the worker dies: a request that has left arrives, a record that was accepted is
delivered, a callback that is owed is sent. Its ledger is the truth that the journal is held
against. https://www.twilio.com/docs/messaging/api/message-resource
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlencode

from ringback.errors import (
    BadRequest,
    ConnectionExpired,
    Forbidden,
    GatewayError,
    NoConnection,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
    Unreadable,
)
from ringback.gateway.transport import Reply
from ringback.twilio.rest import Request
from simulation.faults import NONE, Faults
from simulation.loop import EPOCH, Clock

Answer = Reply | GatewayError
Deliver = Callable[[str, str, dict[str, str]], None]
"""Called with the route, the tag and the fields of a callback."""

ACCOUNT = "AC" + "0" * 32
TIMEOUT = 30.0
OURS = "+15550000001"
POOL = (OURS, "+15550000002")
"""The numbers of our messaging service."""
SERVICE = "MG" + "5" * 32
RECORD_SIDS = {"messages": "SM", "calls": "CA"}


@dataclass
class Record:
    """One message or call that Twilio made. `tag` is that of the attempt that asked for it,
    `shown_at` when a list of its recipient's records first showed it, `history` each status that it
    had, with the error. With a messaging `service` the sender is chosen when it leaves."""

    sid: str
    resource: str
    tag: str
    sender: str
    to: str
    body: str
    made_at: float
    listed_at: float
    status: str = "queued"
    code: str = ""
    direction: str = "outbound-api"
    service: str = ""
    account: str = ACCOUNT
    media: tuple[str, ...] = ()
    shown_at: float = float("inf")
    ended_at: float = float("inf")
    history: list[tuple[str, str]] = field(default_factory=lambda: [("queued", "")])

    @property
    def segments(self) -> int:
        """How many it is counted as: for each record another number, whatever it says."""
        return 1 + int(self.sid[-1], 16) % 3

    @property
    def price(self) -> str:
        """What it costs, for each record something else."""
        return f"0.{70000 + int(self.sid[-3:], 16)}"

    @property
    def priced_at(self) -> float:
        """When its price is known: within ten minutes of its end, and of one in sixteen never."""
        return self.ended_at + (float("inf") if self.sid[4] == "0" else int(self.sid[5:8], 16) / 7)

    def shape(self, now: float) -> dict[str, Any]:
        """The record as a list or an answer shows it."""
        made = datetime.fromtimestamp(int(EPOCH + self.made_at), UTC)
        shown = {
            "sid": self.sid, "account_sid": self.account,
            "from": self.sender or None, "to": self.to,
            "messaging_service_sid": self.service or None,
            "status": self.status, "direction": self.direction,
            "date_created": format_datetime(made), "error_code": int(self.code or 0) or None,
            "price": f"-{self.price}00" if now >= self.priced_at else None, "price_unit": "usd",
        }  # fmt: skip
        if self.resource == "messages":
            chosen = self.status != "queued" or not self.service
            shown["num_segments"] = str(self.segments if chosen else 0)
        count = str(len(self.media))
        said = self.body or self.media
        return {**shown, "body": self.body, "num_media": count} if said else shown

    def attached(self) -> dict[str, Any]:
        """The list of what came with it."""
        path = f"/2010-04-01/Accounts/{self.account}/Messages/{self.sid}/Media"
        return {
            "media_list": [
                {"sid": sid, "content_type": "image/jpeg", "uri": f"{path}/{sid}.json"}
                for sid in self.media
            ]
        }


class Twilio:
    """Takes requests, keeps records, owes callbacks. Everything it will do stands in its heap."""

    def __init__(
        self,
        clock: Clock,
        rng: Random,
        faults: Faults,
        deliver: Deliver,
        trace: Callable[[str, str], None],
    ) -> None:
        self.faults = faults
        self.records: dict[str, Record] = {}
        self.heard: dict[str, Record] = {}
        self.lines: dict[str, str] = {}
        """The calls that came in, and their status."""
        self.asked: dict[str, float] = {}
        self.answers: dict[str, str] = {}
        self.updated: set[str] = set()
        self.paths: list[str] = []
        self.recipients: dict[str, tuple[str, float]] = {}
        self.injected: dict[str, int] = {}
        self.next_create: list[str] = []
        self.unreachable = False
        self._clock = clock
        self._rng = rng
        self._deliver = deliver
        self._trace = trace
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def next_time(self) -> float:
        """When something happens next by itself; infinite when nothing is owed."""
        return self._heap[0][0] if self._heap else float("inf")

    def step(self) -> None:
        """Let the next thing happen."""
        heapq.heappop(self._heap)[2]()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        """Let something happen in a while."""
        self._count += 1
        heapq.heappush(self._heap, (self._clock.now + seconds, self._count, happen))

    def sid(self, prefix: str) -> str:
        """A new SID."""
        return f"{prefix}{self._rng.getrandbits(128):032x}"

    def hear(self, body: str, sender: str, to: str, service: str) -> Record:
        """Somebody texts one of our numbers, which belongs to this service."""
        now = self._clock.now
        record = Record(
            self.sid("SM"), "messages", "", sender, to, body, now, now, "received",
            direction="inbound", service=service,
        )  # fmt: skip
        self.heard[record.sid] = record
        return record

    def take(self, request: Request, answer: Callable[[Answer], None]) -> None:
        """One request has left for us; `answer` is called when its answer arrives, if it does."""
        self.paths.append(f"{request.method} {request.path}")
        if request.method == "GET":
            self._read(request, answer)
        elif request.makes:
            self._create(request, answer)
        else:
            self._change(request, answer)

    def _create(self, request: Request, answer: Callable[[Answer], None]) -> None:
        rng, form = self._rng, dict(request.form)
        fault = (
            self.next_create.pop(0) if self.next_create
            else self.faults.pick(rng, self.faults.create)
        )  # fmt: skip
        self.note(fault)
        tag = form.get("StatusCallback", "").partition("#")[0].rpartition("/")[2]
        self.asked[tag], self.answers[tag] = self._clock.now, fault
        self.recipients[tag] = (form.get("To", ""), self._clock.now)
        self._trace("twilio", f"POST {request.resource} {tag[:6]} to {form.get('To')}: {fault}")
        quick = rng.uniform(0.02, 0.5)
        late = rng.uniform(0.0, self.faults.landing) if rng.random() < 0.5 else quick
        waits = TIMEOUT if fault.startswith("timeout") else quick + rng.uniform(0.0, 0.5)
        if fault == NONE or fault == "unreadable":

            def done() -> None:
                record = self._make(request, form, tag)
                good: Answer = Reply(201, self._shape(record), "RQ" + record.sid[2:], self._date())
                bad = Unreadable("the answer is cut off", http_status=201, wrote=True)
                self.after(rng.uniform(0.01, 0.5), lambda: answer(good if fault == NONE else bad))

            self.after(quick, done)
            return
        if fault.endswith("_after"):
            self.after(late, lambda: self._land(request, form, tag))
        self.after(waits, lambda: answer(_error(fault, rng)))

    def _land(self, request: Request, form: Mapping[str, str], tag: str) -> None:
        """A request whose answer is lost is carried out all the same."""
        self._make(request, form, tag)

    def _make(self, request: Request, form: Mapping[str, str], tag: str) -> Record:
        rng, resource = self._rng, request.resource
        slow = rng.random() < self.faults.slow_list
        lag = rng.uniform(0.0, self.faults.lag) if slow else min(rng.expovariate(1 / 0.7), 20.0)
        now = self._clock.now
        record = Record(
            self.sid(RECORD_SIDS[resource]), resource, tag, form.get("From", ""),
            form.get("To", ""), form.get("Body", ""), now, now + lag,
            service=form.get("MessagingServiceSid", ""), account=request.account_sid,
        )  # fmt: skip
        self.records[record.sid] = record
        self._trace("twilio", f"made {record.sid[:8]} for {tag[:6]}, listed in {lag:.1f} s")
        for delay, status, code in self._life(resource):
            self.after(delay, partial(self._is, record, status, code))
        return record

    def _life(self, resource: str) -> list[tuple[float, str, str]]:
        """What becomes of a record: when, which status, which error."""
        rng = self._rng
        first = rng.expovariate(1 / 0.8)
        second = first + rng.expovariate(1 / 3.0)
        bad = rng.random() < self.faults.undelivered
        if resource == "messages":
            end = ("undelivered", "30003") if bad else ("delivered", "")
            return [(first, "sent", ""), (second, *end)]
        end = ("no-answer", "") if bad else ("completed", "")
        steps = [(first, "initiated", ""), (second, "ringing", "")]
        if not bad:
            steps.append((second + rng.uniform(1, 9), "in-progress", ""))
        return [*steps, (second + rng.uniform(10, 40), *end)]

    def _is(self, record: Record, status: str, code: str) -> None:
        record.status, record.code = status, code
        record.history.append((status, code))
        if status in ("delivered", "undelivered", "completed", "no-answer"):
            record.ended_at = self._clock.now
        if not record.sender:
            record.sender = self._rng.choice(POOL)
        self.call_back(record, status, code)

    def call_back(self, record: Record, status: str, code: str = "") -> None:
        """Report a status of a record, whatever it is now; late, twice or never."""
        if not record.tag:
            return
        family = "Message" if record.resource == "messages" else "Call"
        fields = {
            "AccountSid": record.account, f"{family}Sid": record.sid, f"{family}Status": status,
            "From": record.sender, "To": record.to,
        }  # fmt: skip
        if code:
            fields["ErrorCode"] = code
        if record.service:
            fields["MessagingServiceSid"] = record.service
        if family == "Call":
            fields["SequenceNumber"] = str(len(status))
            fields["Direction"] = "outbound-api"
        rng, faults = self._rng, self.faults
        if rng.random() < faults.callback_lost:
            self.note("callback_lost")
            return
        for _ in range(2 if rng.random() < faults.callback_twice else 1):
            delay = rng.expovariate(1 / 0.3)
            if rng.random() < faults.callback_late:
                self.note("callback_late")
                delay = min(5.0 + rng.expovariate(1 / 40.0), 600.0)
            self.after(
                delay,
                lambda: self._deliver(f"{family.lower()}/status", record.tag, fields),
            )

    def _change(self, request: Request, answer: Callable[[Answer], None]) -> None:
        """An update of a live call: harmless when it is repeated."""
        rng = self._rng
        fault = self.faults.pick(rng, self.faults.read)
        self.note(fault)
        self._trace("twilio", f"POST {request.path[-40:]}: {fault}")
        sid = request.path.rpartition("/")[2].removesuffix(".json")
        call = self.records.get(sid)
        status = call.status if call is not None else self.lines.get(sid, "")
        over = status in ("completed", "no-answer")
        if not status or over or fault in (NONE, "garbage"):
            self.updated.add(sid)
        if not status or over:
            refusal: GatewayError = NotFound(
                "no such call", http_status=404, code=20404, origin="twilio"
            )
            if over:
                refusal = BadRequest(
                    "Call is not in-progress", http_status=400, code=21220, origin="twilio"
                )
            self.after(rng.uniform(0.02, 0.5), lambda: answer(refusal))
        elif fault in (NONE, "garbage"):
            good = Reply(200, self._shape(call) if call else {"sid": sid}, date=self._date())
            self.after(rng.uniform(0.02, 0.5), lambda: answer(good))
        else:
            waits = TIMEOUT if fault == "timeout" else rng.uniform(0.02, 0.5)
            self.after(waits, lambda: answer(_error(fault, rng)))

    def _read(self, request: Request, answer: Callable[[Answer], None]) -> None:
        rng, query = self._rng, dict(request.form)
        fault = self.faults.pick(rng, self.faults.read)
        self.note(fault)
        if fault not in (NONE, "garbage"):
            self._trace("twilio", f"GET {request.resource}: {fault}")
            waits = TIMEOUT if fault == "timeout" else rng.uniform(0.02, 0.5)
            self.after(waits, lambda: answer(_error(fault, rng)))
            return

        def look() -> None:
            *_, parent, one = request.path.removesuffix(".json").split("/")
            if one == "Media" and fault == NONE:
                answer(Reply(200, self.heard[parent].attached(), date=self._date()))
                return
            record = self.records.get(one) or self.heard.get(one)
            if record is not None and fault == NONE:
                answer(Reply(200, self._shape(record), date=self._date()))
                return
            kept = sorted([*self.records.values(), *self.heard.values()], key=_made_at)
            found = [
                record
                for record in kept
                if record.resource == request.resource
                and record.account == request.account_sid
                and record.listed_at <= self._clock.now
                and query.get("To", record.to) == record.to
                and query.get("From", record.sender) == record.sender
            ]
            found.reverse()
            size, page = int(query.get("PageSize", "50")), int(query.get("Page", "0"))
            shown, rest = found[size * page :][:size], found[size * (page + 1) :]
            self._trace("twilio", f"GET {request.resource} to {query.get('To')}: {len(shown)}")
            data: dict[str, Any] = {"page": page}
            if fault == NONE:
                data[request.resource] = [self._shape(record) for record in shown]
            if rest:
                data["next_page_uri"] = f"?{urlencode(query | {'Page': str(page + 1)})}"
            for record in shown if fault == NONE and "To" in query else ():
                record.shown_at = min(record.shown_at, self._clock.now)
            reply = Reply(200, data, date=self._date())
            self.after(rng.uniform(0.02, 0.3), lambda: answer(reply))

        self.after(rng.uniform(0.02, 0.3), look)

    def _shape(self, record: Record) -> dict[str, Any]:
        return record.shape(self._clock.now)

    def _date(self) -> str:
        return format_datetime(datetime.fromtimestamp(int(EPOCH + self._clock.now), UTC), True)

    def note(self, fault: str) -> None:
        """Count one thing that goes wrong."""
        if fault != NONE:
            self.injected[fault] = self.injected.get(fault, 0) + 1


def _made_at(record: Record) -> float:
    return record.made_at


def _error(fault: str, rng: Random) -> GatewayError:
    name = fault.partition("_")[0]
    match name:
        case "refused":
            return Unreachable("connection refused", wrote=False)
        case "reset":
            return Unreachable("connection reset", wrote=True)
        case "timeout":
            return Unreachable("no answer in 30 s", wrote=True)
        case "500" | "503":
            return ServerError(
                f"Twilio answered {name}", http_status=int(name), code=20500, origin="twilio"
            )
        case "429":
            wait = rng.uniform(1.0, 20.0) if fault.endswith("_wait") else None
            return RateLimited("too many requests", http_status=429, code=20429, retry_after=wait)
        case "rejected":
            return BadRequest("not a valid number", http_status=400, code=21211, origin="twilio")
        case "stopped":
            code = int(fault.partition("_")[2] or 21610)
            return BadRequest("they have left", http_status=400, code=code, origin="twilio")
        case "suspended":
            return Forbidden("not active", http_status=403, code=20005, origin="twilio")
        case "unconnected":
            return NoConnection("no connection", http_status=400, origin="maton")
        case "expired":
            return ConnectionExpired("the gateway failed", http_status=500, origin="maton")
    return Unauthorized("the credentials were refused", http_status=401)
