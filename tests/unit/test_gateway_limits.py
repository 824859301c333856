"""Rates and breakers, on a clock that the test steps."""

import random
from typing import Any

import pytest

from ringback.errors import (
    BadRequest,
    ConnectionExpired,
    GatewayError,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
)
from ringback.gateway.breaker import Breaker
from ringback.gateway.limits import Bucket, Limits, backoff, sender_rate
from ringback.runtime import Runtime
from ringback.twilio.rest import Request, path

AC = "AC" + "0a" * 16
SEND = Request("POST", path(AC, "Messages"), (), "messages", ("SM", "MM"))
CALL = Request("POST", path(AC, "Calls"), (), "calls", ("CA",))
LIST = Request("GET", path(AC, "Messages"), (), "messages")


class Clock:
    """A clock that stands still until it is stepped."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, rate: float = 8.0, **options: object) -> Limits:
    return Limits(rate, runtime=Runtime(monotonic=clock), **options)  # type: ignore[arg-type]


def test_no_second_of_a_minute_sees_more_than_the_keys_rate(clock: Clock) -> None:
    subject = limits(clock, sender_rates={"+1": 1000.0})
    granted: list[Any] = []
    for _ in range(600):
        wanted = (subject.admit(SEND, sender="+1") for _ in range(5))
        granted.extend(clock.now for admission in wanted if admission.granted)
        clock.step(0.1)
    assert len(granted) == pytest.approx(8 + 60 * 8, abs=2)
    later = [at for at in granted if at > 1002]
    assert max(sum(at <= t < at + 1 for t in later) for at in later) <= 9


def test_listings_leave_the_reserved_share_to_sends(clock: Clock) -> None:
    subject = limits(clock)
    listed = 0
    while subject.admit(LIST).granted:
        listed += 1
    assert listed == 4
    assert [subject.admit(SEND, sender=f"+{n}").granted for n in range(5)] == [True] * 4 + [False]
    assert subject.admit(LIST).wait > subject.admit(SEND, sender="+9").wait > 0


def granted_in(clock: Clock, subject: Limits, seconds: int) -> list[int]:
    """How many sends, looks and other reads leave when there is always more of each."""
    counts = [0, 0, 0]
    for step in range(seconds * 100):
        counts[0] += subject.admit(SEND, sender=f"+{step}").granted
        counts[1] += subject.admit(LIST, look=True).granted
        counts[2] += subject.admit(LIST).granted
        clock.step(0.01)
    return counts


def test_whatever_is_to_be_sent_reads_have_a_share_of_their_own(clock: Clock) -> None:
    subject = limits(clock)
    granted_in(clock, subject, 10)
    sends, looks, reads = granted_in(clock, subject, 100)
    assert sends + looks + reads == pytest.approx(800, abs=5)
    assert looks == pytest.approx(400, abs=5)
    assert reads == pytest.approx(100, abs=5)


def test_the_share_of_reads_is_no_way_around_a_429(clock: Clock) -> None:
    subject = limits(clock)
    subject.record(LIST, RateLimited("slow down", retry_after=7.0))
    assert granted_in(clock, subject, 6) == [0, 0, 0]
    assert sum(granted_in(clock, subject, 10)) <= 9 * 4 + 8


def test_each_sender_has_its_own_rate_and_pays_by_segments(clock: Clock) -> None:
    subject = limits(clock, rate=1000.0)
    assert subject.admit(SEND, sender="+15551110000", segments=10).granted
    blocked = subject.admit(SEND, sender="+15551110000", segments=2)
    assert blocked.wait == pytest.approx(2.0)
    assert "+15551110000" in blocked.why
    assert subject.admit(SEND, sender="+15552220000").granted
    clock.step(2.0)
    assert subject.admit(SEND, sender="+15551110000", segments=2).granted


def test_a_text_longer_than_the_burst_goes_out_and_is_paid_back(clock: Clock) -> None:
    bucket = Bucket(clock, rate=1.0, burst=3.0)
    assert bucket.wait(10.0) == 0
    bucket.take(10.0)
    assert bucket.wait(1.0) == pytest.approx(8.0)


def test_new_calls_are_one_per_second(clock: Clock) -> None:
    subject = limits(clock)
    assert [subject.admit(CALL).granted for _ in range(3)] == [True, True, False]
    assert "new calls" in subject.admit(CALL).why
    clock.step(1.0)
    assert subject.admit(CALL).granted


def test_what_is_not_granted_costs_nothing(clock: Clock) -> None:
    subject = limits(clock, sender_rates={"+1": 0.001})
    assert subject.admit(SEND, sender="+1", segments=10).granted
    for _ in range(50):
        assert not subject.admit(SEND, sender="+1").granted
    assert [subject.admit(SEND, sender=f"+{n}0").granted for n in range(8)].count(True) == 7


@pytest.mark.parametrize(
    ("sender", "rate"),
    [
        ("+15551234567", 1.0),
        ("+18005551234", 3.0),
        ("12345", 10.0),
        ("ACME", 10.0),
        ("whatsapp:+15551234567", 80.0),
        ("MG" + "0" * 32, 100.0),
    ],
)
def test_the_usual_rate_of_each_kind_of_sender(sender: str, rate: float) -> None:
    assert sender_rate(sender) == rate


def test_a_429_holds_everything_as_long_as_asked_and_halves_the_rate(clock: Clock) -> None:
    subject = limits(clock)
    assert subject.admit(SEND, sender="+1").granted
    subject.record(SEND, RateLimited("slow down", retry_after=7.0))
    assert subject.admit(SEND, sender="+2").wait == pytest.approx(7.0)
    clock.step(6.99)
    assert not subject.admit(SEND, sender="+2").granted
    clock.step(0.02)
    granted = 0
    for _ in range(100):
        granted += subject.admit(SEND, sender=f"+{granted}9").granted
        clock.step(0.01)
    assert granted <= 8
    clock.step(120)
    assert [subject.admit(SEND, sender=f"+7{n}").granted for n in range(9)].count(True) == 8


def unreached() -> GatewayError:
    return Unreachable("refused", wrote=False)


def test_the_breaker_opens_on_half_of_twenty_within_a_minute(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(10):
        assert not breaker.record(None)
    for _ in range(9):
        assert not breaker.record(ServerError("500"))
    assert breaker.closed
    assert breaker.record(ServerError("500"))
    assert not breaker.closed
    assert "10 of 20" in breaker.reason


def test_outcomes_older_than_a_minute_do_not_count(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(19):
        breaker.record(ServerError("500"))
    clock.step(61)
    breaker.record(ServerError("500"))
    assert breaker.closed


def test_the_breaker_opens_on_five_dead_connections_in_a_row_and_at_once_on_401(
    clock: Clock,
) -> None:
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.record(unreached())
    breaker.record(None)
    for _ in range(4):
        breaker.record(unreached())
    assert breaker.closed
    assert breaker.record(unreached())
    assert Breaker(clock).record(Unauthorized("no")) is True


def test_refusals_of_single_requests_never_open_it(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(100):
        breaker.record(BadRequest("21211"))
        breaker.record(NotFound("20404"))
        breaker.record(RateLimited("20429"))
    assert breaker.closed


def test_an_open_breaker_sends_one_get_probe_per_pause_and_closes_after_three(
    clock: Clock,
) -> None:
    subject = limits(clock)
    assert subject.record(SEND, Unauthorized("no")) == "the credentials were refused"
    assert subject.open_breakers() == {(AC, "messages"): "the credentials were refused"}
    assert "on hold" in subject.admit(SEND, sender="+1").why
    assert subject.admit(CALL).granted
    assert subject.probes() == []
    clock.step(30)
    (probe,) = subject.probes()
    assert (probe.method, probe.path) == ("GET", path(AC, "Messages"))
    assert subject.probes() == []
    assert not subject.probed(probe, ServerError("500"))
    clock.step(59)
    assert subject.probes() == []
    clock.step(1)
    (probe,) = subject.probes()
    assert subject.probed(probe, None)
    assert subject.probes() == []
    for _ in range(2):
        assert subject.open_breakers() != {}
        assert [subject.admit(SEND, sender=f"+{n}").granted for n in range(3)].count(True) == 1
        subject.record(SEND, None)
    assert subject.open_breakers() == {}


def half_open(clock: Clock) -> Limits:
    """Limits whose breaker of texts has had one good probe, after the first pause."""
    subject = limits(clock)
    for _ in range(20):
        subject.record(SEND, ServerError("500"))
    clock.step(30)
    (probe,) = subject.probes()
    subject.probed(probe, None)
    return subject


def test_creates_that_fail_hold_back_creates_alone(clock: Clock) -> None:
    """An outage of creates does not keep anybody from looking; nor does a list that fails hold
    back a text."""
    subject = limits(clock)
    for _ in range(20):
        subject.record(SEND, ServerError("500"))
    assert not subject.admit(SEND, sender="+1").granted
    assert subject.admit(LIST, look=True).granted
    assert subject.open_breakers(creates=False) == {}
    subject = limits(clock)
    for _ in range(20):
        subject.record(LIST, ServerError("500"))
    assert subject.admit(SEND, sender="+1").granted
    assert not subject.admit(LIST, look=True).granted
    assert list(subject.open_breakers(creates=False)) == [(AC, "messages")]


def test_half_open_one_create_goes_and_its_answer_counts(clock: Clock) -> None:
    """A GET that is good says nothing of creates: one that fails opens it for twice as long."""
    subject = half_open(clock)
    assert subject.admit(SEND, sender="+1").granted
    assert not subject.admit(SEND, sender="+2").granted
    subject.record(SEND, ServerError("500"))
    assert not subject.admit(SEND, sender="+2").granted
    clock.step(59)
    assert subject.probes() == []
    clock.step(1)
    assert len(subject.probes()) == 1


def test_a_create_that_did_not_leave_gives_way_to_another(clock: Clock) -> None:
    subject = half_open(clock)
    assert subject.admit(SEND, sender="+1").granted
    subject.unused(SEND)
    assert subject.admit(SEND, sender="+2").granted
    clock.step(41)
    assert subject.admit(SEND, sender="+3").granted, "the last one is lost"


def test_a_breaker_that_nobody_asks_closes(clock: Clock) -> None:
    subject = half_open(clock)
    assert subject.open_breakers() != {}
    clock.step(301)
    assert subject.open_breakers() == {}
    assert [subject.admit(SEND, sender=f"+{n}").granted for n in range(3)] == [True] * 3


def test_pauses_double_to_five_minutes_and_start_over_after_closing(clock: Clock) -> None:
    breaker = Breaker(clock)
    breaker.record(Unauthorized("no"))
    pauses = []
    for _ in range(6):
        began = clock.now
        while not breaker.probe_due():
            clock.step(1)
        pauses.append(round(clock.now - began))
        breaker.probed(ConnectionExpired("500"))
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_after_an_outage_the_rate_ramps_up(clock: Clock) -> None:
    subject = limits(clock)
    subject.record(SEND, Unauthorized("no"))
    clock.step(30)
    (probe,) = subject.probes()
    subject.probed(probe, None)
    for _ in range(2):
        assert subject.admit(SEND, sender="+1").granted
        subject.record(SEND, None)
    counts = []
    for second in range(180):
        granted = 0
        for n in range(20):
            granted += subject.admit(SEND, sender=f"+{second}{n}").granted
            clock.step(0.05)
        counts.append(granted)
    assert sum(counts[:5]) <= 8
    assert sum(counts[-10:]) >= 75
    assert sum(counts[:30]) < sum(counts[30:60]) < sum(counts[90:120])


def test_backoff_is_full_jitter_with_a_cap() -> None:
    rng = random.Random(7)
    for failures, top in ((1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (10_000, 300.0)):
        draws = sorted(backoff(failures, rng) for _ in range(2000))
        assert 0 <= draws[0] < top * 0.02
        assert top * 0.98 < draws[-1] <= top
        assert draws[1000] == pytest.approx(top / 2, rel=0.08)
    assert backoff(3, random.Random(1)) == backoff(3, random.Random(1))
