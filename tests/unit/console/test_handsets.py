"""Phone of the console: the handsets in their order, and what can be made to go wrong."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import pytest

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.handsets import SHOWN, handsets, number
from ringback.console.identity import Identity
from ringback.console.pages.phone import FAULTS, OUTCOMES
from ringback.console.surroundings import Surroundings
from ringback.simulator.handset import Handset
from ringback.simulator.plan import check_fault
from unit.console.conftest import away


def handset(number: str, *texts: tuple[str, str], calls: tuple[str, ...] = ()) -> dict[str, Any]:
    kept: dict[str, list[dict[str, Any]]] = {"sent": [], "inbox": []}
    for place, (where, at) in enumerate(texts):
        kept[where].append({"sid": f"SM{place}", "body": str(place), "at": at, "media": []})
    return {"number": number, "messages": "delivered", "calls": "answer",
            "calls_made": list(calls), **kept}  # fmt: skip


def test_who_did_something_last_stands_first_and_calls_before_texts() -> None:
    """Texts of both ways stand in their order; a phone that rings can be answered."""
    call: dict[str, Any] = {
        "sid": "CA1", "from": "+1", "to": "+3", "state": "ringing", "status": "ringing",
        "heard": [], "waiting_for": None, "queue": None, "duration": 0,
    }  # fmt: skip
    given = [
        handset("+1", ("inbox", "09:02"), ("sent", "09:01")), handset("+2", ("sent", "09:03")),
        handset("+3", calls=("CA1", "CA0")), *(handset(f"+4{n}") for n in range(SHOWN)),
    ]  # fmt: skip
    found = handsets(given, [call])
    assert [each["number"] for each in found[:3]] == ["+3", "+2", "+1"]
    assert len(found) == SHOWN
    assert [each["body"] for each in found[2]["texts"]] == ["1", "0"]
    assert [(each["rings"], each["going"]) for each in found[0]["going"]] == [(True, True)]


async def test_the_phone_is_for_those_who_see_whole_numbers(settings: Settings) -> None:
    """Where there is a simulated Twilio at all; it is not asked for anybody else."""

    def who(identity: Identity, _: object) -> Identity:
        return identity

    async def ask(*_: object) -> dict[str, Any]:
        raise AssertionError("the simulator was asked")

    for phone, identity, status in (
        (None, Identity("ada", "admin", unmasked=True), 404),
        (ask, Identity("ada", "read", unmasked=True), 403), (ask, Identity("ada", "operate"), 403),
    ):  # fmt: skip
        app = create_console(settings, Surroundings(away, phone=phone), partial(who, identity))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            for answer in (
                await client.get("/console/phone"),
                await client.post("/console/phone/text", data={"from": "+12025550142"}),
            ):
                assert answer.status_code == status
                assert "+12025550142" not in answer.text
        app.state.console.conversations.close()
        app.state.console.reading.close()


@pytest.mark.parametrize(
    ("path", "form", "wrong"),
    [
        ("text", {"from": "bob", "to": "+12025550100", "body": "a"}, "from"),
        ("text", {"from": "+12025550142", "to": "'; --", "body": "a"}, "to"),
        ("text", {"from": "+12025550142", "to": "+12025550100", "body": " "}, "body"),
        ("text", {"from": "+12025550142", "to": "+12025550100", "body": "a\x00b"}, "body"),
        ("text", {"from": "+12025550142", "to": "+12025550100", "body": "a" * 1601}, "body"),
        ("text", {"from": "+12025550142", "to": "+12025550100", "media": "file:///etc"}, "media"),
        ("call", {"from": "", "to": "+12025550100"}, "from"),
        ("behave", {"number": "../plan", "messages": "read"}, "number"),
        ("clock", {"ahead": "-1h"}, "ahead"),
        ("call/keys", {"sid": "CA" + "0" * 32, "digits": "12x"}, "digits"),
        ("call/say", {"sid": "CA" + "0" * 32, "text": ""}, "text"),
    ],
)
async def test_what_no_phone_can_do_is_refused_with_the_field(
    settings: Settings, path: str, form: dict[str, str], wrong: str
) -> None:
    """Before the simulator hears of it."""

    async def ask(*_: object) -> dict[str, Any]:
        raise AssertionError("the simulator was asked")

    def who(_: object) -> Identity:
        return Identity("ada", "operate", unmasked=True)

    app = create_console(settings, Surroundings(away, phone=ask), who)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://node"
    ) as client:
        answer = await client.post(f"/console/phone/{path}", data=form)
    assert (answer.status_code, f"{wrong}: " in answer.text) == (400, True), answer.text
    app.state.console.conversations.close()
    app.state.console.reading.close()


def test_a_number_of_a_handset_is_written_in_any_spelling() -> None:
    assert number({"from": "(202) 555-0142"}, "from", "US") == "+12025550142"
    assert number({"from": "whatsapp:+12025550142"}, "from", "US") == "whatsapp:+12025550142"
    assert number({"from": "12345"}, "from", "US") == "12345"


def test_the_simulator_knows_all_that_can_be_set() -> None:
    for _, fault in FAULTS.values():
        check_fault(fault)
    phone = Handset("+12025550142")
    for outcome in OUTCOMES:
        phone.set({"messages": outcome})


async def test_the_clock_is_moved_by_the_command(settings: Settings) -> None:
    asked: list[tuple[str, ...]] = []

    async def run(words: Sequence[str]) -> tuple[int, str]:
        asked.append(tuple(words))
        return 0, "it is 2026-03-04T17:00:00.000Z"

    async def phone(*_: object) -> dict[str, Any]:
        return {}

    around = Surroundings(away, run_child=run, phone=phone)
    ada = Identity("ada", "admin", unmasked=True)
    app = create_console(settings, around, lambda _: ada)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        answer = await client.post("/console/phone/clock", data={"ahead": "1h"})
    assert (answer.status_code, asked) == (303, [("simulate", "clock", "+1h")])
    app.state.console.conversations.close()
    app.state.console.reading.close()
