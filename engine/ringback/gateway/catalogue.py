"""Catalogue of operations: every one of the REST API that the gateway knows, as one table.

Python methods, shell commands and tests are all drawn from it. The names are Twilio's own.
https://www.twilio.com/docs/usage/api
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import cache
from json import dumps
from typing import Any

from ringback.errors import UsageError
from ringback.twilio.rest import Request, is_sid, path, sid

_VOICE = (
    "VoiceUrl VoiceMethod VoiceFallbackUrl VoiceFallbackMethod StatusCallback StatusCallbackMethod "
    "VoiceCallerIdLookup"
)
_SMS = "SmsUrl SmsMethod SmsFallbackUrl SmsFallbackMethod"
_NUMBER = (
    f"FriendlyName {_SMS} SmsApplicationSid {_VOICE} VoiceApplicationSid VoiceReceiveMode TrunkSid "
    "AddressSid IdentitySid BundleSid EmergencyStatus EmergencyAddressSid ApiVersion"
)
_APPLICATION = (
    f"FriendlyName ApiVersion {_VOICE} {_SMS} SmsStatusCallback MessageStatusCallback "
    "PublicApplicationConnectEnabled"
)
_ADDRESS = (
    "FriendlyName CustomerName Street StreetSecondary City Region PostalCode EmergencyEnabled "
    "AutoCorrectAddress"
)
_MACHINE = (
    "MachineDetection MachineDetectionTimeout MachineDetectionSpeechThreshold "
    "MachineDetectionSpeechEndThreshold MachineDetectionSilenceTimeout"
)
_RECORDING_CALLBACK = (
    "RecordingStatusCallback RecordingStatusCallbackMethod RecordingStatusCallbackEvent"
)
_CALL = (
    "To From Url Method Twiml ApplicationSid FallbackUrl FallbackMethod StatusCallback "
    "StatusCallbackMethod StatusCallbackEvent SendDigits Timeout TimeLimit Record "
    f"RecordingChannels RecordingTrack {_RECORDING_CALLBACK} Trim {_MACHINE} AsyncAmd "
    "AsyncAmdStatusCallback AsyncAmdStatusCallbackMethod CallerId CallReason CallToken Byoc "
    "SipAuthUsername SipAuthPassword ClientNotificationUrl"
)
_MESSAGE = (
    "To From MessagingServiceSid Body MediaUrl ContentSid ContentVariables StatusCallback "
    "ApplicationSid ValidityPeriod ScheduleType SendAt SmartEncoded ShortenUrls SendAsMms "
    "FallbackFrom Attempt ProvideFeedback ContentRetention AddressRetention PersistentAction "
    "RiskCheck TrafficType ForceDelivery MaxPrice"
)
_PARTICIPANT = (
    "From To Label Timeout TimeLimit Muted Beep StartConferenceOnEnter EndConferenceOnExit WaitUrl "
    "WaitMethod EarlyMedia MaxParticipants StatusCallback StatusCallbackMethod StatusCallbackEvent "
    f"Record RecordingChannels RecordingTrack {_RECORDING_CALLBACK} Trim ConferenceRecord "
    "ConferenceTrim ConferenceStatusCallback ConferenceStatusCallbackMethod "
    "ConferenceStatusCallbackEvent ConferenceRecordingStatusCallback "
    "ConferenceRecordingStatusCallbackMethod ConferenceRecordingStatusCallbackEvent Coaching "
    f"CallSidToCoach JitterBufferSize Byoc CallerId CallReason CallToken CallerDisplayName Region "
    f"{_MACHINE} AmdStatusCallback AmdStatusCallbackMethod SipAuthUsername SipAuthPassword "
    "ClientNotificationUrl"
)
_CREATED = "DateCreated DateCreated< DateCreated>"
_USAGE = "Category StartDate EndDate IncludeSubaccounts"
USAGE_SPANS = (
    "AllTime", "Daily", "LastMonth", "Monthly", "ThisMonth", "Today", "Yearly", "Yesterday",
)  # fmt: skip

REPEATED = frozenset(
    ("MediaUrl", "StatusCallbackEvent", "PersistentAction", "RecordingStatusCallbackEvent")
)
"""Parameters that take several values."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: `verb` on `resource`, and the request that carries it out.

    `template` is the path below the account; `{CA|Front}` is a SID of that kind or that very word,
    `{}` any name. A name of `required` that holds `|` asks for at least one of several. `rows` is
    the key of a list's rows; `makes` the SID prefixes that a create answers with.
    """

    resource: str
    verb: str
    method: str
    template: str
    params: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    rows: str = ""

    @property
    def places(self) -> tuple[str, ...]:
        """What stands between braces in the template, in order."""
        return tuple(re.findall(r"\{(.*?)\}", self.template))

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    def request(self, account_sid: str, args: Sequence[str], params: Mapping[str, Any]) -> Request:
        """The request. `params` goes by Python names (`status_callback`, `from_`) or Twilio's own.

        Raises UsageError for a parameter that the operation has not, a missing one, a bad SID.
        """
        form = self.form(params)
        if self.resource == "messages" and self.makes:
            # People write a Messaging Service's SID after `from`; Twilio takes it elsewhere only.
            form = tuple(
                ("MessagingServiceSid" if name == "From" and is_sid(value, "MG") else name, value)
                for name, value in form
            )
        given = {name for name, _ in form}
        for need in self.required:
            if not given.intersection(need.split("|")):
                wanted = " or ".join(python_name(name) for name in need.split("|"))
                raise UsageError(f"{self.resource} {self.verb}: needs {wanted}")
        return Request(
            self.method,
            self._path(account_sid, args),
            form,
            self.resource.partition(".")[0],
            self.makes,
        )

    def form(self, params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """The parameters as pairs by Twilio's names; those that are None are left out."""
        names = _names(self)
        pairs: list[tuple[str, str]] = []
        for given, value in params.items():
            name = names.get(given)
            if name is None:
                near = get_close_matches(given, names, 1)
                hint = f"; did you mean {python_name(near[0])}?" if near else ""
                raise UsageError(f"{self.resource} {self.verb} has no parameter {given}{hint}")
            if value is None:
                continue
            if isinstance(value, list | tuple | set | frozenset):
                pairs += [(name, text_of(item)) for item in value]
            else:
                pairs.append((name, text_of(value)))
        return tuple(pairs)

    def _path(self, account_sid: str, args: Sequence[str]) -> str:
        places = self.places
        if len(args) != len(places):
            raise UsageError(f"{self.resource} {self.verb}: expects {len(places)} SIDs")
        filled = iter(args)
        if self.template.startswith("/"):
            parts = [sid(next(filled), "AC")] if places else []
            return "/Accounts" + "".join(f"/{part}" for part in parts) + ".json"
        parts = [
            _fill(part[1:-1], next(filled)) if part.startswith("{") else part
            for part in self.template.split("/")
        ]
        return path(account_sid, *parts)


def _fill(place: str, given: str) -> str:
    if not place:
        if not given.strip():
            raise UsageError("an empty name cannot be looked up")
        return given
    kinds = place.split("|")
    return sid(
        given,
        *(kind for kind in kinds if len(kind) == 2),
        allow=[kind for kind in kinds if len(kind) > 2],
    )


def text_of(value: Any) -> str:
    """A value as Twilio wants it: true/false, UTC ISO 8601, YYYY-MM-DD, JSON for a mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dumps(dict(value), ensure_ascii=False, separators=(",", ":"))
    return str(value)


def python_name(name: str) -> str:
    """Twilio's name in Python's spelling: StatusCallback, status_callback; `DateSent<`,
    date_sent_before; From, from_."""
    stem = name.rstrip("<>")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", stem).lower()
    if name.endswith("<"):
        return snake + "_before"
    if name.endswith(">"):
        return snake + "_after"
    return "from_" if snake == "from" else snake


@cache
def _names(operation: Operation) -> dict[str, str]:
    names = {name: name for name in operation.params}
    return names | {python_name(name): name for name in operation.params}


def _table() -> tuple[Operation, ...]:
    paging = "PageSize Page PageToken"
    made: list[Operation] = []

    def add(
        resource: str, verb: str, method: str, template: str, params: str = "",
        required: str = "", makes: str = "", rows: str = "",
    ) -> None:  # fmt: skip
        if rows:
            params = f"{params} {paging}"
        made.append(
            Operation(
                resource, verb, method, template, tuple(params.split()), tuple(required.split()),
                tuple(makes.split()), rows,
            )
        )  # fmt: skip

    def usual(resource: str, template: str, verbs: str, kind: str) -> None:
        for verb in verbs.split():
            method = {"fetch": "GET", "delete": "DELETE"}[verb]
            add(resource, verb, method, f"{template}/{{{kind}}}")

    add("accounts", "list", "GET", "/", "FriendlyName Status", rows="accounts")
    add("accounts", "fetch", "GET", "/{AC}")
    add("accounts", "create", "POST", "/", "FriendlyName", makes="AC")
    add("accounts", "update", "POST", "/{AC}", "FriendlyName Status")

    add("messages", "list", "GET", "Messages", "To From DateSent DateSent< DateSent>",
        rows="messages")  # fmt: skip
    add("messages", "create", "POST", "Messages", _MESSAGE,
        "To From|MessagingServiceSid Body|MediaUrl|ContentSid", "SM MM")  # fmt: skip
    usual("messages", "Messages", "fetch delete", "SM|MM")
    add("messages", "update", "POST", "Messages/{SM|MM}", "Body Status", "Body|Status")
    add("messages", "feedback", "POST", "Messages/{SM|MM}/Feedback", "Outcome", "Outcome")
    add("messages.media", "list", "GET", "Messages/{SM|MM}/Media", _CREATED, rows="media_list")
    usual("messages.media", "Messages/{SM|MM}/Media", "fetch delete", "ME")

    add("calls", "list", "GET", "Calls",
        "To From ParentCallSid Status StartTime StartTime< StartTime> EndTime EndTime< EndTime>",
        rows="calls")  # fmt: skip
    add("calls", "create", "POST", "Calls", _CALL, "To From Url|Twiml|ApplicationSid", "CA")
    usual("calls", "Calls", "fetch delete", "CA")
    add("calls", "update", "POST", "Calls/{CA}",
        "Url Method Twiml Status FallbackUrl FallbackMethod StatusCallback StatusCallbackMethod "
        "TimeLimit")  # fmt: skip
    add("calls.recordings", "list", "GET", "Calls/{CA}/Recordings", _CREATED, rows="recordings")
    add("calls.recordings", "create", "POST", "Calls/{CA}/Recordings",
        f"{_RECORDING_CALLBACK} Trim RecordingChannels RecordingTrack", makes="RE")  # fmt: skip
    usual("calls.recordings", "Calls/{CA}/Recordings", "fetch delete", "RE")
    add("calls.recordings", "update", "POST", "Calls/{CA}/Recordings/{RE|Twilio.CURRENT}",
        "Status PauseBehavior", "Status")  # fmt: skip
    add("calls.notifications", "list", "GET", "Calls/{CA}/Notifications",
        "Log MessageDate MessageDate< MessageDate>", rows="notifications")  # fmt: skip
    usual("calls.notifications", "Calls/{CA}/Notifications", "fetch", "NO")
    add("calls.events", "list", "GET", "Calls/{CA}/Events", rows="events")

    add("numbers", "list", "GET", "IncomingPhoneNumbers", "PhoneNumber FriendlyName Beta Origin",
        rows="incoming_phone_numbers")  # fmt: skip
    add("numbers", "create", "POST", "IncomingPhoneNumbers", f"PhoneNumber AreaCode {_NUMBER}",
        "PhoneNumber|AreaCode", "PN")  # fmt: skip
    usual("numbers", "IncomingPhoneNumbers", "fetch delete", "PN")
    add("numbers", "update", "POST", "IncomingPhoneNumbers/{PN}", f"{_NUMBER} AccountSid")

    add("applications", "list", "GET", "Applications", "FriendlyName", rows="applications")
    add("applications", "create", "POST", "Applications", _APPLICATION, makes="AP")
    usual("applications", "Applications", "fetch delete", "AP")
    add("applications", "update", "POST", "Applications/{AP}", _APPLICATION)

    add("queues", "list", "GET", "Queues", rows="queues")
    add("queues", "create", "POST", "Queues", "FriendlyName MaxSize", "FriendlyName", "QU")
    usual("queues", "Queues", "fetch delete", "QU")
    add("queues", "update", "POST", "Queues/{QU}", "FriendlyName MaxSize")
    add("queues.members", "list", "GET", "Queues/{QU}/Members", rows="queue_members")
    add("queues.members", "fetch", "GET", "Queues/{QU}/Members/{CA|Front}")
    add("queues.members", "dequeue", "POST", "Queues/{QU}/Members/{CA|Front}", "Url Method", "Url")

    add("addresses", "list", "GET", "Addresses",
        "CustomerName FriendlyName EmergencyEnabled IsoCountry", rows="addresses")  # fmt: skip
    add("addresses", "create", "POST", "Addresses", f"{_ADDRESS} IsoCountry",
        "CustomerName Street City Region PostalCode IsoCountry", "AD")  # fmt: skip
    usual("addresses", "Addresses", "fetch delete", "AD")
    add("addresses", "update", "POST", "Addresses/{AD}", _ADDRESS)

    add("usage", "list", "GET", "Usage/Records", _USAGE, rows="usage_records")
    add("usage.spans", "list", "GET", f"Usage/Records/{{{'|'.join(USAGE_SPANS)}}}", _USAGE,
        rows="usage_records")  # fmt: skip

    add("conferences", "list", "GET", "Conferences",
        f"FriendlyName Status {_CREATED} DateUpdated DateUpdated< DateUpdated>",
        rows="conferences")  # fmt: skip
    usual("conferences", "Conferences", "fetch", "CF")
    add("conferences", "update", "POST", "Conferences/{CF}", "Status AnnounceUrl AnnounceMethod")
    add("conferences.participants", "list", "GET", "Conferences/{CF}/Participants",
        "Muted Hold Coaching", rows="participants")  # fmt: skip
    # A conference may be named by its friendly name when somebody is dialled into it.
    add("conferences.participants", "create", "POST", "Conferences/{}/Participants", _PARTICIPANT,
        "From To")  # fmt: skip
    add("conferences.participants", "fetch", "GET", "Conferences/{CF}/Participants/{}")
    add("conferences.participants", "delete", "DELETE", "Conferences/{CF}/Participants/{}")
    add("conferences.participants", "update", "POST", "Conferences/{CF}/Participants/{}",
        "Muted Hold HoldUrl HoldMethod AnnounceUrl AnnounceMethod WaitUrl WaitMethod BeepOnExit "
        "EndConferenceOnExit Coaching CallSidToCoach")  # fmt: skip

    add("recordings", "list", "GET", "Recordings",
        f"CallSid ConferenceSid {_CREATED} IncludeSoftDeleted", rows="recordings")  # fmt: skip
    add("recordings", "fetch", "GET", "Recordings/{RE}", "IncludeSoftDeleted")
    usual("recordings", "Recordings", "delete", "RE")

    add("notifications", "list", "GET", "Notifications",
        "Log MessageDate MessageDate< MessageDate>", rows="notifications")  # fmt: skip
    usual("notifications", "Notifications", "fetch", "NO")

    add("balance", "fetch", "GET", "Balance")
    return tuple(made)


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    (operation.resource, operation.verb): operation for operation in _table()
}
"""Every operation, by resource (`messages`, `calls.recordings`) and verb (`list`, `create`)."""
