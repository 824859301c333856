"""Conversations in the console: what a person writes, takes over and notes, by the real worker."""

import re
from datetime import timedelta
from typing import Any

from admission.stories import OTHER, OURS, PEOPLE, text
from ringback.console.api.resource import PREFIX
from ringback.runtime import REAL, iso
from scenarios.test_console_operations import Desk, desk, fresh

__all__ = ["desk"]
ANN, BOB = PEOPLE[:2]


async def listed(desk: Desk, query: str = "") -> list[dict[str, Any]]:
    answer = await desk.client.get(f"{PREFIX}/conversations{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def items(desk: Desk, con: str, query: str = "") -> Any:
    return (await desk.client.get(f"{PREFIX}/conversations/{con}/items{query}")).json()


async def test_a_person_writes_and_the_text_goes_through_the_gate(desk: Desk) -> None:
    """It is shown with a forecast before, leaves once for its key, and stands in the trace of what
    it answers; to whom has left it is refused at once, with the reason."""
    await desk.node.happen(text("hello", ANN), text("STOP", BOB))
    (bob, ann) = await listed(desk)
    assert (ann["unanswered"], bob["out"]) == (False, True)
    path = f"/console/conversations/{ann['uid']}"
    page = (await desk.client.get(path)).text
    assert "would go out" in page
    assert re.search(r"it is likely \d\d:\d\d\.", page)
    assert "opted out" in (await desk.client.get(f"/console/conversations/{bob['uid']}")).text
    shown = (await desk.press(path, f"{path}/write", body="Good morning, we’re open.")).text
    assert "lets it out now" in shown
    assert "1 segment in UCS-2" in shown
    assert desk.count("actions") == 0
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', shown.partition("/messages")[2]))
    fields["body"] = "Good morning, we’re open."
    desk.names = iter(["ada"] * 9)
    for _ in range(2):
        answer = await desk.client.post(f"{path}/messages", data=fields)
        assert answer.status_code == 303, answer.text
    await desk.node.wait(1.0)
    assert desk.twilio.taken == 1
    desk.names = iter(range(100, 999))
    said = (await items(desk, ann["uid"]))["items"]
    assert [(each["side"], each["rule"], each["state"]) for each in said] == [
        ("ours", "person", "accepted"), ("theirs", "", "received")
    ]  # fmt: skip
    trace = (await desk.client.get(f"{PREFIX}/traces/{said[1]['uid']}")).json()
    assert [rule["rule"] for rule in trace["rules"] if rule["fired"]] == ["person"]
    told = await desk.post(f"/conversations/{bob['uid']}/forecast", text="Are you there?")
    assert told.json()["state"] == "refused"
    sent = await desk.post(f"/conversations/{bob['uid']}/messages", text="Are you there?")
    assert (sent.status_code, sent.json()["now"]["state"]) == (409, "refused")
    assert "opted out" in sent.json()["detail"]
    assert BOB not in sent.text
    await desk.node.wait(1.0)
    assert (desk.twilio.taken, desk.count("actions")) == (1, 1)
    assert desk.doings() == [("write", "done"), ("write", "refused")]


async def test_who_has_taken_over_keeps_the_rules_away(desk: Desk) -> None:
    """Until the time is over or they give it back; STOP is heard all the same, and what people
    write to others is answered as ever."""
    await desk.node.happen(text("hello", ANN))
    (ann,) = await listed(desk)
    path = f"/console/conversations/{ann['uid']}"
    assert (await desk.press(path, f"{path}/mute", hours="1")).status_code == 303
    await desk.node.happen(text("draft", ANN), text("draft", BOB))
    assert desk.count("actions") == 1
    page = (await desk.client.get(path)).text
    assert "no rule is offered their texts" in page
    assert "muted: ada" in page
    assert (await desk.press(path, f"{path}/mute")).status_code == 303
    again = await desk.client.get(path)
    assert (again.status_code, "gave it back to the rules" in again.text) == (200, True)
    await desk.node.happen(text("draft", ANN))
    assert desk.count("actions") == 2
    soon = iso(REAL.now().replace(year=REAL.now().year + 1))
    wrong = await desk.post(f"/conversations/{ann['uid']}/mute", method="PUT", until=soon)
    assert (wrong.status_code, "30 days" in wrong.json()["detail"]) == (400, True)
    until = iso(desk.node.engine._runtime.now() + timedelta(minutes=30))
    taken = await desk.post(f"/conversations/{ann['uid']}/mute", method="PUT", until=until)
    assert taken.json()["until"] == until
    await desk.node.happen(text("draft", ANN))
    await desk.node.wait(1801.0)
    await desk.node.happen(text("draft", ANN))
    assert desk.count("actions") == 3


async def test_stop_is_heard_by_the_rules_of_a_conversation_that_is_taken_over(
    desk: Desk,
) -> None:
    """Its verdicts are those of the rules, and consent is written."""
    await desk.node.happen(text("hello", ANN))
    (ann,) = await listed(desk)
    until = iso(desk.node.engine._runtime.now() + timedelta(minutes=30))
    await desk.post(f"/conversations/{ann['uid']}/mute", method="PUT", until=until)
    await desk.node.happen(text("more", ANN), text("STOP", ANN))
    newest, before, _ = (await items(desk, ann["uid"]))["items"]
    assert [*newest["silent"]] == ["drafted", "later"]
    assert [*before["silent"]] == ["person:handover"]
    (now,) = await listed(desk)
    assert now["out"]


async def test_what_they_agreed_to_is_noted_and_their_own_stop_stays(desk: Desk) -> None:
    await desk.node.happen(text("hello", ANN), text("STOP", BOB))
    (bob, ann) = await listed(desk)
    path = f"/conversations/{ann['uid']}/consent"
    done = await desk.post(path, method="PUT", state="out", reason="said so by telephone")
    assert (done.status_code, done.json()["state"]) == (202, "out")
    assert [each["out"] for each in await listed(desk)] == [True, True]
    path = f"/conversations/{bob['uid']}/consent"
    back = await desk.post(path, method="PUT", state="in", reason="asked for it")
    assert (back.status_code, back.json()["now"]["state"]) == (409, "out")
    page = (await desk.client.get(f"/console/conversations/{ann['uid']}")).text
    assert "may not be texted" in page


async def test_who_only_reads_sees_no_number_of_a_stranger(desk: Desk) -> None:
    """Neither on the pages nor in the API, and changes nothing."""
    await desk.node.happen(text(f"call {BOB}", ANN), text("draft", BOB))
    (bob, ann) = await listed(desk)
    desk.role = "read"
    for path in (
        "/console/conversations", f"/console/conversations/{ann['uid']}",
        f"{PREFIX}/conversations", f"{PREFIX}/conversations/{ann['uid']}",
        f"{PREFIX}/conversations/{ann['uid']}/items",
    ):  # fmt: skip
        answer = await desk.client.get(path)
        assert answer.status_code == 200
        for who in (ANN, BOB):
            assert who[3:] not in re.sub(r"[\s\u00a0]", "", answer.text), path
        assert "••" in answer.text
    page = (await desk.client.get(f"/console/conversations/{bob['uid']}")).text
    assert "<form" not in page.partition("<main")[2]
    posted = {"request": fresh(), "body": "x"}
    for word in ("write", "messages", "mute", "consent"):
        answer = await desk.client.post(f"/console/conversations/{bob['uid']}/{word}", data=posted)
        assert answer.status_code == 403
    assert desk.doings() == []


async def test_the_search_finds_a_name_and_the_end_of_a_number(desk: Desk) -> None:
    """One hit leads there; of several each is listed; no number stands in an address."""
    await desk.node.happen(text("hello", ANN), text("hello", BOB), text("hello", ANN, to=OTHER))
    found = await listed(desk)
    for what, where in (
        (found[1]["uid"], found[1]["uid"]), (BOB[-4:], found[1]["uid"]), ("con_0", "")
    ):  # fmt: skip
        answer = await desk.client.post("/console/find", data={"what": what})
        assert answer.headers.get("location", "").rpartition("/")[2] == where
    several = await desk.client.post("/console/find", data={"what": ANN[-4:]})
    assert "2 conversations with a number that ends in 8750" in several.text
    number = await desk.client.post("/console/find", data={"what": ANN})
    traced = await desk.client.get(
        f"/console/t/{(await items(desk, found[1]['uid']))['items'][0]['uid']}"
    )
    assert f"/console/conversations/{found[1]['uid']}" in traced.text
    assert number.text.count("/console/conversations/con_") == 2
    none = await desk.client.post("/console/find", data={"what": "0000"})
    assert (none.status_code, "Nobody whose number" in none.text) == (200, True)
    desk.role = "read"
    digits = await desk.client.post("/console/find", data={"what": ANN[-4:]})
    assert (digits.status_code, ANN[-4:] in digits.text) == (403, False)


async def test_a_long_conversation_comes_in_parts_that_lack_nothing(desk: Desk) -> None:
    """And the list is narrowed and turned."""
    for number in range(7):
        await desk.node.happen(text(f"hello {number}", ANN))
        await desk.node.wait(1.0)
    await desk.node.happen(text("draft", BOB))
    first = (await desk.client.get(f"{PREFIX}/conversations?limit=1")).json()
    assert [each["recipient"].partition(" ·")[0][-2:] for each in first["items"]] == [BOB[-2:]]
    rest = await listed(desk, f"?limit=1&cursor={first['next']}")
    assert [each["recipient"].partition(" ·")[0][-2:] for each in rest] == [ANN[-2:]]
    con, cursor, seen = rest[0]["uid"], "", []
    for _ in range(9):
        part = await items(desk, con, f"?limit=2{cursor and '&cursor=' + cursor}")
        seen += [each["text"] for each in part["items"]]
        cursor = part["next"]
        if not cursor:
            break
    assert seen == [f"hello {number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert await listed(desk, "?failing=true") == []
    assert await listed(desk, "?unanswered=true") == []
    assert rest[0]["sender"] == OURS


async def test_a_page_that_was_posted_to_leads_back_to_one_that_is_there(desk: Desk) -> None:
    """Its forms of the look, of pausing and of views name the page above it."""
    await desk.node.happen(text("hello", ANN))
    (ann,) = await listed(desk)
    path = f"/console/conversations/{ann['uid']}"
    shown = await desk.press(path, f"{path}/write", body="Yes.")
    targets = re.findall(r'name="(?:next|where)" value="([^"]+)"', shown.text)
    assert set(targets) == {path}
    assert (await desk.client.get(targets[0])).status_code == 200
