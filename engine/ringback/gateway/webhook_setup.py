"""Webhook set-up: points numbers and applications at a node, and puts back what was there before.

The former values of a number are on disk before anything is changed, so that a crash at any moment
leaves nothing that `restore` cannot undo. https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringback.errors import ConfigError, DataError, GatewayError, NotFound
from ringback.gateway.records import Application, Number
from ringback.private_files import make_file, make_folder
from ringback.twilio.callback_tails import PATIENT, QUICK

if TYPE_CHECKING:  # a client takes long to import, and the names of settings need none
    from ringback.gateway.client import Gateway

FILE = "wiring.json"
LAST_TEXTS = 20
"""Among so many texts to a number there is one that came in, as nobody else can text it."""

Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that webhooks are set on: a number or an application, as it is now."""

    sid: str
    name: str
    values: Values = field(default_factory=dict)
    trunk: str = ""
    account: str = ""
    """The sub-account that it belongs to; empty for the account of the gateway."""

    @property
    def is_number(self) -> bool:
        """Whether it is a number; else an application."""
        return self.sid.startswith("PN")


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs: its name in Twilio's snake_case, what it is and shall be."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one target: the values before we first touched it, and ours."""

    sid: str
    name: str
    before: Values
    after: Values
    account: str = ""


def wanted(
    public_url: str, *, secret: str = "", fallback_url: str = "", tail: bool = True
) -> Mapping[str, str]:
    """The addresses of a node by what they are for: message, call, their statuses and fallbacks.

    `secret` goes into the path where no auth token proves requests. `fallback_url` is asked when
    the node fails; without one the node itself is asked once more. `tail` says whether connection
    overrides stand behind them. Raises ConfigError without a public address.
    """
    if not public_url:
        raise ConfigError(["no public address to tell Twilio: set RINGBACK_PUBLIC_URL"])
    base = public_url.rstrip("/") + "/twilio" + (f"/~{secret}" if secret else "")
    quick, patient = (QUICK, PATIENT) if tail else ("", "")
    return {
        "message": f"{base}/message{quick}",
        "message_fallback": fallback_url or f"{base}/message{quick}",
        "message_status": f"{base}/message/status{patient}",
        "call": f"{base}/call{quick}",
        "call_fallback": fallback_url or f"{base}/call{quick}",
        "call_status": f"{base}/call/status{patient}",
    }


def values_for(target: Target, urls: Mapping[str, str]) -> Values:
    """Every setting of a target that has to be so for these addresses to be used."""
    values = {
        "sms_url": urls["message"],
        "sms_method": "POST",
        "sms_fallback_url": urls["message_fallback"],
        "sms_fallback_method": "POST",
        "voice_url": urls["call"],
        "voice_method": "POST",
        "voice_fallback_url": urls["call_fallback"],
        "voice_fallback_method": "POST",
        "status_callback": urls["call_status"],
        "status_callback_method": "POST",
    }
    if target.is_number:
        # An application's addresses would win over the number's own.
        return values | {"sms_application_sid": "", "voice_application_sid": ""}
    return values | {"message_status_callback": urls["message_status"]}


def changes(target: Target, values: Mapping[str, str]) -> tuple[Change, ...]:
    """What has to change on a target; empty when it is so already."""
    return tuple(
        Change(name, target.values.get(name, ""), value)
        for name, value in values.items()
        if target.values.get(name, "") != value
    )


def target_of(record: Number | Application, account: str = "") -> Target:
    """A number or application, of a sub-account if one is named, as a target."""
    names = set(values_for(Target(record.sid, ""), wanted("https://x")))
    values = {name: str(getattr(record, name)) for name in names}
    if isinstance(record, Number):
        return Target(record.sid, record.phone_number, values, record.trunk_sid, account)
    return Target(record.sid, record.friendly_name, values, account=account)


async def look(gateway: "Gateway", sid: str, account: str = "") -> Target:
    """A target as it is now, by the SID of a number or an application. Raises NotFound."""
    there = gateway.of(account)
    if sid.startswith("AP"):
        return target_of(await there.applications.fetch(sid), account)
    return target_of(await there.numbers.fetch(sid), account)


async def service_of(gateway: "Gateway", target: Target) -> str:
    """The Messaging Service that the last text to a number came through; empty when it came
    through none, or no text came yet. One read.

    A number's record does not say that it is in a service, and the gateway does not reach the
    services themselves. Unless a service defers to the sender's webhook, texts go to its own
    address, whatever is set on the number. https://www.twilio.com/docs/messaging/services
    """
    if not target.is_number:
        return ""
    there = gateway.of(target.account)
    texts = there.messages.list(to=target.name, page_size=LAST_TEXTS, limit=LAST_TEXTS)
    try:
        async for text in texts:
            if text.direction == "inbound":
                return text.messaging_service_sid
    except GatewayError:  # it can be connected all the same
        return ""
    return ""


async def set_on(gateway: "Gateway", sid: str, values: Mapping[str, str]) -> None:
    """Write settings; an empty value clears one. Writing the same again does no harm."""
    # A method can be changed but not cleared.
    values = {k: v for k, v in values.items() if v or not k.endswith("_method")}
    if sid.startswith("AP"):
        await gateway.applications.update(sid, **values)
    else:
        await gateway.numbers.update(sid, **values)


async def drifted(gateway: "Gateway", data: Path) -> list[str]:
    """What somebody changed on connected numbers since we set it: one line for each target.

    Costs one read for each remembered target; a target that was deleted is a line too. Raises the
    gateway's errors.
    """
    memory = Memory(data)
    lines = []
    for entry in memory.entries.values():
        try:
            found = memory.drift(await look(gateway, entry.sid, entry.account))
        except NotFound:
            lines.append(f"{entry.name} ({entry.sid}) was deleted")
            continue
        if found:
            names = ", ".join(change.name for change in found)
            lines.append(f"{entry.name} was changed since it was connected: {names}")
    return lines


class Memory:
    """The former values of targets, in one file that is replaced as a whole and never half."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self.entries: dict[str, Entry] = self._read()

    def remember(self, targets: list[tuple[Target, Values]]) -> None:
        """Keep the values of these targets, on disk when this returns.

        A target that is remembered already keeps what is remembered: its values before us.
        """
        for target, after in targets:
            known = self.entries.get(target.sid)
            if known is None:
                before = {name: target.values.get(name, "") for name in after}
                self.entries[target.sid] = Entry(
                    target.sid, target.name, before, after, target.account
                )
            else:
                older = {name: target.values.get(name, "") for name in after}
                merged = older | known.before
                self.entries[target.sid] = replace(known, before=merged, after=after)
        self._write()

    def forget(self, sid: str) -> None:
        """A target is as it was before: nothing is left to restore."""
        self.entries.pop(sid, None)
        self._write()

    def drift(self, target: Target) -> tuple[Change, ...]:
        """What somebody changed since we set it: from ours (before) to what it is now (after)."""
        entry = self.entries.get(target.sid)
        if entry is None:
            return ()
        return tuple(
            Change(name, ours, target.values.get(name, ""))
            for name, ours in entry.after.items()
            if target.values.get(name, "") != ours
        )

    def _read(self) -> dict[str, Entry]:
        try:
            rows = json.loads(self._path.read_text("utf-8"))["targets"]
            return {row["sid"]: Entry(**row) for row in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self._path} cannot be read ({error}): it holds the former values of numbers; "
                "mend it, or move it away to give that up"
            ) from None

    def _write(self) -> None:
        rows: list[dict[str, Any]] = [
            {
                "sid": entry.sid,
                "name": entry.name,
                "account": entry.account,
                "before": entry.before,
                "after": entry.after,
            }
            for entry in self.entries.values()
        ]
        make_folder(self._path.parent)
        fresh = self._path.with_suffix(".new")
        # Addresses may hold the secret of the path: for the owner's eyes only.
        make_file(fresh)
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"version": 1, "targets": rows}, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
