"""The command `doctor`: what is wrong with this set-up, and what to do about each thing."""

import asyncio
from collections.abc import Callable

import click

from ringback.cli.attention import at_work, matters
from ringback.cli.doctor_checks import CHECKS
from ringback.cli.doctor_node import hooks
from ringback.cli.doctor_server import server
from ringback.cli.finding import BAD, OK, SKIPPED, WARN, Finding
from ringback.cli.gateway_session import way_in
from ringback.cli.output import cell, json_option, print_json, style
from ringback.cli.project_context import dev_settings, here, live_dev
from ringback.config import Settings
from ringback.errors import ConfigError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.receiver.requirements import require_serving

COLOURS = {OK: "green", WARN: "yellow", BAD: "red", SKIPPED: "blue"}


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Look at everything that a node leans on, and say what to do about what is wrong.

    Nothing is changed, nothing is sent to anybody: the probe through the public address is refused
    by the node after it has been proven. Ends with 1 when something is bad.
    """
    try:
        settings = here().settings()
    except ConfigError as error:
        for problem in error.problems:
            _show(Finding("settings", BAD, problem), as_json)
        return 1
    dev = None if "data" in here().flags else live_dev(settings.data)
    if dev is not None:
        settings = dev_settings(settings, dev)
    findings = asyncio.run(_examine(settings, as_json))
    bad = sum(finding.state == BAD for finding in findings)
    warned = sum(finding.state == WARN for finding in findings)
    if not as_json:
        click.echo(f"\n{bad} bad, {warned} to look at", err=True)
    return 1 if bad else 0


async def _examine(settings: Settings, as_json: bool) -> list[Finding]:
    found: list[Finding] = []

    def note(finding: Finding) -> None:
        found.append(finding)
        _show(finding, as_json)

    found_access = _access(settings, note)
    gateway = Gateway(found_access) if found_access is not None else None
    try:
        for check in (*CHECKS, server, hooks, at_work, matters):
            try:
                async for finding in check(settings, gateway):
                    note(finding)
            except Exception as error:
                # One broken look must not hide what the others would say.
                name = getattr(check, "__name__", "check").replace("_", " ")
                note(Finding(name, BAD, f"the look itself failed: {type(error).__name__}: {error}"))
    finally:
        if gateway is not None:
            await gateway.aclose()
    return found


def _access(settings: Settings, note: Callable[[Finding], None]) -> Credentials | None:
    for odd in settings.notes:
        note(Finding("settings", WARN, odd))
    try:
        require_serving(settings)
        note(Finding("settings", OK, f"{settings.project}, gateway {way_in(settings)}"))
    except ConfigError as error:
        for problem in error.problems:
            note(Finding("settings", BAD, problem))
    try:
        return Credentials.from_settings(settings)
    except ConfigError:
        # Said already, with the settings.
        return None


def _show(finding: Finding, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "check": finding.check,
                "state": finding.state,
                "says": finding.says,
                "mend": finding.mend,
            }
        )
        return
    state = style(f"{finding.state:7}", COLOURS[finding.state])
    click.echo(f"{state} {finding.check:15} {cell(finding.says)}")
    if finding.mend and finding.state != OK:
        click.echo(f"{'':23} → {cell(finding.mend)}")
