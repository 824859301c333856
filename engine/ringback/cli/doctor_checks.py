"""Checks of the doctor: one function for each question, each answering with findings."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ringback.cli.doctor_node import node
from ringback.cli.doctor_numbers import numbers
from ringback.cli.finding import BAD, OK, SKIPPED, WARN, Finding, from_error
from ringback.cli.packages import unlisted_packages
from ringback.cli.project_context import clock_of
from ringback.config import Settings
from ringback.disk_space import free_bytes, nearly_full
from ringback.errors import GatewayError, RateLimited, RingbackError
from ringback.gateway import probe
from ringback.gateway.client import Gateway
from ringback.gateway.probe import Echo
from ringback.private_files import foreign, write_nowhere
from ringback.receiver import refusals
from ringback.runtime import iso
from ringback.tracing.configuration import configured

SKEW_SECONDS = 30.0
MOST_COUNTED = 1000
FORBIDDEN = "Forbidden\n"


Check = Callable[[Settings, Gateway | None], AsyncIterator[Finding]]


async def credentials(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """The way to Twilio: key, connection, account, and the clocks."""
    if gateway is None:
        return
    try:
        account = await _patiently(gateway.check)
    except RingbackError as error:
        yield from_error("gateway", error)
        return
    pinned = f", connection {gateway.access.connection}" if gateway.access.connection else ""
    proxy = gateway.access.proxy
    tunnelled = proxy is not None and proxy.tunnels(gateway.access.base_url)
    way = f", through the proxy {proxy.url}" if proxy is not None and tunnelled else ""
    yield Finding("gateway", OK, f"{gateway.access.way}, account {account}{pinned}{way}")
    try:
        record = await gateway.accounts.fetch(account)
    except GatewayError as error:
        yield Finding(
            "account", SKIPPED, f"these credentials may not read it ({error.http_status})"
        )
    else:
        if record.status != "active":
            says = f"the account is {record.status}: Twilio refuses everything"
            yield Finding("account", BAD, says, "settle it in Twilio's console")
        elif record.type.lower() == "trial":
            says = "a trial account reaches verified numbers only"
            yield Finding("account", WARN, says, "upgrade it before you serve strangers")
        else:
            yield Finding("account", OK, f"{record.friendly_name}: active")
    for each in settings.accounts:
        yield await _sub_account(gateway, each)
    if settings.account_sid and settings.account_sid != account:
        says = f"TWILIO_ACCOUNT_SID is {settings.account_sid}, but the gateway uses {account}"
        yield Finding("account", BAD, says, "set TWILIO_ACCOUNT_SID to the account of the gateway")


async def _sub_account(gateway: Gateway, account: str) -> Finding:
    """Whether an account of [accounts] can be used with its token."""
    try:
        record = await gateway.of(account).accounts.fetch(account)
    except GatewayError as error:
        says = f"{account}: {error}"
        return Finding("account", BAD, says, "look at its SID and token under [accounts]")
    if record.status != "active":
        says = f"{account} is {record.status}: Twilio refuses everything"
        return Finding("account", BAD, says, "settle it in Twilio's console")
    return Finding("account", OK, f"{account}, {record.friendly_name}: active")


async def _patiently(look: Callable[[], Awaitable[str]]) -> str:
    """Look again after a moment when the gateway has had too many requests, of whomever."""
    for _ in range(3):
        try:
            return await look()
        except RateLimited as error:
            await asyncio.sleep(min(error.retry_after or 1.0, 5.0))
    return await look()


async def clock(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether our clock and the gateway's agree: settling and quiet hours lean on it."""
    if gateway is None:
        return
    try:
        theirs = await gateway.server_time()
    except GatewayError:
        return
    if theirs is None:
        yield Finding("clock", SKIPPED, "the gateway tells no time")
        return
    skew = time.time() - theirs
    if abs(skew) > SKEW_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        says = f"this machine's clock is {abs(skew):.0f} s {way} the gateway's"
        yield Finding("clock", BAD, says, "turn on time synchronisation (chrony, timesyncd)")
    else:
        yield Finding("clock", OK, "agrees with the gateway's")


async def public_address(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether the public address leads here, and whether a signature survives the way."""
    if not settings.public_url:
        return
    if settings.simulated:
        says = "the simulated Twilio is on this machine, and reaches the node without one"
        yield Finding("public address", SKIPPED, says)
        return
    if settings.public_url.startswith("http://"):
        says = "RINGBACK_PUBLIC_URL is plain http: texts and numbers travel in the open"
        yield Finding("public address", WARN, says, "put TLS in front of the node")
    asked = time.time()
    token = settings.auth_tokens[0] if settings.auth_tokens else ""
    if token:
        echo = await probe.signed(settings.public_url, settings.account_sid, token)
    elif settings.hook_secret:
        echo = await probe.secret(settings.public_url, settings.account_sid, settings.hook_secret)
    else:
        return
    if echo.status == 403 and echo.body == FORBIDDEN:
        async for finding in _refused(settings, asked):
            yield finding
        return
    yield _arrival(settings.public_url, echo)


async def _refused(settings: Settings, asked: float) -> AsyncIterator[Finding]:
    yield Finding("public address", OK, f"{settings.public_url} leads to a node")
    since = datetime.fromtimestamp(asked - 1, UTC).isoformat()
    for _ in range(40):
        fresh = [row for row in refusals.read(settings.data) if str(row.get("at", "")) >= since]
        if fresh:
            for cause in fresh[-1].get("causes", []):
                yield Finding("signature", BAD, str(cause.get("says")), str(cause.get("mend")))
            return
        await asyncio.sleep(0.1)
    yield Finding(
        "signature", BAD, "the node refuses a probe that is signed with TWILIO_AUTH_TOKEN",
        "see the node's log for the cause; does it run with this project's settings?",
    )  # fmt: skip


def _arrival(public_url: str, echo: Echo) -> Finding:
    """What it means that the probe was answered so."""
    name = "public address"
    where = public_url
    if echo.status == 400 and "SID" in echo.body:
        return Finding("signature", OK, f"a signed probe through {where} was proven")
    if not echo.status:
        says = f"{where} cannot be reached from here: {echo.reason}"
        mend = "check the name, the certificate, the firewall and the tunnel"
        if "CERTIFICATE" in echo.reason.upper():
            mend = "Twilio refuses this certificate too: renew it, for this very name"
        return Finding(name, BAD, says, mend)
    if 300 <= echo.status < 400:
        says = f"{where} redirects ({echo.status}) to {echo.location[:200]}"
        return Finding(name, BAD, says, "set RINGBACK_PUBLIC_URL, and Twilio, to the final address")
    if echo.status == 401:
        says = f"something in front of the node asks for a password ({echo.status})"
        return Finding(name, BAD, says, "let /twilio/ through without one: it is proven by itself")
    if echo.status == 403:
        says = f"something in front of the node forbids the request ({echo.status})"
        return Finding(
            name, BAD, says, "let /twilio/ through the firewall; Twilio has no fixed IPs"
        )
    if echo.status == 404:
        says = f"{where}/twilio/message does not lead to the node's route (404)"
        mend = "the proxy cuts or adds a prefix: let RINGBACK_PUBLIC_URL and the proxy's path fit"
        return Finding(name, BAD, says, mend)
    if echo.status in (413, 415):
        says = f"something in front of the node refuses a form ({echo.status})"
        return Finding(name, BAD, says, "let forms of up to 64 KiB through")
    if echo.status >= 500:
        says = f"{where} answers {echo.status}: the proxy does not reach the node, or it is busy"
        return Finding(name, BAD, says, "start the node; check the proxy's address of it")
    says = f"{where} is answered by something else than a node ({echo.status})"
    return Finding(name, BAD, says, "let RINGBACK_PUBLIC_URL lead to the node")


async def disk(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether the data folder can be written, has space, and holds sound databases."""
    from ringback.store.queries.questions import Questions
    from ringback.store.upkeep import backup

    folder = settings.data
    if not folder.exists():
        yield Finding("disk", OK, f"{folder} is made when the node starts for the first time")
        return
    try:
        write_nowhere(folder)
    except OSError as error:
        says = f"{folder} cannot be written: {error.strerror or error}"
        yield Finding("disk", BAD, says, "give the node's user this folder, on a disk with space")
        return
    owner = folder.stat().st_uid
    for name in foreign(folder):
        says = f"{folder / name} belongs to another user than its folder: the node cannot write it"
        yield Finding("disk", BAD, says, f"chown {owner} {folder / name}")
    free = free_bytes(folder)
    if little := nearly_full(folder):
        yield Finding("disk", BAD, little, "free some: without it nothing is recorded")
    else:
        yield Finding("disk", OK, f"{folder}, {free // 1024 // 1024 // 1024} GiB free")
    if settings.database_url:  # the files are not there; of the server `server` tells
        return
    problems = await asyncio.to_thread(backup.check, folder, whole=False)
    for problem in problems:
        yield Finding("database", BAD, problem, "restore a backup; `ringback db check` tells more")
    if not problems:
        there = [name for name in backup.FILES if (folder / name).exists()]
        large = any(backup.is_large(folder / name) for name in there)
        where = ", where it was looked at; `ringback db check` reads all" if large else ""
        says = f"{' and '.join(there)} sound{where}" if there else "none yet"
        yield Finding("database", OK, says)
    if not problems and (folder / "journal.db").exists():
        try:
            Questions(folder).close()
        except RingbackError as error:
            yield from_error("database", error)


async def rules_and_plugins(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether rules and plugins load, and whether opting out is taken care of."""
    from ringback.cli.hosted import described

    project = await asyncio.to_thread(described, settings)
    for problem in project.problems:
        kind = "plugins" if problem.file.startswith("plugins") else "rules"
        yield Finding(kind, BAD, str(problem), "`ringback check` shows the line")
    rules = project.ruleset.rules
    live = [rule for rule in rules if rule.state == "live"]
    if not project.problems:
        yield Finding("rules", OK, f"{len(live)} of {len(rules)} live")
        names = ", ".join(plugin.name for plugin in project.plugins.plugins)
        yield Finding("plugins", OK, names or "none")
    for line in unlisted_packages(settings):
        says, _, mend = line.partition("; ")
        yield Finding("plugins", WARN, says, mend)
    if not live:
        yield Finding("rules", WARN, "no rule is live: nothing will react", "`ringback rules list`")
    cares = any(plugin.name == "opt_out" for plugin in project.plugins.plugins)
    if cares:
        yield Finding("opt-out", OK, "the plugin opt_out keeps other rules from answering a STOP")
    else:
        says = "no plugin keeps rules from answering STOP, START and HELP, which Twilio answers"
        yield Finding("opt-out", WARN, says, "put plugins/opt_out.py back, if you send unasked")


async def opted_out(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether people's STOPs come here, or only Twilio's refusals to text them."""
    from ringback.store.data_place import DataPlace
    from ringback.store.queries.questions import Questions

    try:
        with Questions(DataPlace(settings.data, settings.database_url)) as asked:
            found = asked.opt_outs(iso(clock_of(settings.data) - timedelta(days=30)))
    except RingbackError:  # there is none yet, or the look at the databases has said what is wrong
        return
    for sender, many in found.unheard:
        says = f"{many} have left {sender} within 30 days and no STOP of theirs came here (21610)"
        mend = f"`ringback connect {sender}`"
        if sender.startswith("MG"):
            mend = f"let the Messaging Service {sender} defer to its senders' webhooks"
        yield Finding("opt-out", WARN, says, mend)
    if found.heard:
        said = f", {found.advanced} of them by Advanced Opt-Out" if found.advanced else ""
        yield Finding("opt-out", OK, f"{found.heard} have left by a text that came here{said}")


async def malformed(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether batches of Event Streams had elements within the last day that are no events."""
    from ringback.store.data_place import DataPlace
    from ringback.store.queries.questions import Questions

    try:
        with Questions(DataPlace(settings.data, settings.database_url)) as asked:
            since = iso(clock_of(settings.data) - timedelta(days=1))
            rows = asked.events(type="webhook.malformed", since=since, limit=MOST_COUNTED)
    except RingbackError:  # see `opted_out`
        return
    if not rows:
        return
    last, many = rows[0], len(rows)
    some = f"{many} or more elements" if many == MOST_COUNTED else f"{many} element(s)"
    why = last["fields"].get("Reason", "") if isinstance(last["fields"], dict) else ""
    says = f"{some} of Event Streams since yesterday are no events: {why}"
    mend = f"`ringback events show {last['uid']}` has it; what came with it is recorded"
    yield Finding("event streams", WARN, says, mend)


async def lately(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """What went wrong with webhooks within the last day, by Twilio's log and by ours."""
    day_ago = datetime.now(UTC) - timedelta(days=1)
    recent = [
        row for row in refusals.read(settings.data) if row.get("at", "") >= day_ago.isoformat()
    ]
    kinds: dict[str, dict[str, Any]] = {}
    wirings: dict[str, str] = {}
    for row in recent:
        for cause in row.get("causes", []):
            if cause.get("kind") == "wiring":
                wirings[str(cause.get("says"))] = str(cause.get("mend"))
            else:
                kinds[str(cause.get("kind"))] = cause
    for says, mend in wirings.items():
        yield Finding("wiring", WARN, says, mend)
    for kind, cause in kinds.items():
        forged = kind in ("unknown", "missing", "malformed", "hook")
        state = WARN if forged else BAD
        says = f"webhooks were refused lately: {cause.get('says')}"
        yield Finding("refusals", state, says, str(cause.get("mend")))
    if gateway is None:
        return
    good = not kinds
    for account in ("", *settings.accounts):
        async for finding in _notified(gateway, account, day_ago):
            good = False
            yield finding
    if good:
        yield Finding("webhook errors", OK, "none since yesterday")


async def _notified(gateway: Gateway, account: str, since: datetime) -> AsyncIterator[Finding]:
    """What Twilio's log of an account says since then, each error once, of its newest entries."""
    from ringback.error_codes import explain_error

    whose = f"{account}: " if account else ""
    listed = gateway.of(account).notifications.list
    counts: dict[int, tuple[int, str]] = {}
    looked = 0
    try:
        async for note in listed(message_date_after=since.date(), limit=MOST_COUNTED):
            looked += 1
            if note.message_date is None or note.message_date >= since:
                times, url = counts.get(note.error_code, (0, note.request_url))
                counts[note.error_code] = (times + 1, url)
    except GatewayError as error:
        says = f"{whose}Twilio's log cannot be read ({error.http_status})"
        yield Finding("webhook errors", SKIPPED, says)
        return
    more = " or more" if looked == MOST_COUNTED else ""
    for code, (times, url) in sorted(counts.items()):
        known, url = explain_error(code), url.partition("#")[0][:120]
        says = f"{whose}{times}{more} x {code} since yesterday, {known.title}: {url}"
        yield Finding("webhook errors", WARN, says, known.remedy)


def sqlite_finding(version: str) -> Finding:
    """What a version of SQLite means for a node.

    https://www.sqlite.org/wal.html
    """
    parts = tuple(int(part) for part in version.split(".")[:3])
    fixed = parts >= (3, 51, 3) or (3, 50, 7) <= parts < (3, 51) or (3, 44, 6) <= parts < (3, 45)
    if parts < (3, 35):
        return Finding("sqlite", BAD, f"{version} is too old", "use a Python with SQLite 3.35+")
    if fixed:
        return Finding("sqlite", OK, version)
    # It strikes where one connection begins the log anew while another copies it (`checkpoint`).
    says = f"{version} (its WAL-reset bug cannot strike: nobody writes during a checkpoint)"
    return Finding("sqlite", OK, says)


async def sqlite(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Which SQLite this Python carries."""
    from ringback.store.upkeep import backup

    version = backup.sqlite_version(settings.data)
    if version:
        yield sqlite_finding(version)


async def traces(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Where traces go, when a variable asks for them."""
    asked = configured(os.environ)
    for each in asked.problems:
        yield Finding("traces", BAD, each)
    if asked.endpoint and not asked.problems:
        yield Finding("traces", OK, f"go to {asked.shown}")


CHECKS: tuple[Check, ...] = (
    credentials, clock, node, public_address, numbers, disk, sqlite, rules_and_plugins, opted_out,
    malformed, lately, traces,
)  # fmt: skip
