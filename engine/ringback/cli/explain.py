"""The command `explain`: what an error of Twilio means, whose fault it is, and what to do.

It needs no project for codes and words. The error of a message, call, event, action or run is read
from the journal of the project around us.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import click

from ringback.cli.output import fancy, json_option, print_json, print_rows, style
from ringback.error_codes import (
    AFFECTS,
    CLASS_TABLE,
    FAULTS,
    INSTEAD,
    PHASES,
    ErrorCode,
    explain_error,
    facts,
    listed,
    meaning,
    nearest,
    range_about,
)
from ringback.errors import UsageError

_CODE = re.compile(r"[#Ee]?(\d{3,6})[:,.]?")
_ID = re.compile(r"(?:evt|run|act|att)_\w+|[A-Z]{2}[0-9a-f]{32}")
_COLUMNS = ("code", "class", "retry", "meaning")
_BY_WEIGHT = ("code", "meaning", "class", "retry")


@click.command()
@click.argument("what", nargs=-1, metavar="[CODE|WORDS|SID|ID]...")
@click.option("--markdown", is_flag=True, help="The whole catalogue, as the page of the manual.")
@json_option
def explain(what: tuple[str, ...], markdown: bool, as_json: bool) -> None:
    """Explain errors of Twilio: what they mean, whose fault they are, and what to do.

    WHAT is one or more error codes; words to look for, such as a class; or the id of an event, run
    or action, or the SID of a message or call, whose errors are explained. Without it the classes
    are listed.
    """
    if markdown:
        from ringback.cli.error_page import error_page

        click.echo(error_page(), nl=False)
    elif not what:
        _classes(as_json=as_json)
    else:
        _answer(what, as_json=as_json)


def _answer(what: tuple[str, ...], *, as_json: bool) -> None:
    codes = [int(each) for part in what for each in _CODE.findall(part) if _CODE.fullmatch(part)]
    ids = [each for each in what if _ID.fullmatch(each)]
    words = [each for each in what if not _CODE.fullmatch(each) and each not in ids]
    if codes or ids:
        words = [each for each in words if each.lower().strip(":,.") not in ("error", "code")]
    told: list[tuple[str, ErrorCode]] = [("", explain_error(code)) for code in codes]
    for each in ids:
        told += _of(each, as_json=as_json)
    if words:
        found = search(words)
        if not found:
            raise UsageError(
                f"no error is about {' '.join(words)!r}; `ringback explain` lists the classes, and "
                "https://www.twilio.com/docs/api/errors all codes"
            )
        if len(found) > 1 and not as_json:
            _show(told)
            print_rows(
                [_row(each) for each in found], _COLUMNS, as_json=False, empty="",
                by_weight=_BY_WEIGHT,
            )  # fmt: skip
            return
        told += [("", each) for each in found]
    if as_json:
        for about, code in told:
            print_json(({"about": about} if about else {}) | facts(code))
    else:
        _show(told)


def search(words: Iterable[str]) -> list[ErrorCode]:
    """The codes whose meaning, class or steps have all these words; a class's own name finds that
    class alone. Those with all words in their meaning come first."""
    wanted = [word.lower() for part in words for word in part.split()]
    if len(wanted) == 1 and wanted[0] in CLASS_TABLE:
        return [each for each in listed() if each.error_class == wanted[0]]
    found = [each for each in listed() if all(word in _text(each) for word in wanted)]
    return sorted(found, key=lambda each: not all(word in each.title.lower() for word in wanted))


def _text(code: ErrorCode) -> str:
    parts = (code.title, code.error_class, code.error_class.replace("_", " "), *code.steps)
    return "\n".join((*parts, CLASS_TABLE[code.error_class].meaning)).lower()


def _show(told: Iterable[tuple[str, ErrorCode]]) -> None:
    for number, (about, code) in enumerate(told):
        if number:
            click.echo()
        if about:
            click.echo(about)
        for line in lines(code):
            click.echo(line)


def lines(code: ErrorCode) -> Iterator[str]:
    """A code for a person: what is known, then the steps with their numbers."""
    yield style(f"{code.code}  {code.title}", "cyan")
    if not code.listed:
        yield from _hanging("listed", "no: Twilio has added it since, or it is of another product")
        yield from _hanging(
            "range", range_about(code.code) or "of a product that Ringback does not use"
        )
        near = ", ".join(f"{each} {explain_error(each).title}" for each in nearest(code.code))
        yield from _hanging("nearest", near)
    yield from _hanging("class", f"{code.error_class}: {meaning(code)}")
    yield from _hanging("fault", FAULTS[code.fault])
    if code.phase:
        yield from _hanging("met as", PHASES[code.phase])
    yield from _hanging("affects", AFFECTS[code.affects])
    yield from _hanging("retry", code.retry)
    if code.instead:
        yield from _hanging("instead", " or ".join(INSTEAD[each] for each in code.instead))
    for number, step in enumerate(code.steps, 1):
        yield from _hanging(f"{number}.", step)
    yield from _hanging("page", code.url)


def _hanging(name: str, text: str) -> list[str]:
    """A name and what it is; in a terminal the words go on below, behind the name."""
    head = f"  {name:<8} "
    if not fancy():
        return [head + text]
    room = max(get_terminal_size().columns - len(head), 20)
    parts = wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return [
        f"{head if number == 0 else ' ' * len(head)}{part}" for number, part in enumerate(parts)
    ]


def _row(code: ErrorCode) -> dict[str, Any]:
    return {
        "code": code.code, "class": code.error_class, "retry": code.wait,
        "meaning": code.title,
    }  # fmt: skip


def _classes(*, as_json: bool) -> None:
    rows = [
        {
            "class": name, "codes": sum(each.error_class == name for each in listed()),
            "fault": each.fault, "meaning": each.meaning,
        }
        for name, each in CLASS_TABLE.items()
    ]  # fmt: skip
    print_rows(
        rows, ("class", "codes", "fault", "meaning"), as_json=as_json, empty="",
        by_weight=("class", "meaning", "codes", "fault"),
    )  # fmt: skip


def _of(what: str, *, as_json: bool) -> list[tuple[str, ErrorCode]]:
    """The errors of an event, run, action, message or call, each with a line about where it is."""
    from ringback.cli.events import questions

    with questions() as asked:
        uids = asked.find(what)
        trees = [tree for uid in uids if (tree := asked.trace(uid)) is not None]
        own = asked.events(sid=what, limit=20)[::-1] if what[2:3] != "_" and trees else []
    if not trees:
        raise UsageError(
            f"nothing is known about {what!r}; `ringback events list` shows what came in"
        )
    found: dict[int, str] = {}
    for about, code in _codes(what, trees, own):
        found.setdefault(int(code), about)
    if not found:
        state = f"; it is {own[-1]['status']}" if own and own[-1]["status"] else ""
        click.echo(f"{what} has no error{state}", err=as_json)
    return [(f"{what}: {about}", explain_error(code)) for code, about in found.items()]


def _codes(
    what: str, trees: Iterable[Mapping[str, Any]], own: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, int]]:
    """Every error, the last word on a text first: of the reports about it, then of the actions."""
    for event in own:
        if event["error_code"]:
            yield f"{event['type']} of {event['received_at']}", event["error_code"]
    for tree in trees:
        event = tree["event"]
        if event["error_code"] and what in (event["uid"], event["subject_sid"]):
            yield f"{event['type']} of {event['received_at']}", event["error_code"]
        for run in tree["runs"]:
            for action in run["actions"]:
                if what in (event["uid"], run["uid"], action["uid"], action["remote_sid"]) or any(
                    what == attempt["uid"] for attempt in action["attempts"]
                ):
                    yield from _of_action(action)


def _of_action(action: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    name = f"{action['uid']}, {action['kind']} of rule {action['rule']}, is {action['state']}"
    if action["error_code"]:
        yield name, action["error_code"]
    for attempt in action["attempts"]:
        if attempt["twilio_code"]:
            yield f"attempt {attempt['n']} of {name}", attempt["twilio_code"]
