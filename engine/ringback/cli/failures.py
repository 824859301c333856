"""The command `failures`: texts and calls that failed, counted by what they have in common."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import click

from ringback.cli.events import moment, questions
from ringback.cli.explain import facts
from ringback.cli.output import counted, json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.error_codes import explain_error
from ringback.errors import UsageError
from ringback.events import person

READ = 50_000
"""So many failures of a span are counted at most, the newest of them."""
_UNREPORTED = "no code was reported"


def country(row: Mapping[str, Any]) -> str:
    """The country of a row's recipient in two letters; a question mark for one without."""
    return _country(row["recipient"])


@cache
def _country(number: str) -> str:
    from ringback.rules.language import phones

    return phones.country(number) or "?"


def line_type(row: Mapping[str, Any]) -> str:
    """The line type of a row's recipient; a question mark for one without."""
    return _line_type(row["recipient"])


@cache
def _line_type(number: str) -> str:
    from ringback.rules.language import phones

    return phones.line_type(number) or "?"


WAYS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "code": lambda row: row["code"],
    "class": lambda row: explain_error(row["code"]).error_class or "unknown",
    "sender": lambda row: row["sender"],
    "rule": lambda row: row["rule"],
    "country": country,
    "line_type": line_type,
    "hour": lambda row: f"{row['at'][:13]}:00Z",
}
"""What failures may be counted by, and where a row has it."""


@click.command()
@click.option("--by", default="code", show_default=True, help=f"One or more of {', '.join(WAYS)}.")
@click.option("--since", default="24h", show_default=True, help="Since then: 30m, 2h, 7d, a time.")
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--rule", default="", help="Only of this rule.")
@wide_option
@json_option
def failures(
    by: str, since: str, code: int, number: str, rule: str, wide: bool, as_json: bool
) -> None:
    """Count the texts and calls that failed, and say what to do about each kind.

    Each text counts once, however often it is reported: those that Twilio told to be failed or
    undelivered, and those that it did not accept. An answer that was resent and failed again is a
    text of its own.
    """
    ways = [each.strip() for each in by.split(",") if each.strip()]
    if not ways or (wrong := [each for each in ways if each not in WAYS]):
        raise UsageError(f"--by takes {', '.join(WAYS)}, with commas between; not {wrong or by}")
    who = person(here().number(number))
    with questions() as asked:
        found = asked.failures(moment(since), READ + 1)
    cut = len(found) > READ
    rows = [
        row
        for row in found[:READ]
        if (not code or row["code"] == code)
        and (not rule or row["rule"] == rule)
        and (not who or who in (person(row["sender"]), person(row["recipient"])))
    ]
    if cut:
        oldest = short_time(found[READ - 1]["at"])
        click.echo(f"only the newest {READ:,} are counted, those since {oldest}", err=True)
    groups = grouped(rows, ways)
    columns = [*ways, "failures", "last"]
    columns += ["meaning", "retry", "remedy"] if "code" in ways else []
    print_rows(
        groups, columns, as_json=as_json, empty=nothing("failures", since, code, who, rule),
        by_weight=[*ways, "failures", "remedy", "meaning", "retry", "last"], wide=wide,
    )  # fmt: skip
    if groups and not as_json:
        say = counted(len(rows), "text or call has", "texts and calls have")
        click.echo(f"{say} failed; `ringback explain CODE` has all steps", err=True)


def grouped(rows: Iterable[Mapping[str, Any]], ways: Iterable[str]) -> list[dict[str, Any]]:
    """The rows by what they have in common, the most first; by hour in order of time.

    Each group has its values, how many `failures`, when the `last` was and an `example` (a SID or
    an id to trace); by code also what the catalogue knows of it.
    """
    by = list(ways)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(WAYS[way](row) for way in by)
        group = found.setdefault(
            key,
            {
                **dict(zip(by, key, strict=True)), "failures": 0, "last": short_time(row["at"]),
                "last_at": row["at"], "example": row["sid"] or row["uid"],
            },
        )  # fmt: skip
        group["failures"] += 1
    groups = [each | (_said(each["code"]) if "code" in by else {}) for each in found.values()]
    groups.sort(key=lambda each: [str(each[way]) for way in by])
    return sorted(groups, key=lambda each: (each.get("hour", ""), -each["failures"]))


def _said(code: int) -> dict[str, Any]:
    if not code:
        return {"meaning": _UNREPORTED, "retry": "", "remedy": "", "error": None}
    known = explain_error(code)
    return {
        "meaning": known.title, "retry": known.wait, "remedy": known.remedy, "error": facts(known),
    }  # fmt: skip
