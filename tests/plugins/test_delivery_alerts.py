"""The bundled plugin delivery_alerts, with what an author has: the kit."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringback import Event, Notify, explain_error
from ringback.testing import Bench, Reaction, message_status, settled, sms

PLUGIN = Path(__file__).parents[2] / "plugins" / "delivery_alerts.py"
RULE = "delivery_alerts.failures"


@pytest.fixture
def bench() -> Bench:
    """The plugin alone."""
    return Bench.load(PLUGIN)


def notices(reaction: Reaction) -> list[Notify]:
    """The notices among the actions."""
    return [action for action in reaction.actions if isinstance(action, Notify)]


def fail(bench: Bench, times: int, code: int = 30003, status: str = "undelivered") -> Reaction:
    """Let so many messages fail, and return the last reaction."""
    for _ in range(times - 1):
        bench.react(message_status(status, error_code=code))
    return bench.react(message_status(status, error_code=code))


def test_a_few_failures_are_the_daily_weather(bench: Bench) -> None:
    """Four of them are not worth a notice, five are."""
    assert notices(fail(bench, 4)) == []
    (notice,) = notices(fail(bench, 1))
    assert notice.text == (
        "5 of 5 messages failed as recipient_unreachable in 15 min; the last had error 30003. "
        + explain_error(30003).remedy
    )
    assert notice.key == "delivery/recipient_unreachable"


def test_failures_are_weighed_against_all_messages(bench: Bench) -> None:
    """Five of a hundred are normal, eleven are not."""
    for _ in range(90):
        bench.react(message_status("delivered"))
    assert notices(fail(bench, 9)) == []
    assert notices(fail(bench, 2)) != []


def test_each_class_of_error_is_counted_by_itself(bench: Bench) -> None:
    """Four of one and four of another are two times four."""
    fail(bench, 4)
    assert notices(fail(bench, 4, code=30007)) == []
    assert notices(fail(bench, 1, code=30007))[0].key == "delivery/carrier_filtered"


def test_failed_and_undelivered_count_together(bench: Bench) -> None:
    """Both mean that nobody read it."""
    fail(bench, 3, status="failed")
    assert notices(fail(bench, 2)) != []


def test_a_text_counts_once_by_its_final_state(bench: Bench) -> None:
    """Of one that is reported twice, and of one that was delivered after all."""
    for sid in ("SM1", "SM2", "SM3", "SM4", "SM4"):
        last = message_status("undelivered", error_code=30003, MessageSid=sid)
        assert notices(bench.react(last)) == []
    bench.react(message_status("delivered", MessageSid="SM1"))
    assert notices(fail(bench, 1)) == []
    assert notices(fail(bench, 1)) != []


def test_old_failures_are_forgotten(bench: Bench) -> None:
    """Only the window counts."""
    fail(bench, 4)
    bench.wait("16m")
    assert notices(fail(bench, 1)) == []


def test_an_opted_out_recipient_is_never_an_alarm(bench: Bench) -> None:
    """21610 is the system working."""
    assert notices(fail(bench, 20, code=21610)) == []


@pytest.mark.parametrize("code", [20003, 30034, 21606])
def test_an_error_of_our_own_making_is_told_at_once(bench: Bench, code: int) -> None:
    """The first one: the account or the sender will fail every message from now on."""
    (notice,) = notices(fail(bench, 1, code=code))
    assert str(code) in notice.text
    assert notice.key.endswith(f"/{code}")


def incident(word: str, kind: str, number: int = 1) -> Event:
    """News of an incident."""
    now = datetime.now(UTC)
    told = {"Text": f"what is wrong with {kind}"}
    return Event(
        f"evt_{number}", f"incident.{word}", now, now, subject_sid="inc_1", fields=told, status=kind
    )


@pytest.mark.parametrize("word", ["opened", "updated", "resolved"])
@pytest.mark.parametrize("kind", ["sending", "delivery", "silent", "loop", "budget"])
def test_incidents_are_told_from_their_beginning_to_their_end(
    bench: Bench, word: str, kind: str
) -> None:
    """By a notice, which is no text: that would wait for the gateway like the others."""
    (notice,) = notices(bench.react(incident(word, kind)))
    assert (notice.text, notice.via) == (f"what is wrong with {kind}", "log")
    # The same matter at its beginning and at its end, so that a pager closes what it opened.
    assert (notice.key, notice.resolved) == (f"delivery/{kind}/inc_1", word == "resolved")


def test_kinds_of_incidents_are_chosen(bench: Bench) -> None:
    assert notices(bench.react(incident("opened", "repair"))) == []
    other = Bench.load(PLUGIN, config={"delivery_alerts": {"kinds": ["repair"]}})
    assert len(notices(other.react(incident("opened", "repair")))) == 1
    assert notices(other.react(incident("opened", "sending", 2))) == []


def test_events_without_an_error_are_no_news(bench: Bench) -> None:
    """Texts, deliveries."""
    assert notices(bench.react(sms("hello"))) == []
    assert notices(bench.react(message_status("delivered"))) == []


def test_what_twilio_never_accepted_is_told(bench: Bench) -> None:
    """No status callback will ever come for it, so nobody else would say so."""
    action = settled(state="failed", error_code=21211, reason="not a number", remote_sid="")
    (notice,) = notices(bench.settle(action))
    assert notice.text == "send_message of rule some.rule was not accepted: not a number"
    assert notices(bench.settle(settled(state="failed", error_code=30003))) == []
    opted_out = settled(state="failed", error_code=21610, remote_sid="")
    assert notices(bench.settle(opted_out)) == []


def test_what_waits_for_a_person_is_told(bench: Bench) -> None:
    """A parked action needs somebody to look."""
    (notice,) = notices(bench.settle(settled(state="parked", reason="no evidence")))
    assert notice.key == "delivery/parked"


def test_a_failed_notice_is_not_told_by_a_notice(bench: Bench) -> None:
    """That would never end."""
    lost = settled(Notify("text"), state="failed", remote_sid="")
    assert notices(bench.settle(lost)) == []


def test_thresholds_and_channel_are_configured() -> None:
    """`[plugins.delivery_alerts]`."""
    config = {"at_least": 2, "share": 0, "via": "webhook", "url": "https://example.org/x"}
    bench = Bench.load(PLUGIN, config={"delivery_alerts": config})
    (notice,) = notices(fail(bench, 2))
    assert (notice.via, notice.url) == ("webhook", "https://example.org/x")
