"""The commands `contacts` and `conversation`: what is known of a person, and what was said."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ringback.cli.contact_files import export_file, import_file
from ringback.cli.control import tell_worker
from ringback.cli.events import questions, shortened
from ringback.cli.group_commands import fields_of, limit_option, print_cards, skip_option
from ringback.cli.output import (
    cell,
    echo_tree,
    fancy,
    json_option,
    print_json,
    print_rows,
    short_time,
    style,
    wide_option,
)
from ringback.cli.project_context import here
from ringback.error_codes import explain_error
from ringback.errors import UsageError
from ringback.events import person, telephone
from ringback.rules.language.numbers import counted
from ringback.store.queries.action_words import words
from ringback.store.queries.shapes import said

COLUMNS = ("time", "by", "text", "outcome", "from", "to", "rule")
BY_WEIGHT = ("text", "by", "time", "outcome", "from", "rule", "to")
"""The columns of a transcript as they give way, the last one first, where there is little room."""
LAST = 5
"""So many texts of each conversation are shown with a contact."""


@click.group()
def contacts() -> None:
    """The people that we text and call with."""


@contacts.command()
@click.argument("number")
@json_option
def show(number: str, as_json: bool) -> None:
    """Show what is known of a person: consent, memory, what waits for them, the last texts."""
    who = here().number(number)
    with questions() as asked:
        found = [each for each in asked.contacts(who) if each["recipient"] == person(who)]
        for contact in found:
            lines = asked.transcript([contact["conversation"]], LAST)
            contact["last"] = [_line(row) for row in lines]
        card = asked.contact_card(telephone(who))
    if not found and not card["fields"] and not card["groups"]:
        raise _nobody(number)
    if not found:
        found = [{"conversation": "", "sender": "", "recipient": telephone(who), "memory": {},
                  "consents": [], "waits": [], "last": []}]  # fmt: skip
    for contact in found:
        contact["groups"] = card["groups"]
        contact["fields"] = card["fields"]
    for place, contact in enumerate(found):
        if as_json:
            print_json(contact)
            continue
        if place:
            click.echo()
        for line in _shown(contact):
            echo_tree(line)


@contacts.command("list")
@click.option("--group", default="", help="Only those in this group.")
@limit_option
@wide_option
@json_option
def list_(group: str, limit: int, wide: bool, as_json: bool) -> None:
    """List whom we know by a field or a group, by number."""
    with questions() as asked:
        print_cards(list(islice(asked.contact_cards(group), limit)), as_json=as_json, wide=wide)


@contacts.command("set")
@click.argument("number")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE…")
def set_(number: str, fields: tuple[str, ...]) -> None:
    """Keep what we know of a person, whatever number of ours they write to: name=Ada zone=UTC."""
    card = {"address": here().number(number), "fields": fields_of(fields)}
    changed = tell_worker({"op": "cards", "cards": [card]})["changed"]
    click.echo("kept" if changed else "known already")


@contacts.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--group", default="", help="Put all of them into this group.")
@skip_option
@json_option
def import_(file: Path, group: str, skip_wrong: bool, as_json: bool) -> None:
    """Keep what FILE, CSV with a column `number`, says of people in its other columns."""
    import_file(file, [group] if group else [], skip_wrong=skip_wrong, as_json=as_json)


@contacts.command()
@click.argument("file", default="-")
@click.option("--group", default="", help="Only those in this group.")
@json_option
def export(file: str, group: str, as_json: bool) -> None:
    """Write all that is known of people as CSV, to FILE or to the standard output."""
    export_file(file, group, as_json=as_json)


@click.command()
@click.argument("number")
@click.option("--with", "ours", default="", help="Only with this number of ours.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def conversation(number: str, ours: str, limit: int, wide: bool, as_json: bool) -> None:
    """Show what was said with a person, texts and calls, the latest last."""
    who, us = person(here().number(number)), person(here().number(ours))
    with questions() as asked:
        pairs = [
            pair
            for pair in asked.conversations(who)
            if pair.endswith(f"/{who}") and (not us or pair == f"{us}/{who}")
        ]
        rows = [_line(row) for row in asked.transcript(pairs, limit)]
    if not rows:
        raise _nobody(number)
    for row in () if as_json else rows:
        row["time"] = short_time(row["at"])
        row["text"] = row["text"] if wide or not fancy() else shortened(row["text"])
    print_rows(rows, COLUMNS, as_json=as_json, empty="", by_weight=BY_WEIGHT, wide=wide)


def _nobody(number: str) -> UsageError:
    return UsageError(
        f"nobody with the number {number!r} has texted or called, or was; `ringback events list` "
        "shows what came in"
    )


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """One thing that was said, by them or by us."""
    if not row["ours"]:
        call = row["type"].startswith("call.")
        return {
            "at": row["at"], "from": row["sender"], "to": row["recipient"],
            "text": "(calls)" if call else said(row["fields"]) or _media(row["fields"]),
            "outcome": "", "rule": "", "by": "them", "event": row["uid"], "sid": row["subject_sid"],
        }  # fmt: skip
    code = row["error_code"]
    outcome = row["outcome"] if row["remote_sid"] else row["state"]
    if code:
        outcome = f"{outcome}: {code} {explain_error(code).title}"
    elif not row["remote_sid"] and row["reason"]:
        outcome = f"{outcome}: {row['reason']}"
    sender, _, recipient = row["conversation"].partition("/")
    return {
        "at": row["at"], "from": sender, "to": recipient,
        "text": words(row) if row["effect"] == "message" else f"(call) {words(row)}".rstrip(),
        "outcome": outcome, "rule": row["rule"], "by": "us", "action": row["uid"],
        "sid": row["remote_sid"],
    }  # fmt: skip


def _media(fields: Mapping[str, Any]) -> str:
    number = str(fields.get("NumMedia") or "0")
    return f"({counted(int(number), 'picture')})" if number.isdecimal() and int(number) else ""


def _shown(contact: Mapping[str, Any]) -> Iterator[str]:
    """A contact for a person to read."""
    yield style(f"{contact['recipient']} with {contact['sender'] or 'no number of ours'}", "cyan")
    yield f"  texts    {_texts(contact)}"
    for line in _consents(contact):
        yield f"  consent  {line}"
    for name, value in contact["memory"].items():
        yield f"  memory   {cell(name)} = “{cell(value)}”"
    for name, value in contact["fields"].items():
        if name not in contact["memory"]:
            yield f"  field    {cell(name)} = “{cell(value)}”"
    if contact["groups"]:
        yield f"  groups   {', '.join(contact['groups'])}"
    for run in contact["waits"]:
        due = f" until {short_time(run['due_at'])}" if run["due_at"] else ""
        yield f"  waits    rule {cell(run['rule'])} is {run['state']}{due}  {run['uid']}"
    for each in contact["last"]:
        mark = "←" if each["by"] == "them" else "→"
        outcome = f"  {cell(each['outcome'])}" if each["outcome"] else ""
        yield f"  {short_time(each['at'])} {mark} {cell(shortened(each['text']))}{outcome}"


def _texts(contact: Mapping[str, Any]) -> str:
    if "inbound" not in contact:
        return "none, only calls" if contact["conversation"] else "none"
    parts = []
    for word, count, last in (
        ("from them", contact["inbound"], contact["last_inbound_at"]),
        ("to them", contact["outbound"], contact["last_outbound_at"]),
    ):
        parts.append(f"{count} {word}{f' (last {short_time(last)})' if count and last else ''}")
    return ", ".join(parts)


def _consents(contact: Mapping[str, Any]) -> Iterator[str]:
    own = [each for each in contact["consents"] if each["sender"] == contact["sender"]]
    if not own:
        yield "nothing was said: may be texted"
    for each in contact["consents"]:
        what = "may be texted" if each["state"] == "in" else "may not be texted"
        whose = "" if each in own else f" from {each['sender']}"
        yield f"{what}{whose}: {cell(each['source'])}, {short_time(each['at'])}"
