"""Conferences: their events, asked for where a rule listens, and their recordings."""

from pathlib import Path

import pytest

from admission.node import Loaded, Node, settings_of
from admission.stories import OURS, PEOPLE, Happens
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules

ROOM = """
rules:
  - name: dial-in
    on: call.received
    do: [{dial: {conference: "room ${{ event.from }}", record: RECORD}}]
"""
LISTENS = """  - name: who-is-here
    on: conference.participant-join
    state: STATE
    do: [{notify: "${{ event.call_sid }} joined"}]
"""
TOLD = 'statusCallback="https://hooks.example.org/twilio/call/status" '
EVENTS = 'statusCallbackEvent="start end join leave"'
SID, ROOM_SID = f"CA{7:032x}", f"CF{7:032x}"


def node(folder: Path, rules: str) -> Node:
    """A node with these rules."""
    path = folder / "rules.yaml"
    path.write_text(rules)
    found = load_rules(path)
    assert found.problems == []
    settings = settings_of(folder, {"public_url": "https://hooks.example.org"})
    return Node(settings, Loaded(RuleSet(found.rules, found.language), PluginSet()))


async def heard(box: Node) -> str:
    """What somebody hears who calls."""
    fields = {"CallSid": SID, "From": PEOPLE[0], "To": OURS, "CallStatus": "ringing"}
    return await box.hears("call", "", Direction="inbound", **fields)


@pytest.mark.parametrize(
    ("state", "asked"), [("live", True), ("draft", True), ("shadow", False), ("off", False)]
)
async def test_a_conference_tells_what_a_rule_listens_to(
    tmp_path: Path, state: str, asked: bool
) -> None:
    """Who joins costs a request each, so nothing is asked for where no rule listens."""
    box = node(tmp_path, ROOM.replace("RECORD", "false") + LISTENS.replace("STATE", state))
    await box.start({})
    try:
        twiml = await heard(box)
        assert (f"<Conference {TOLD}{EVENTS}>room {PEOPLE[0]}</Conference>" in twiml) is asked
        assert ("statusCallback" in twiml) is asked
        joined = {
            "ConferenceSid": ROOM_SID, "StatusCallbackEvent": "participant-join",
            "FriendlyName": "room", "CallSid": SID, "Muted": "false",
        }  # fmt: skip
        await box.record(Happens("call/status", joined))
        await box.happen()
        notices = box.reader.execute("select params from actions where kind = 'notify'").fetchall()
        assert [SID in params for (params,) in notices] == ([] if state == "off" else [True])
    finally:
        await box.close()


async def test_a_recorded_conference_is_recorded_as_a_whole(tmp_path: Path) -> None:
    """By an attribute of its own: that of `Dial` records the two sides of a phone call."""
    box = node(tmp_path, ROOM.replace("RECORD", "true"))
    await box.start({})
    try:
        twiml = await heard(box)
    finally:
        await box.close()
    where = 'recordingStatusCallback="https://hooks.example.org/twilio/recording"'
    assert f'<Dial><Conference record="record-from-start" {where}>' in twiml
