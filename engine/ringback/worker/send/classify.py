"""Verdicts: what the gateway's answer to a request means for the action. Pure.

The rule that decides everything: only an answer that proves that nothing happened allows another
try. Twilio has no idempotency key for creates (https://www.twilio.com/docs/api/errors/20500), so
every doubtful answer to one makes its fate unknown.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ringback.action_kinds import kind_named
from ringback.errors import (
    BadRequest,
    GatewayError,
    NoConnection,
    NotFound,
    RateLimited,
    Unauthorized,
)
from ringback.gateway.limits import BACKOFF_CAP, backoff
from ringback.outcomes import Answered
from ringback.runtime import iso
from ringback.store.attempts import Verdict
from ringback.twilio.costs import cost_of, error_code
from ringback.twilio.error_codes import NOT_IN_PROGRESS

MAX_TRIES = 8
SERVER_FAULT = 500
CONFIG_RETRY_SECONDS = 60.0
FAST_SHARE = 0.25
"""The policy `fast` looks for evidence after a quarter of the usual time: 15 s. It may double."""


def good(kind: str, data: Mapping[str, Any], http_status: int, request_id: str) -> Verdict:
    """The verdict on an answer that carries the resource."""
    if kind_named(kind).effect:
        status, code = str(data.get("status") or ""), error_code(data)
        why = f", error {code}" if code else ""
        return Verdict(
            "accepted", "accepted", f"accepted by Twilio as {status or 'created'}{why}",
            http_status=http_status, request_id=request_id, twilio_code=code,
            remote_sid=str(data.get("sid") or ""), status=status, cost=cost_of(data),
        )  # fmt: skip
    return Verdict(
        "accepted", "settled", kind_named(kind).done, http_status=http_status,
        request_id=request_id,
    )  # fmt: skip


def bad(
    kind: str,
    policy: str,
    error: GatewayError,
    *,
    tries: int,
    now: datetime,
    settle_seconds: float,
    rng: random.Random,
) -> Verdict:
    """The verdict on a request that did not end in a good answer. `tries` counts this one."""
    known = Verdict(
        "", "", str(error), http_status=error.http_status, twilio_code=error.code,
        request_id=error.request_id, detail=str(error),
    )  # fmt: skip

    def again(result: str, seconds: float, *, spent: bool = True, most: int = MAX_TRIES) -> Verdict:
        if spent and tries >= most > 0:
            return replace(
                known, result=result, state="failed",
                reason=f"given up after {tries} tries: {error}",
            )  # fmt: skip
        return replace(
            known, result=result, state="planned", due_at=iso(now + timedelta(seconds=seconds)),
            reason=f"tried again in {seconds:.1f} s: {error}", spent=spent,
        )  # fmt: skip

    if isinstance(error, RateLimited):
        wait = error.retry_after if error.retry_after is not None else backoff(tries + 1, rng)
        return again("throttled", min(max(wait, 0.0), BACKOFF_CAP), spent=False)
    if isinstance(error, Unauthorized | NoConnection):
        return again("refused", CONFIG_RETRY_SECONDS, spent=False)
    already_done = kind_named(kind).already_done
    if already_done and error.code == NOT_IN_PROGRESS:
        return replace(known, result="accepted", state="settled", reason=already_done)
    if isinstance(error, BadRequest | NotFound):
        return replace(known, result="rejected", state="failed", reason=_refusal(error))
    if not error.wrote:
        # It was certainly not done: what somebody waits for is tried until its time has passed.
        most = 0 if kind_named(kind).effect else MAX_TRIES
        return again("not_sent", backoff(tries + 1, rng), most=most)
    if policy == "natural":
        return again("failed", backoff(tries + 1, rng))
    if policy == "fast":
        settle_seconds *= FAST_SHARE
    return replace(
        known, result="unknown", state="unknown",
        due_at=iso(now + timedelta(seconds=settle_seconds)),
        reason=f"the answer was lost, it may have happened: {error}",
    )  # fmt: skip


def answered(
    answer: Answered, tries: int, now: datetime, rng: random.Random, *, more: bool, lost: bool
) -> Verdict:
    """The verdict on a web request whose answer a run waits for. Asked again is, while there are
    `more` tries, when the answer is `lost`, or tells of a fault that may pass."""
    said = f"answered {answer.status}" if answer.status else answer.why
    if more and (lost or answer.status in (408, 429) or answer.status >= SERVER_FAULT):
        seconds = backoff(tries, rng)
        return Verdict(
            "failed", "planned", f"tried again in {seconds:.1f} s: {said}", detail=said,
            http_status=answer.status, due_at=iso(now + timedelta(seconds=seconds)),
        )  # fmt: skip
    return Verdict(
        "failed" if lost else "accepted", "failed" if lost else "settled", said,
        detail=said if lost else "", http_status=answer.status, answer=answer,
    )  # fmt: skip


def broken(kind: str, error: Exception, now: datetime, settle_seconds: float) -> Verdict:
    """The verdict when our own code broke around a request: nobody knows what has left."""
    reason = f"the worker broke: {type(error).__name__}: {error}"
    if not kind_named(kind).effect:
        return Verdict("failed", "failed", reason, detail=reason)
    due = iso(now + timedelta(seconds=settle_seconds))
    return Verdict("unknown", "unknown", reason, detail=reason, due_at=due)


def _refusal(error: GatewayError) -> str:
    reason = f"refused by Twilio: {error}" if error.origin == "twilio" else f"refused: {error}"
    told = error.remedy.lower() in reason.lower()  # an answer of Twilio's has it in its words
    return reason if told else f"{reason}. {error.remedy}"
