"""Traces: the whole life of an event, and the events behind an id, a SID or a number."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from ringback.events import REPLAY, matches_type
from ringback.rules.model import found_by
from ringback.store import events, replays
from ringback.store.connection import Connection
from ringback.store.meta import PASSED_OVER, Revision, get_meta, rules_at
from ringback.store.queries.files import Row
from ringback.store.queries.run_lists import RunLists, with_params

_EVENTS_PER_SID = 20
_OVERRIDES = 1000
"""So many of the last words of people about rules are looked at."""
_OF_A_CAUSE = "uid, type, tag, subject_sid"
"""What tells whether an event is news of something that an action of ours made."""

_MOST = 500
"""So many actions of a run are shown."""
_ABOUT = """
select * from actions where run_uid = :run and uid in (
    select uid from actions where uid = :about
    union all select action_uid from attempts where uid = :about
    union all select uid from actions where remote_sid = :about and remote_sid <> ''
)
"""
"""The action of a run that has this id, attempt or SID."""


class Traces(RunLists):
    """Events with all that came of them."""

    def find(self, text: str, limit: int = 5) -> list[str]:
        """The events behind an id of ours, a SID or a phone number, oldest first.

        A SID of something that one of our actions made leads to the event that caused it.
        """
        prefix = text[:4]
        if prefix == "evt_":
            sql = "select uid from events where uid = ?"
        elif prefix == "run_":
            sql = "select event_uid as uid from runs where uid = ?"
        elif prefix in ("act_", "att_"):
            inner = "select action_uid from attempts where uid = ?" if prefix == "att_" else "?"
            sql = f"select event_uid as uid from actions where uid = ({inner})"
        else:
            return self._find_outside(text, limit)
        return [row["uid"] for row in self._all(sql, (text,))]

    def _find_outside(self, text: str, limit: int) -> list[str]:
        caused = self._all(
            "select distinct event_uid as uid from actions "
            "where remote_sid = ? and remote_sid <> ''",
            (text,),
        )
        if caused:
            return [row["uid"] for row in caused]
        about = self._all(
            "select uid from events where subject_sid = ? order by id limit ?",
            (text, max(limit, _EVENTS_PER_SID)),
        )
        if about:
            return [row["uid"] for row in about]
        if not any(c.isdigit() for c in text):
            return []
        ways = self._ways("", text, "", error=False)
        began = self._newest_of(_OF_A_CAUSE, ways, limit * 20, ascending=False)
        firsts = (row["uid"] for row in began if not self._is_callback(row))
        return list(islice(firsts, limit))[::-1]

    def _is_callback(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is news about something that an action of ours made."""
        return not event["type"].endswith(".received") and self._cause(event) is not None

    def trace(self, event_uid: str, about: str = "") -> Row | None:
        """The whole life of one event: verdicts, runs, actions, attempts, callbacks, outcomes.
        Of a run with more actions than are shown, as of a broadcast, that which is asked `about`.

        `cause` is the event and the action that led to this one, when it is a status callback;
        `replays` the event that this one is a copy of, `replayed` the copies of this one. `turns`
        are those of the runs that had waited for this event; each run has the `turns` that later
        events gave to it. `lines` are the conditions of each rule at that time, `overrides` what
        people had made of rules by then.
        """
        event = self.event(event_uid)
        if event is None:
            return None
        runs = self.runs(event=event_uid, limit=500)
        for run in runs:
            run["actions"] = self._actions_of(run["uid"], about)
            run["turns"] = _turns(self._connection, run=run["uid"])
            for turn in run["turns"]:
                turn["woken_by"] = self.event(turn["event"])
        for turn in (woken := _turns(self._connection, event=event_uid)):
            turn["actions"] = _made_in(turn, self._actions_of(turn["run"]))
        with self._translated():
            copies = events.copies(self._connection, event_uid)
        rules = rules_at(self._connection, event["id"])
        if event["verdicts"] is not None and event["source"] != REPLAY:
            over = self._passed_over(event, rules)
            unsaid = {name: over[name] for name in over if name not in event["verdicts"]}
            event["verdicts"] = {**event["verdicts"], **unsaid}
        key = self._one("select dedupe_key from events where uid = ?", (event_uid,))
        original = replays.replayed(key["dedupe_key"]) if key else ""
        return {
            "event": event, "cause": self._cause(event), "runs": runs,
            "answer": self.answer(event_uid), "replays": original, "replayed": copies,
            "turns": woken, "lines": {name: each.lines for name, each in rules.items()},
            "overrides": self._overrides(event["received_at"], rules),
        }  # fmt: skip

    def _passed_over(self, event: Row, rules: Mapping[str, Revision]) -> dict[str, str]:
        """The verdicts on an event that are not on record, of those of the `rules` of its time that
        are found by an address or a schedule: the word by which each is. One that was found has a
        verdict on record."""
        first = get_meta(self._connection, PASSED_OVER)
        if not first or event["id"] < int(first):
            return {}
        found: dict[str, str] = {}
        for name, each in rules.items():
            said = json.loads(each.text) if each.text else {}
            word = found_by(said.get("from"), said.get("to"), said.get("schedule"))
            types = "timer.due" if said.get("schedule") else said.get("on") or ()
            types = (types,) if isinstance(types, str) else types
            if word and any(matches_type(on, event["type"]) for on in types):
                found[name] = word
        return found

    def _overrides(self, at: str, rules: Mapping[str, Revision]) -> dict[str, Row]:
        """The states that people had given to rules at that time (ISO): `state`, what its `file`
        said, `until` when, `by` whom, and the `reason`."""
        rows = self._all(
            "select subject, who, reason, wanted from doings where op = 'rule_state' "
            "and +outcome = 'done' and at <= ? order by id desc limit ?",
            (at, _OVERRIDES),
        )
        found: dict[str, Row] = {}
        for row in rows:
            said, rule = json.loads(row["wanted"]), rules.get(row["subject"])
            over = said["state"] == "file" or (said.get("end") or at) < at
            if row["subject"] not in found:
                found[row["subject"]] = {} if over or rule is None or rule.rev != said["rev"] else {
                    "state": said["state"], "file": said["file"], "until": said["end"],
                    "by": row["who"], "reason": row["reason"],
                }  # fmt: skip
        return {name: each for name, each in found.items() if each}

    def _actions_of(self, run: str, about: str = "") -> list[Row]:
        """The actions of a run, each with its attempts and the callbacks about it, these with
        the `rules` of which they began runs."""
        found = self.actions(run=run, limit=_MOST)
        if about and len(found) == _MOST:
            alone = self._all(_ABOUT, {"run": run, "about": about})
            found = [with_params(row) for row in alone] or found
        for action in found:
            action["attempts"] = self.attempts(action["uid"])
            action["callbacks"] = self.callbacks(action)
            for callback in action["callbacks"]:
                begun = self.runs(event=callback["uid"], limit=500)
                callback["rules"] = [each["rule"] for each in begun]
            action["duration"] = self._duration(action)
        return found

    def _duration(self, action: Mapping[str, Any]) -> int | None:
        """How many seconds of a call Twilio counts, as it said at its end."""
        for callback in action["callbacks"]:
            if callback["type"] == "call.completed":
                event = self.event(callback["uid"])
                said = str(event["fields"].get("CallDuration", "")) if event else ""
                return int(said) if said.isdecimal() and said.isascii() else None
        return None

    def _cause(self, event: Mapping[str, Any]) -> Row | None:
        if event["type"].endswith(".received"):
            return None
        tagged = self._one(
            "select a.uid as action, a.event_uid as event, a.rule from attempts t "
            "join actions a on a.uid = t.action_uid where t.tag = ? and t.tag <> ''",
            (event["tag"],),
        )
        if tagged or not event["subject_sid"]:
            return tagged
        return self._one(
            "select uid as action, event_uid as event, rule from actions "
            "where remote_sid = ? and remote_sid <> '' and effect <> ''",
            (event["subject_sid"],),
        )


def _turns(connection: Connection, *, event: str = "", run: str = "") -> list[dict[str, Any]]:
    """The turns that an event gave to runs, or that one run had, in their order. `until` is the
    ordinal of the first action that is not of the turn any more, None for the last."""
    column, value = ("event_uid", event) if event else ("run_uid", run)
    names = (
        "run", "event", "question", "at", "ordinal", "until", "rule", "rule_rev", "began", "state",
        "reason", "due_at",
    )  # fmt: skip
    rows = connection.execute(
        "select t.run_uid, t.event_uid, t.question, t.at, t.ordinal, (select min(n.ordinal) "
        "from turns n where n.run_uid = t.run_uid and n.id > t.id), r.rule, r.rule_rev, "
        "r.event_uid, r.state, r.reason, r.due_at from turns t "
        f"join runs r on r.uid = t.run_uid where t.{column} = ? order by t.id",
        (value,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _made_in(turn: Mapping[str, Any], actions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The actions of a run that came of this turn."""
    end = turn["until"]
    late = [action for action in actions if action["ordinal"] >= turn["ordinal"]]
    return [action for action in late if end is None or action["ordinal"] < end]
