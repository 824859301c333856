"""Shapes of public objects: a row as the shell's `--json`, the console and the JSON API show it.

The one place that decides on the names of their fields. A shape has what a row of `Questions` has,
without what only the database needs, and what follows from it: the recipient and the words of an
action, what the catalogue knows of an error, the price of what came in. Rows are not changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ringback.error_codes import explain_error, facts
from ringback.store.operations.rule_states import RuleState
from ringback.store.queries.action_words import cost, recipient, words
from ringback.store.queries.files import Row

Lines = Mapping[str, tuple[str, list[str]]]
"""For each rule its revision and the lines of its `if`."""

_OF_A_TAG = 6


def event(row: Mapping[str, Any]) -> Row:
    """An event: the columns, the fields, and the price of what came in. Its tag is a secret."""
    shown = {key: value for key, value in row.items() if key not in ("id", "tag")}
    price, unit = _price(row)
    return {**shown, "price": price or None, "price_unit": unit}


def charged(row: Mapping[str, Any]) -> str:
    """What Twilio charged for a text or call that came in; empty while that is not known."""
    return " ".join(_price(row)).strip()


def _price(row: Mapping[str, Any]) -> tuple[str, str]:
    fields = row["fields"] if isinstance(row["fields"], dict) else {}
    inbound = row["type"].startswith("call.") and fields.get("Direction") == "inbound"
    if row["type"] != "message.received" and not inbound:
        return "", ""
    return str(fields.get("Price") or ""), str(fields.get("PriceUnit") or "")


def said(fields: Mapping[str, Any]) -> str:
    """What a person said or keyed, or what Ringback itself has to say with an incident."""
    return str(fields.get("Body") or fields.get("Digits") or fields.get("Text") or "")


def run(row: Mapping[str, Any]) -> Row:
    """A run. Where it goes on from is of no use to anybody else."""
    return {key: value for key, value in row.items() if key not in ("id", "memory")}


def action(row: Mapping[str, Any]) -> Row:
    """An action with whom it is for (`to`), what it says (`text`) and what it came to (`cost`);
    with an `error` when it has an error code."""
    shown = {key: value for key, value in row.items() if key != "id"}
    shown |= {"to": recipient(row), "text": words(row), "cost": cost(row)}
    return with_error(shown)


def attempt(row: Mapping[str, Any]) -> Row:
    """An attempt. Its tag is a secret, for whoever knows it can report on it: its beginning tells
    it from others."""
    return {key: value for key, value in row.items() if key != "id"} | {
        "tag": f"{row['tag'][:_OF_A_TAG]}…"
    }


def incident(row: Mapping[str, Any]) -> Row:
    """An incident, its details and what was told to whom as objects."""
    shown = {key: value for key, value in row.items() if key != "id"}
    return {**shown, "details": json.loads(row["details"]), "told": json.loads(row["told"])}


def doing(row: Mapping[str, Any]) -> Row:
    """What a person did. What they were answered is kept for whoever repeats the request."""
    return {key: value for key, value in row.items() if key not in ("id", "answer")}


def override(given: RuleState) -> Row:
    """What a person made of a rule, as a field of its row."""
    return {key: value for key, value in asdict(given).items() if key not in ("name", "rev")}


def schedule(row: Mapping[str, Any]) -> Row:
    """A timer, with the `rule` that it is for and the `schedule` that it was made from."""
    rule = str(row["key"]).partition(":")[2]
    return {
        "key": row["key"], "kind": row["kind"], "rule": rule, "schedule": row["payload"],
        "due_at": row["due_at"],
    }  # fmt: skip


def with_error(row: Mapping[str, Any]) -> Row:
    """An event or action, and what the catalogue says of its error."""
    code = row["error_code"]
    return {**row, "error": facts(explain_error(code))} if code else dict(row)


def trace(tree: Mapping[str, Any], today: Lines) -> Row:
    """A trace of `Questions.trace`: the event, then each rule with its verdict, the lines of its
    `if` and its run. `today` are the lines as they are now, for rules that had none on record."""
    runs = {
        each["rule"]: run(each)
        | {"turns": [_turn(turn) for turn in each["turns"]]}
        | {"actions": [_with_attempts(made) for made in each["actions"]]}
        for each in tree["runs"]
    }
    rules = [
        {
            "rule": name,
            "fired": verdict == "fired",
            "verdict": verdict,
            "lines": [
                {"if": text, "held": held}
                for text, held in asked_lines(name, verdict, runs.get(name), today, tree["lines"])
            ],
            "run": runs.get(name),
            "override": tree["overrides"].get(name),
        }
        for name, verdict in verdicts(tree).items()
    ]
    shown = with_error(event(tree["event"]))
    shown.pop("verdicts")
    links = ("cause", "replays", "replayed", "answer")
    return {
        "event": shown, **{name: tree[name] for name in links},
        "woke": [_turn(turn) for turn in tree["turns"]], "rules": rules,
    }  # fmt: skip


def _with_attempts(made: Mapping[str, Any]) -> Row:
    return action(made) | {"attempts": [attempt(each) for each in made["attempts"]]}


def _turn(turn: Mapping[str, Any]) -> Row:
    """A turn without what only counts."""
    return {name: turn[name] for name in turn if name not in ("ordinal", "until", "woken_by")}


def verdicts(tree: Mapping[str, Any]) -> dict[str, str]:
    """Rules that fired, then those that did not; runs without a verdict (hooks) count as fired."""
    known = tree["event"]["verdicts"]
    found = dict(known) if isinstance(known, dict) else {}
    found |= {each["rule"]: "fired" for each in tree["runs"] if each["rule"] not in found}
    return dict(sorted(found.items(), key=lambda pair: pair[1] != "fired"))


def asked_lines(
    name: str,
    verdict: str,
    began: Mapping[str, Any] | None,
    today: Lines,
    kept: Mapping[str, list[str]],
) -> list[tuple[str, bool]]:
    """The `if` lines that were asked, each with whether it held: as they were `kept`, else those of
    `today`."""
    rev, texts = ("", kept[name]) if name in kept else today.get(name, ("", []))
    if name not in kept and began is not None and began["rule_rev"] != rev:
        return []  # the rule has changed since: its lines of today prove nothing
    if verdict == "fired":
        return [(text, True) for text in texts]
    kind, _, rest = verdict.partition(":")
    number = rest.partition(":")[0].strip()
    if kind not in ("if", "error") or not number.isdecimal() or int(number) > len(texts):
        return []
    held = [(text, True) for text in texts[: int(number) - 1]]
    return [*held, (texts[int(number) - 1], False)]


def conversation(pair: Mapping[str, Any], last: Mapping[str, Any] | None) -> Row:
    """A conversation as a list shows it: its two sides, how it stands, and what was said last."""
    sender, _, recipient = str(pair["conversation"]).partition("/")
    names = ("uid", "conversation", "first_at", "last_at", "heard_at", "wrote_at", "out", "failing",
             "unanswered")  # fmt: skip
    return {name: pair[name] for name in names} | {
        "sender": sender, "recipient": recipient,
        "last": chat_item(last) if last else None,
    }  # fmt: skip


def chat_item(row: Mapping[str, Any]) -> Row:
    """One thing of a conversation: a text or call of `theirs` with what the rules made of it, or
    one of `ours` with what became of it."""
    theirs = row["side"] == "theirs"
    fields = row["fields"] if theirs and isinstance(row["fields"], dict) else {}
    known = row["verdicts"] if theirs and isinstance(row["verdicts"], dict) else {}
    call = row["type"].startswith("call.") if theirs else row["effect"] == "call"
    return {
        "side": row["side"], "kind": "call" if call else "text", "at": row["at"],
        "uid": row["uid"], "event_uid": row["uid"] if theirs else row["event_uid"],
        "sid": row["subject_sid"] if theirs else row["remote_sid"],
        "text": said(fields) if theirs else words(row),
        "media": _count(fields.get("NumMedia")) if theirs else _media(row),
        "rule": "" if theirs else row["rule"],
        "state": row["status"] if theirs else row["state"],
        "reason": "" if theirs else row["reason"], "outcome": "" if theirs else row["outcome"],
        "error_code": row["error_code"], "left_at": None if theirs else row["left_at"],
        "due_at": None if theirs else row["due_at"],
        "fired": [name for name, verdict in known.items() if verdict == "fired"],
        "silent": {name: verdict for name, verdict in known.items() if verdict != "fired"},
        "taken": row["taken"] if theirs else [],
    }  # fmt: skip


def _count(given: Any) -> int:
    text = str(given or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0


def _media(row: Mapping[str, Any]) -> int:
    params = row["params"] if isinstance(row["params"], dict) else {}
    return len(params.get("media") or ())
