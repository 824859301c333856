"""Tests of Pay: pieces asked one after the other, tries, masks, and every way in which it ends."""

from typing import Any

import pytest

CARD = "4242424242424242"


def test_a_card_is_taken_and_leaves_masked(world: Any) -> None:
    world.page("/paid", "<Hangup/>")
    call = world.ring(
        "<Pay action='/paid' chargeAmount='20.45' statusCallback='/piece'>"
        "<Prompt for='payment-card-number'><Say>Card please</Say></Prompt></Pay>",
        keys=f"{CARD}#ww1231#ww123#ww94111#",
    )
    world.run(60)
    assert world.heard(call)[0] == ("say", "Card please")
    [fields] = world.asked("pay")
    assert fields["PaymentConfirmationCode"]
    assert {name: fields[name] for name in fields if name.startswith(("Pay", "Exp", "Sec"))} == {
        "PaymentMethod": "credit-card",
        "PaymentCardNumber": "xxxxxxxxxxxx4242",
        "PaymentCardType": "visa",
        "ExpirationDate": "1231",
        "SecurityCode": "xxx",
        "PaymentCardPostalCode": "94111",
        "PaymentConfirmationCode": fields["PaymentConfirmationCode"],
    }
    assert fields["Result"] == "success"
    pieces = [(each["For"], each["Attempt"]) for each in world.notified("pay")]
    assert pieces == [
        ("payment-card-number", "1"),
        ("expiration-date", "1"),
        ("security-code", "1"),
        ("postal-code", "1"),
    ]
    assert CARD not in str(world.notices + world.asks)


@pytest.mark.parametrize(
    ("attributes", "keys", "expected"),
    [
        ("", f"{CARD}#ww1231#ww*", {"Result": "caller-interrupted-with-star"}),
        ("maxAttempts='2'", "1234#", {"Result": "too-many-failed-attempts"}),
        ("maxAttempts='1'", "", {"Result": "too-many-failed-attempts"}),
        (
            "securityCode='false' postalCode='false'",
            f"{CARD}#ww0530#",
            {"Result": "success", "ExpirationDate": "0530"},
        ),
        (
            "securityCode='false' postalCode='false' maxAttempts='1'",
            f"{CARD}#ww1330#",
            {"Result": "too-many-failed-attempts"},
        ),
        (
            "paymentMethod='ach-debit'",
            "110000000#ww000123456789#",
            {"Result": "success", "BankAccountNumber": "xxxxxxxx6789"},
        ),
    ],
    ids=["star", "wrong twice", "silence", "no code asked", "month 13", "bank account"],
)
def test_every_way_in_which_pay_ends(
    world: Any, attributes: str, keys: str, expected: dict[str, str]
) -> None:
    world.page("/paid", "<Hangup/>")
    world.ring(f"<Pay action='/paid' {attributes}/>", keys=keys)
    world.run(90)
    [fields] = world.asked("pay")
    assert {name: fields.get(name) for name in expected} == expected
    assert ("PaymentToken" in fields) == (fields["Result"] == "success")


def test_a_prompt_of_the_second_try_is_heard_at_the_second_try(world: Any) -> None:
    call = world.ring(
        "<Pay maxAttempts='2'><Prompt for='payment-card-number'><Say>Card</Say></Prompt>"
        "<Prompt for='payment-card-number' attempt='2' errorType='timeout'><Say>Again</Say>"
        "</Prompt></Pay><Say>on</Say>"
    )
    world.run(60)
    assert world.said(call) == ["Card", "Again", "on"]


def test_a_hang_up_in_pay_is_told_to_its_action(world: Any) -> None:
    call = world.ring("<Pay action='/paid'/>")
    world.run(2)
    world.exchange.hang_up(call.sid)
    world.run()
    [fields] = world.asked("pay")
    assert (fields["Result"], fields["CallStatus"]) == ("caller-hung-up", "completed")


def test_nouns_that_stand_as_verbs_do_nothing(world: Any) -> None:
    call = world.ring("<Queue>line</Queue><Prompt for='postal-code'/><Say>on</Say>")
    world.run(2)
    assert (world.codes(), world.said(call)) == ([], ["on"])
