"""Callbacks of the simulated services, held against the names that the engine gives them."""

from typing import Any

import pytest

from ringback.twilio.kinds import form_kind

CARD = "4242424242424242#"


@pytest.mark.parametrize(
    ("verbs", "kind", "types"),
    [
        (
            "<Start><Transcription statusCallbackUrl='/cb' track='outbound_track'/></Start>"
            "<Say>Hello</Say><Pause length='2'/>",
            "live-transcription",
            [
                "transcription.transcription-started",
                "transcription.transcription-content",
                "transcription.transcription-stopped",
            ],
        ),
        (
            "<Start><Siprec statusCallback='/cb'/></Start><Pause/>",
            "siprec",
            ["siprec.siprec-started", "siprec.siprec-stopped"],
        ),
        (
            "<Start><Stream url='wss://a.test' statusCallback='/cb'/></Start><Pause/>",
            "stream",
            ["stream.stream-started", "stream.stream-stopped"],
        ),
        (
            "<Pay statusCallback='/cb' securityCode='false' postalCode='false'/>",
            "pay",
            ["pay.payment-card-number", "pay.expiration-date"],
        ),
    ],
    ids=["transcription", "siprec", "stream", "pay"],
)
def test_callbacks_of_services_are_events_of_their_own(
    world: Any, verbs: str, kind: str, types: list[str]
) -> None:
    world.ring(verbs, keys=f"{CARD}ww1231#")
    world.run(60)
    told = world.notified(kind)
    assert [form_kind("call/status", fields).type for fields in told] == types


def test_the_result_of_pay_is_an_event(world: Any) -> None:
    world.page("/paid", "<Hangup/>")
    world.ring("<Pay action='/paid' maxAttempts='1'/>")
    world.run(60)
    [fields] = world.asked("pay")
    assert form_kind("call/status", fields).type == "pay.too-many-failed-attempts"
