"""Erasure and retention: traces of a person, and of others, in both files. Real files, a real
worker on a stepped clock."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import OURS, PEOPLE, Happens, Story, text
from ringback.errors import StorageError
from ringback.runtime import REAL, iso
from ringback.store.actions import Decision
from ringback.store.sqlite import sqlite_files as sqlite
from ringback.store.sqlite.sqlite_files import connect_reader, connect_writer
from ringback.store.upkeep.erase import Erased, erase
from ringback.store.upkeep.log_retention import blank_body
from ringback.store.upkeep.rebuild import rebuild

ANN, BOB, _ = PEOPLE
REPLY = "- {name: r, on: message.received, do: [{reply: 'Hello ${{ event.body }}'}]}"
SAID = "sesame"


@asynccontextmanager
async def node(folder: Path, rules: str) -> AsyncIterator[Node]:
    made = Node(settings_of(folder, {}), load(Story(f"rules:\n{rules}\n", ()), folder))
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def holds(folder: Path, word: str) -> list[str]:
    """The files of which some page still has this word."""
    files = (folder / "data").glob("*.db*")
    return [path.name for path in files if word.encode() in path.read_bytes()]


def forget(folder: Path, number: str) -> Erased:
    return erase(folder / "data", number, "2026-01-01T00:00:00.000Z")


def ask(folder: Path, question: str) -> list[Any]:
    connection = connect_writer(folder / "data" / "journal.db")
    rows = [row[0] if len(row) == 1 else tuple(row) for row in connection.execute(question)]
    connection.close()
    return rows


@pytest.mark.parametrize(
    ("number", "gone", "stays"),
    [
        ("12345", ["12345"], ["+14155512345", "123456", "whatsapp:+14155512345"]),
        ("+14155512345", ["+14155512345", "whatsapp:+14155512345"], ["12345", "+141555123456"]),
        ("+1415551234", ["+1415551234"], ["+14155512345"]),
    ],
)
async def test_a_number_is_erased_and_no_longer_one_that_has_it_in_it(
    tmp_path: Path, number: str, gone: list[str], stays: list[str]
) -> None:
    async with node(tmp_path, REPLY) as it:
        for who in (*gone, *stays):
            ours = f"whatsapp:{OURS}" if who.startswith("whatsapp:") else OURS
            await it.happen(text(f"word {who}.", who, ours))
            await it.engine.incidents.open(f"k {who}", "test", f"something about {who}: odd")
    found = forget(tmp_path, number)
    assert (found.log_rows, found.contacts, found.incidents) == (len(gone), len(gone), len(gone))
    senders = ask(tmp_path, "select sender from events where type = 'message.received'")
    assert sorted(senders) == sorted(stays)
    assert len(ask(tmp_path, "select 1 from actions")) == len(stays)
    assert len(ask(tmp_path, "select 1 from incidents")) == len(stays)
    for who in gone:
        assert holds(tmp_path, f"word {who}.") == []


async def test_a_reader_that_keeps_old_pages_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Litestream reads for as long as it lives, and so long the file has what was erased."""
    async with node(tmp_path, REPLY) as it:
        await it.happen(text("my secret", ANN))
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    with closing(connect_reader(tmp_path / "data" / "log.db")) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from log").fetchone()[0] > 0
        with pytest.raises(StorageError, match=r"log\.db: another program reads it"):
            forget(tmp_path, ANN)
    forget(tmp_path, ANN)
    assert holds(tmp_path, "my secret") == []


async def test_what_somebody_wrote_or_keyed_is_no_address(tmp_path: Path) -> None:
    """A text that says 12345, and a key that was pressed, are not of that short code."""
    call = {"CallSid": "CA" + "5" * 32, "From": BOB, "To": OURS, "CallStatus": "in-progress"}
    async with node(tmp_path, REPLY) as it:
        await it.happen(text("12345", ANN), Happens("call/step", {**call, "Digits": "12345"}))
    assert forget(tmp_path, "12345") == Erased(0, 0, 0, 0, 0)


async def test_who_was_only_written_to_leaves_the_events_of_others(tmp_path: Path) -> None:
    team = f"- {{name: t, on: message.received, do: [{{send: {{to: '{BOB}', body: News}}}}]}}\n"
    async with node(tmp_path, team + REPLY) as it:
        await it.happen(text("hi", ANN))
    forget(tmp_path, BOB)
    assert ask(tmp_path, "select sender from events where type = 'message.received'") == [ANN]
    assert ask(tmp_path, "select rule from actions") == ["r"]
    assert ask(tmp_path, "select conversation from contacts") == [f"{OURS}/{ANN}"]


JOINT = """
- {name: j, on: message.received, key: all, once_after: 1m, do: [{notify: "${{
   burst.texts.join('+') }}"}, {wait: 1h}, {notify: "${{ burst.text }}"}]}
"""


@pytest.mark.parametrize("later", [1.0, 120.0, 9000.0])
async def test_words_that_a_run_of_others_has_heard_are_erased(
    tmp_path: Path, later: float
) -> None:
    """At each moment of the run; and it says nothing of them afterwards."""
    async with node(tmp_path, JOINT) as it:
        await it.happen(text("open", ANN))
        await it.happen(text(SAID, BOB))
        await it.wait(later)
    assert holds(tmp_path, SAID) != []
    forget(tmp_path, BOB)
    assert holds(tmp_path, SAID) == []
    async with node(tmp_path, JOINT) as it:
        it.time += later
        await it.wait(9000.0)
        assert holds(tmp_path, SAID) == []
        ((state,),) = it.reader.execute("select distinct state from runs").fetchall()
        assert state in ("cancelled", "done")


@pytest.mark.parametrize("channel", ["", "whatsapp:", "messenger:"])
async def test_a_refusal_stays_without_its_words(tmp_path: Path, channel: str) -> None:
    async with node(tmp_path, REPLY) as it:
        await it.happen(text("hi", ANN))
    connection = connect_writer(tmp_path / "data" / "journal.db")
    connection.executemany(
        "insert into consents (sender, recipient, state, source, at) values (?, ?, ?, ?, 'x')",
        [(OURS, channel + BOB, "out", f"text '{SAID}'"), ("s", channel + BOB, "in", SAID)],
    )
    connection.close()
    assert forget(tmp_path, BOB).consents == 1
    assert holds(tmp_path, SAID) == []
    assert ask(tmp_path, "select recipient, state from consents") == [(channel + BOB, "out")]


FIELDS = (
    "Body", "ButtonText", "ButtonPayload", "AddOns", "Latitude", "Longitude", "Address", "Label",
    "FlowData", "InteractiveData", "StableSpeechResult", "UnstableSpeechResult", "SpeechResult",
    "TranscriptionData", "TranscriptionText", "TranscriptionUrl", "RecordingUrl", "ProfileName",
    "ChannelMetadata", "CallerName", "CallerCity", "FromState", "ListTitle", "ReferralBody",
    "PaymentCardNumber", "HandoffData", "MediaUrl0", "ReferralMediaUrl", "Digits",
)  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_what_people_said_is_blanked_under_each_of_its_names(name: str) -> None:
    fields = {"MessageSid": "SM" + "1" * 32, "From": ANN, name: SAID, "SmsStatus": "received"}
    form = blank_body("application/x-www-form-urlencoded", urlencode(fields).encode()).decode()
    assert parse_qs(form, keep_blank_values=True) == {
        each: ["" if each == name else value] for each, value in fields.items()
    }
    streamed = blank_body("application/json", json.dumps({"data": {name.lower(): SAID}}).encode())
    assert SAID not in streamed.decode()


async def blanked(it: Node, now: str) -> None:
    while await it.journal.retention.blank(now):
        pass


async def test_what_was_open_is_blanked_once_it_has_ended(tmp_path: Path) -> None:
    rule = f"- {{name: d, on: message.received, state: draft, do: [{{reply: {SAID}}}]}}\n"
    async with node(tmp_path, rule + REPLY) as it:
        await it.happen(text("hi"))
        now = iso(REAL.now())
        await blanked(it, now)
        bodies = "select state, json_extract(params, '$.body') from actions order by rule"
        left = [tuple(row) for row in it.reader.execute(bodies)]
        assert left == [("parked", SAID), ("accepted", "")]
        (uid,) = [row[0] for row in it.reader.execute("select uid from actions where rule = 'd'")]
        await it.journal.actions.decide(uid, Decision(("parked",), "cancelled", "no"), iso(it.now))
        await blanked(it, now)
        left = [tuple(row) for row in it.reader.execute(bodies)]
        assert left == [("cancelled", ""), ("accepted", "")]


async def test_a_replayed_copy_is_blanked(tmp_path: Path) -> None:
    async with node(tmp_path, REPLY) as it:
        await it.happen(text(SAID, ANN, ButtonText=SAID))
        (uid,) = [row[0] for row in it.reader.execute("select uid from events")]
        await it.engine.replay(uid, None)
        await it.engine.queue.idle()
        await blanked(it, iso(REAL.now()))
        fields = [row[0] for row in it.reader.execute("select fields from events") if row[0]]
        assert [json.loads(each)["From"] for each in fields] == [ANN]
        assert SAID not in str(fields)


HOOKS = f"""
hooks: {{shop: {{secret: {{$env: SHOP}}, phone: phone, id: id}}}}
rules:
  - {{name: h, on: [hook.shop, rule.started], do: [{{reply: "{SAID} ${{{{ hook.n }}}}"}}]}}
"""


def delivered(number: int, who: str, **more: str) -> Happens:
    return Happens("hook/shop", {"id": number, "phone": who, "n": SAID, **more})


async def test_what_other_systems_sent_is_erased_blanked_and_read_again(tmp_path: Path) -> None:
    """The JSON goes, wherever in it the number stands; what the event is known by stays."""
    made = Node(settings_of(tmp_path, {}), load(Story(HOOKS, ()), tmp_path))
    await made.start({})
    await made.happen(delivered(1, "", friend=ANN), delivered(2, BOB), delivered(3, ANN))
    await made.begin(Happens("start", {"rule": "h", "to": ANN, "n": SAID}))
    await made.close()
    data = tmp_path / "data"
    known = "select dedupe_key, sender, subject_sid from events where type = 'hook.shop'"
    before = ask(tmp_path, known)
    assert rebuild(data, lambda: REAL.uid("evt"), "then").events == 3
    assert ask(tmp_path, known) == before
    assert forget(tmp_path, ANN).log_rows == 2
    assert ("hook:shop:2", BOB, "2") in ask(tmp_path, known)
    assert ask(tmp_path, f"select 1 from events where sender = '{ANN}'") == []
    again = Node(settings_of(tmp_path, {}), load(Story(HOOKS, ()), tmp_path))
    await again.start({})
    await blanked(again, iso(REAL.now()))
    while await again.log.blank(iso(REAL.now()), 10, 10) == 10:
        pass
    rows = [(row.body, row.tag) for row in again.store.log.after(0, 10)]
    kept = f'{{"id": "2", "phone": "{BOB}", "ours": "{OURS}"}}'
    assert rows == [(b"{}", kept), (b"", "")]  # the newest row stays, with nothing in it
    said = "select json_extract(params, '$.body') from actions"
    assert [row[0] for row in again.reader.execute(said)] == [""]
    await again.close()


@pytest.mark.parametrize("how", ["cancel_on", "restart"])
async def test_a_run_that_was_cancelled_remembers_nothing(tmp_path: Path, how: str) -> None:
    word = "mode: restart" if how == "restart" else "cancel_on: message.received"
    rule = f'- {{name: c, on: message.received, {word}, do: [{{wait_for: {{as: w, if: "reply.body '
    rule += f"== '{SAID}'\"}}}}, {{wait: 1h}}]}}"
    async with node(tmp_path, rule) as it:
        await it.happen(text("hi"))
        await it.happen(text(SAID))
        await it.happen(text("again"))
        found = it.reader.execute("select memory from runs where state = 'cancelled'").fetchall()
        assert found
        assert {row[0] for row in found} == {"{}"}
