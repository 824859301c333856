"""Check of the doctor whether the webhooks of our numbers lead to this node."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace

from ringback.cli.connect import secret_of
from ringback.cli.finding import BAD, OK, WARN, Finding, from_error
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.gateway.client import Gateway
from ringback.gateway.webhook_setup import Memory, Target, changes, target_of, values_for, wanted

PAGE = 1000
"""Numbers that are asked for at once; all of them are looked at."""


async def numbers(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether our numbers call this node, and whether somebody changed them since; those of each
    account in turn."""
    if gateway is None or not settings.public_url or settings.simulated:
        return
    for account in ("", *settings.accounts):
        async for finding in _numbers_of(settings, gateway, account):
            yield finding


async def _numbers_of(settings: Settings, gateway: Gateway, account: str) -> AsyncIterator[Finding]:
    urls = wanted(settings.public_url, secret=secret_of(settings), tail=settings.callback_tail)
    memory = Memory(settings.data)
    connected = 0
    count = 0
    whose = f"{account}: " if account else ""
    try:
        async for number in gateway.of(account).numbers.list(page_size=PAGE):
            count += 1
            target = target_of(number, account)
            calls_us = _calls(target, urls)
            connected += calls_us
            for finding in _wiring(memory, target, urls, calls_us=calls_us):
                yield replace(finding, says=f"{whose}{finding.says}")
    except RingbackError as error:
        failed = from_error("numbers", error)
        yield replace(failed, says=f"{whose}{failed.says}")
        return
    if not count:
        says = f"{whose or 'the account '}has no number".replace(": ", " ")
        yield Finding("numbers", WARN, says, "buy one at Twilio")
    elif not connected:
        says = f"{whose}none of {count} numbers calls {settings.public_url}"
        yield Finding("numbers", BAD, says, "`ringback connect --all`, or name a number")
    else:
        yield Finding("numbers", OK, f"{whose}{connected} of {count} call this node")


def _calls(target: Target, urls: Mapping[str, str]) -> bool:
    """Whether the texts and calls of a number come to these addresses."""
    ours = values_for(target, urls)
    return all(
        target.values[name].partition("#")[0] == ours[name].partition("#")[0]
        for name in ("sms_url", "voice_url")
    )


def _wiring(
    memory: Memory, target: Target, urls: Mapping[str, str], *, calls_us: bool
) -> Iterator[Finding]:
    """What is wrong with the webhooks of one number."""
    mend = f"`ringback connect {target.name}`"
    drifted = memory.drift(target)
    if drifted:
        names = ", ".join(change.name for change in drifted)
        says = f"{target.name} was changed since it was connected: {names}"
        yield Finding("numbers", BAD, says, mend)
    elif calls_us and (missing := changes(target, values_for(target, urls))):
        names = ", ".join(change.name for change in missing)
        yield Finding("numbers", WARN, f"{target.name} calls this node, without: {names}", mend)
    if target.trunk:
        says = f"{target.name} belongs to the trunk {target.trunk}: no calls come here"
        yield Finding("numbers", WARN, says, "take it out of the trunk, if that is wrong")
