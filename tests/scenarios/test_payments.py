"""Payments by telephone: what `<Pay>` reports to a rule, and what the caller hears then."""

import pytest

from scenarios.test_recordings import Begin, call

RULES = """
version: 1
rules:
  - name: paid
    on: pay.success
    do:
      - say: "Thank you. ${{ event.field('PaymentCardNumber') }}"
      - notify: "paid ${{ event.field('PaymentConfirmationCode') }} by ${{ event.theirs }}"
  - name: unpaid
    on: pay.*
    if: event.error_code > 0
    do: [{say: That did not work.}, {notify: "${{ event.status }} ${{ event.error_code }}"}]
"""
PAID = {
    "CallStatus": "in-progress", "Result": "success", "PaymentMethod": "credit-card",
    "PaymentCardNumber": "xxxx-xxxxxxxx-1111", "PaymentConfirmationCode": "ch_1",
}  # fmt: skip
FAILED = {
    "CallStatus": "in-progress", "Result": "payment-connector-error", "PayErrorCode": "64001",
    "PaymentMethod": "credit-card",
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "said", "notice"),
    [
        (PAID, "Thank you. xxxx-xxxxxxxx-1111", "paid ch_1 by +15550100044"),
        (FAILED, "That did not work.", "payment-connector-error 64001"),
    ],
)
@pytest.mark.parametrize("route", ["call", "call/step"])
def test_the_result_of_a_payment_is_answered_once_and_in_the_call(
    begin: Begin, told: dict[str, str], said: str, notice: str, route: str
) -> None:
    """Its action leads to the address of calls, or behind a step; Twilio may ask twice."""
    story = begin(rules=RULES)
    call(story, "call", CallStatus="ringing")
    story.run(2.0)
    for moment in (4.0, 6.0):
        call(story, route, **told)
        story.run(moment)
    assert story.notices == [notice]
    assert [said in twiml for (twiml,) in story.ask("select twiml from answers")] == [True]


def test_an_error_of_a_live_transcription_has_its_code(begin: Begin) -> None:
    rules = "rules: [{name: a, on: transcription.*, do: [{notify: '${{ event.error_code }}'}]}]"
    story = begin(rules=rules)
    call(story, "call/status", TranscriptionSid="GT" + "1" * 32, CallStatus="in-progress",
         TranscriptionEvent="transcription-error", TranscriptionErrorCode="32650")  # fmt: skip
    story.run(3.0)
    assert story.notices == ["32650"]
