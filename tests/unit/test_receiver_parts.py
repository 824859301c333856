"""The small parts of the receiver: paths, memories, counters."""

from hypothesis import given
from hypothesis import strategies as st

from ringback.receiver.dedupe import AnswerCache, RecentKeys
from ringback.receiver.metrics import Counts, exposition
from ringback.receiver.routes import Target, resolve, takes_type
from ringback.twilio.webhooks import ROUTES


def test_paths_and_their_targets() -> None:
    assert resolve(b"/twilio/message") == Target("message")
    assert resolve(b"/twilio/message/status/abc-2") == Target("message/status", "abc-2")
    assert resolve(b"/twilio/call/step/n7") == Target("call/step", "n7")
    assert resolve(b"/twilio/~secret/call") == Target("call", "", b"secret")
    assert resolve(b"/twilio/~s/message/status/t") == Target("message/status", "t", b"s")
    assert resolve(b"/twilio/~/message") == Target("message", "", b"")


@given(st.binary(max_size=40))
def test_whatever_the_path_it_is_a_target_or_none(rest: bytes) -> None:
    found = resolve(b"/twilio/" + rest)
    assert found is None or found.route in ROUTES
    if found is not None:
        assert found.tag == found.tag.lower()


def test_media_types() -> None:
    form, json = Target("message"), Target("events")
    assert takes_type(form, b"application/x-www-form-urlencoded;charset=utf-8")
    assert not takes_type(form, b"application/json")
    assert takes_type(json, b"application/json")
    assert takes_type(json, b"application/cloudevents-batch+json; charset=UTF-8")
    assert not takes_type(json, b"application/x-www-form-urlencoded")
    assert not takes_type(json, b"")


@given(st.lists(st.integers(0, 400)), st.integers(1, 50))
def test_recent_keys_are_the_newest_and_not_more_than_twice_its_size(
    keys: list[int], size: int
) -> None:
    recent = RecentKeys(size)
    order: list[str] = []
    for key in map(str, keys):
        recent.add(key)
        order = [known for known in order if known != key] + [key]
        assert len(recent) <= 2 * size
    assert all(key in recent for key in order[-1:])


def test_recent_keys_forget_the_oldest() -> None:
    recent = RecentKeys(10)
    for number in range(100):
        recent.add(str(number))
    assert "99" in recent
    assert "90" in recent
    assert "0" not in recent


def test_cached_answers_are_bounded_in_number_and_size() -> None:
    cache = AnswerCache(3, 100)
    for number in range(5):
        cache.put(str(number), "x" * 10)
    assert cache.get("0") is cache.get("1") is None
    assert cache.get("4") == "x" * 10
    cache.put("4", "another")
    assert cache.get("4") == "x" * 10, "the first answer stands"
    cache.put("big", "y" * 95)
    assert cache.get("big") == "y" * 95
    assert cache.get("4") is None
    cache.put("too big", "z" * 101)
    assert cache.get("too big") is None


def test_counts_in_the_format_of_prometheus() -> None:
    counts = Counts()
    counts.add("refused", "proof")
    counts.add("refused", "proof")
    counts.add("twiml_unrecorded")
    counts.gauge("log_in_flight", "Waiting.", 3)
    text, content_type = exposition(counts)
    assert b'ringback_refused_total{reason="proof"} 2.0' in text
    assert b"ringback_twiml_unrecorded_total 1.0" in text
    assert b"ringback_log_in_flight 3.0" in text
    assert content_type.startswith("text/plain")
    assert counts.total("refused") == counts.total("refused", "proof") == 2
