"""Unproven requests, and keywords of consent on their channels. A real worker on real files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.compare import load
from admission.node import Node, settings_of
from admission.stories import OURS, PEOPLE, Happens, Story, text
from ringback.keywords import consent_word, opt_out_word

ANN, BOB, _ = PEOPLE
REPLY = '- {name: r, on: message.received, do: [{reply: "R ${{ string(%s) }}"}]}'
WHATSAPP = "whatsapp:"


@asynccontextmanager
async def node(folder: Path, rules: str) -> AsyncIterator[Node]:
    made = Node(settings_of(folder, {}), load(Story(f"rules:\n{rules}\n", ()), folder))
    await made.start({})
    try:
        yield made
    finally:
        await made.close()


def claim(body: str, who: str, to: str) -> Happens:
    return Happens("message", text(body, who, to).fields, "claimed")


def texts(it: Node) -> list[tuple[str, str, str]]:
    rows = it.reader.execute(
        "select json_extract(params, '$.to'), json_extract(params, '$.body'), state from actions"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("channel", ["", WHATSAPP])
async def test_a_claim_makes_no_number_ours(tmp_path: Path, channel: str) -> None:
    """A customer's number in the `To` of a request that nobody signed; their text is answered."""
    async with node(tmp_path, REPLY % "1") as it:
        await it.happen(claim("hi", channel + BOB, channel + ANN))
        await it.happen(text("hi", channel + ANN, channel + OURS))
        assert texts(it) == [(channel + ANN, "R 1", "accepted")]


@pytest.mark.parametrize(
    "question", ["message_count()", "count('message.received', '1h')", "heard_within('1h') ? 1 : 0"]
)
@pytest.mark.parametrize("together", [True, False])
async def test_a_claim_counts_for_nothing(tmp_path: Path, question: str, together: bool) -> None:
    async with node(tmp_path, REPLY % question) as it:
        claims = [claim(f"c{number}", ANN, OURS) for number in range(3)]
        if together:
            await it.happen(*claims, text("hi", ANN))
        else:
            await it.happen(*claims)
            await it.happen(text("hi", ANN))
        count = 0 if "heard" in question else 1
        assert texts(it) == [(ANN, f"R {count}", "accepted")]


async def test_a_number_is_ours_once_a_text_to_it_is_proven(tmp_path: Path) -> None:
    """So it still is the end of a loop between two numbers of ours."""
    send = f"- {{name: s, on: message.received, do: [{{send: {{to: '{BOB}', body: S}}}}]}}"
    async with node(tmp_path, send) as it:
        await it.happen(text("hi", ANN, BOB))
        assert [state for _, _, state in texts(it)] == ["refused"]


EVERYDAY = ("Cancel", "END", "Quit", "Revoke", "Yes")
CLEAR = {"STOP": "STOP", "Stop all": "STOP", "Unsubscribe": "STOP", "opt out": "STOP",
         "Start": "START", "UNSTOP": "START", "Help": "HELP", "Info": "HELP"}  # fmt: skip


@pytest.mark.parametrize("channel", [WHATSAPP, "messenger:"])
@pytest.mark.parametrize("said", EVERYDAY)
def test_everyday_words_are_keywords_of_sms_alone(said: str, channel: str) -> None:
    assert consent_word({"Body": said, "From": channel + "+14155550142"}) == ""
    assert consent_word({"Body": said, "From": "+14155550142"}) == opt_out_word(said) != ""
    assert consent_word({"Body": said, "From": "rcs:+14155550142"}) == opt_out_word(said)
    told = {"Body": said, "From": channel + "+14155550142", "OptOutType": "STOP"}
    assert consent_word(told) == "STOP"


@pytest.mark.parametrize("channel", ["", WHATSAPP, "messenger:", "rcs:"])
@pytest.mark.parametrize("said", CLEAR)
def test_words_that_mean_nothing_else_are_keywords_everywhere(said: str, channel: str) -> None:
    assert consent_word({"Body": said, "From": channel + "+14155550142"}) == CLEAR[said]


async def test_a_button_is_the_answer_to_a_question_and_no_opt_out(tmp_path: Path) -> None:
    ask = "- {name: q, on: message.received, do: [{reply: Sure?}, {wait_for: {as: a}}, "
    ask += "{reply: 'You said ${{ vars.a }}'}]}"
    who, to = WHATSAPP + ANN, WHATSAPP + OURS
    async with node(tmp_path, ask) as it:
        await it.happen(text("book", who, to))
        await it.happen(text("Cancel", who, to, ButtonText="Cancel", ButtonPayload="no"))
        assert [body for _, body, _ in texts(it)] == ["Sure?", "You said Cancel"]
        assert {state for _, _, state in texts(it)} == {"accepted"}
        assert it.reader.execute("select count(*) from consents").fetchone()[0] == 0
        await it.happen(text("STOP", who, to))
        assert it.reader.execute("select state from consents").fetchone()[0] == "out"
