"""Classification of the gateway's answers: only a proof that nothing happened allows a new try."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from ringback import errors
from ringback.runtime import from_iso
from ringback.store.attempts import Verdict
from ringback.worker.send import classify

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def judged(
    error: errors.GatewayError,
    kind: str = "send_message",
    policy: str = "checked",
    tries: int = 1,
) -> Verdict:
    return classify.bad(
        kind, policy, error, tries=tries, now=NOW, settle_seconds=60.0, rng=random.Random(7)
    )


@pytest.mark.parametrize(
    "error",
    [
        errors.ServerError("500", http_status=500, code=20500, origin="twilio"),
        errors.ServerError("504", http_status=504),
        errors.ConnectionExpired("500", http_status=500, origin="maton"),
        errors.Unreadable("a 201 without a SID", http_status=201),
        errors.Unreachable("reset after the request was written", wrote=True),
    ],
)
@pytest.mark.parametrize("kind", ["send_message", "place_call", "enqueue_call"])
def test_a_doubtful_answer_to_a_create_makes_its_fate_unknown(
    error: errors.GatewayError, kind: str
) -> None:
    """It is looked into after the settle time, and never simply sent again."""
    verdict = judged(error, kind=kind, policy="at_most_once")
    assert verdict.state == verdict.result == "unknown"
    assert from_iso(verdict.due_at or "") - NOW == timedelta(seconds=60)


def test_nothing_written_is_tried_again() -> None:
    """A refused connection proves that nothing happened."""
    verdict = judged(errors.Unreachable("refused", wrote=False))
    assert (verdict.state, verdict.result) == ("planned", "not_sent")
    assert verdict.due_at is not None


def test_nothing_written_is_given_up_only_where_nobody_waits_for_it() -> None:
    """A text is tried until its time has passed: that it was not sent is certain. A web request has
    failed after eight tries, with the reason."""
    error = errors.Unreachable("refused", wrote=False)
    assert judged(error, tries=99).state == "planned"
    verdict = judged(error, kind="http", policy="natural", tries=classify.MAX_TRIES)
    assert verdict.state == "failed"
    assert "given up after 8 tries" in verdict.reason


def test_rate_limit_waits_as_told_and_costs_no_try() -> None:
    """Retry-After wins over our own back-off, up to five minutes."""
    verdict = judged(errors.RateLimited("429", http_status=429, retry_after=7.0), tries=99)
    assert (verdict.state, verdict.spent) == ("planned", False)
    assert from_iso(verdict.due_at or "") - NOW == timedelta(seconds=7)
    greedy = judged(errors.RateLimited("429", http_status=429, retry_after=1e9))
    assert from_iso(greedy.due_at or "") - NOW == timedelta(seconds=300)


def test_a_refusal_is_final_and_names_the_remedy() -> None:
    """A 400 with a code is Twilio's last word."""
    error = errors.BadRequest(
        "not a mobile number", http_status=400, code=21614, origin="twilio", remedy="Call instead."
    )
    verdict = judged(error)
    assert (verdict.state, verdict.result, verdict.twilio_code) == ("failed", "rejected", 21614)
    assert verdict.reason.endswith("Call instead.")
    said = errors.NotFound("Twilio: no. Call instead", origin="twilio", remedy="call instead")
    assert judged(said).reason == "refused by Twilio: Twilio: no. Call instead"


def test_bad_credentials_hold_the_action() -> None:
    """No attempt is burnt while the operator mends the key."""
    verdict = judged(errors.Unauthorized("401", http_status=401, origin="maton"), tries=99)
    assert (verdict.state, verdict.spent) == ("planned", False)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (errors.BadRequest("not in progress", http_status=400, code=21220), "settled"),
        (errors.NotFound("not found", http_status=404, code=20404, origin="twilio"), "failed"),
        (errors.NotFound("no such path", http_status=404, origin="maton"), "failed"),
    ],
)
def test_ending_a_call_that_has_ended_is_done(error: errors.GatewayError, state: str) -> None:
    """The action has its effect, whoever hung up; there is none on a call that never was."""
    assert judged(error, kind="end_call", policy="natural").state == state


def test_a_natural_action_is_simply_repeated() -> None:
    """Hanging up twice harms nobody."""
    verdict = judged(errors.ServerError("500", http_status=500), kind="end_call", policy="natural")
    assert verdict.state == "planned"


def test_a_good_answer_carries_the_sid_and_the_status() -> None:
    """What Twilio made, and how far it is."""
    verdict = classify.good(
        "send_message", {"sid": "SM" + "0" * 32, "status": "queued"}, 201, "RQ1"
    )
    assert (verdict.state, verdict.remote_sid, verdict.status) == (
        "accepted", "SM" + "0" * 32, "queued",
    )  # fmt: skip
    assert classify.good("end_call", {"sid": "CA"}, 200, "").state == "settled"


def test_the_fast_policy_looks_for_evidence_sooner() -> None:
    """After a quarter of the settle time."""
    verdict = judged(errors.ServerError("500", http_status=500), policy="fast")
    assert from_iso(verdict.due_at or "") - NOW == timedelta(seconds=15)
