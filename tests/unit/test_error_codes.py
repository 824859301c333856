"""The catalogue of Twilio's error codes, and what stands in for a code that is not in it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ringback.error_codes
from ringback import ErrorCode, explain_error
from ringback.error_codes import (
    AFFECTS,
    CLASS_TABLE,
    CLASSES,
    FAULTS,
    INSTEAD,
    KINDS,
    PHASES,
    RANGES,
    RETRIES,
    error_class,
    listed,
)
from ringback.gateway.responses import NO_ACCESS
from ringback.rules.language.cel import Language
from ringback.rules.language.literals import check_literals
from ringback.rules.language.scope import FIELDS
from ringback.testing import message_status, settled
from ringback.twilio import error_codes as by_its_old_name
from ringback.twilio.consent import OPT_OUTS

DATA = Path(ringback.error_codes.__file__).with_suffix(".json")
DOCUMENTED = tuple(
    int(word)
    for word in (Path(__file__).parents[1] / "data" / "twilio_error_codes.txt").read_text().split()
)
"""The codes of messages, voice and webhooks that Twilio's dictionary had when this was written."""


def codes(**wanted: Any) -> set[int]:
    """The codes whose facts are these."""
    return {
        each.code
        for each in listed()
        if all(getattr(each, name) == value for name, value in wanted.items())
    }


def test_the_classes_that_rules_lean_on() -> None:
    assert error_class(0) == ""
    assert error_class(30003) == "recipient_unreachable"
    assert error_class(30007) == "carrier_filtered"
    assert error_class(21610) == "recipient_opted_out"
    assert error_class(20429) == "rate_limited"
    assert error_class(987654) == "unknown"


@pytest.mark.parametrize(
    ("code", "class_"),
    [
        (30008, "carrier_failed"),
        (30005, "invalid_number"),
        (63049, "carrier_filtered"),
        (63051, "sender_unregistered"),
        (63041, "content_rejected"),
    ],
)
def test_common_failures_have_a_class_and_several_steps(code: int, class_: str) -> None:
    found = explain_error(code)
    assert (found.error_class, found.listed) == (class_, True)
    assert len(found.steps) > 1


@pytest.mark.parametrize(
    ("codes", "class_"),
    [
        ((20001, 20002, 20004, 20007, 20009, 20404, 20409, 20410, 20422, 20423), "bad_request"),
        ((20011, 20426, 21205, 21502, 21609, 30404, 30409, 90007), "bad_request"),
        ((20003, 20005, 20006, 20008, 20010, 20403, 21470, 21471, 21472), "account"),
        ((20413,), "content_rejected"),
        ((20429,), "rate_limited"),
        ((20500, 20503), "platform_fault"),
        ((11200, 12100, 12200), "webhook_fault"),
    ],
)
def test_what_the_api_refuses_is_no_fault_of_a_webhook(codes: tuple[int, ...], class_: str) -> None:
    assert {code: explain_error(code).error_class for code in codes} == dict.fromkeys(codes, class_)
    if class_ == "webhook_fault":
        return
    for code in codes:
        assert not explain_error(code).kind
        assert not any("public address" in step for step in explain_error(code).steps)


def test_an_unlisted_code_falls_back_to_its_family() -> None:
    assert not {entry.code for entry in listed()} & {11999, 30999, 21999}
    assert (explain_error(11999).error_class, explain_error(11999).retryable) == (
        "webhook_fault", "no",
    )  # fmt: skip
    unknown = explain_error(30999)
    assert (unknown.error_class, unknown.retryable, unknown.listed) == ("unknown", "later", False)
    assert not unknown.may_retry
    assert unknown.retry == "not known"
    assert (explain_error(21999).error_class, explain_error(21999).retryable) == ("unknown", "no")
    assert "21999" in explain_error(21999).remedy


def test_no_error_is_empty_in_every_text() -> None:
    none = explain_error(0)
    values = (none.title, none.error_class, none.remedy, none.fault, none.retry, none.wait)
    assert {*values, none.affects, none.retryable, none.url} == {""}
    assert not none.steps


def test_every_documented_code_is_classed_or_says_why_not() -> None:
    assert len(DOCUMENTED) == 367
    rows = {row.code: row for row in listed()}
    assert not set(DOCUMENTED) - set(rows)
    for row in rows.values():
        assert (row.error_class == "unknown") == bool(row.unclassed), row.code
    assert len([row for row in rows.values() if row.unclassed]) < 5


def test_every_row_is_whole_and_of_known_words() -> None:
    rows = listed()
    assert [row.code for row in rows] == sorted({row.code for row in rows})
    for row in rows:
        assert row.error_class in CLASSES
        assert row.fault in FAULTS
        assert row.affects in AFFECTS
        assert row.retryable in RETRIES
        assert row.phase in PHASES
        assert row.level in ("error", "warning")
        assert row.kind in (*KINDS, "")
        assert bool(row.kind) == (row.error_class == "webhook_fault"), row.code
        assert set(row.instead) <= set(INSTEAD)
        assert row.url.endswith(str(row.code))
        assert any(first <= row.code <= last for first, last, _ in RANGES), row.code
        assert row.title
        assert not row.title.endswith(".")
        assert row.remedy == row.steps[0]
        assert len(set(row.steps)) == len(row.steps)
        for step in row.steps:
            assert step[0].isupper(), (row.code, step)
            assert step.endswith("."), (row.code, step)
        assert not (row.retryable == "no" and row.retry_after), row.code
        assert row.retryable != "yes" or row.retry_after, row.code
    assert {row.error_class for row in rows} == set(CLASSES)


def test_the_file_has_no_word_that_nobody_reads_and_no_value_that_its_class_says() -> None:
    known = {
        "code", "title", "class", "phase", "steps", "retry", "after", "fault", "affects", "instead",
        "twice", "level", "kind", "unclassed",
    }  # fmt: skip
    for row in json.loads(DATA.read_text("utf-8")):
        common = CLASS_TABLE[row["class"]]
        assert set(row) <= known, row["code"]
        assert row.get("retry") != common.retryable, row["code"]
        assert row.get("fault") != common.fault, row["code"]
        assert row.get("affects") != common.affects, row["code"]
        assert row.get("instead") != list(common.instead), row["code"]
        assert row.get("level") != "error", row["code"]


def test_nobody_who_opted_out_is_sent_anything_instead() -> None:
    """Neither the same again nor another sender or channel: that is what the person refused."""
    left = [row for row in listed() if row.error_class == "recipient_opted_out"]
    assert {row.code for row in left} == OPT_OUTS | {30640, 63033, 63050}
    for row in left:
        assert (row.retryable, row.instead, row.affects) == ("no", (), "recipient")


def test_codes_after_which_a_sender_is_to_be_left_alone() -> None:
    stopped = {
        30024, 30032, 30033, 30034, 30035, 63001, 63002, 63007, 63008, 63020, 63022, 63051, 63112,
    }  # fmt: skip
    assert stopped <= codes(affects="sender")
    for row in listed():
        if row.error_class == "sender_unregistered":
            assert row.affects in ("sender", "country"), row.code
            assert row.retryable == "no" or row.code in (30024, 30035), row.code


def test_codes_after_which_the_whole_account_is_to_stop() -> None:
    assert {10001, 20003, 20005, 30002, 30037, 90010} <= codes(affects="account")
    assert codes(error_class="account", affects="account") >= NO_ACCESS


def test_a_filter_is_not_evaded_by_another_sender() -> None:
    """Twilio and carriers take that for an attempt to get round them."""
    for row in listed():
        if row.error_class == "carrier_filtered":
            assert "sender" not in row.instead, row.code
    assert explain_error(30007).retryable == "no"
    assert explain_error(30033).instead == ()


def test_a_repeat_that_may_arrive_twice_says_so_and_waits() -> None:
    twice = {30008, 30020, 30021, 30046, 30410, 30500, 63009, 63010, 63012, 20500, 20503}
    assert twice <= codes(twice=True)
    for row in listed():
        if row.twice and row.may_retry:
            assert row.retry_after >= 30, row.code
            assert "twice" in row.retry, row.code
    assert explain_error(30046).retryable == "no"
    assert explain_error(15000).retryable == "no"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (30003, "after 1 h; each try is charged"),
        (30008, "after 30 min; each try is charged; a repeat may reach the person twice"),
        (30004, "no: the same again fails the same way"),
        (30002, "once mended"),
        (20429, "after 5 s"),
        (20500, "after 30 s; a repeat may reach the person twice"),
        (14107, "no: the same again fails the same way"),
        (63049, "after 24 h"),
    ],
)
def test_the_use_of_a_retry_in_words(code: int, says: str) -> None:
    assert explain_error(code).retry == says


def test_quiet_hours_are_over_after_the_wait() -> None:
    """From 9 pm to 8 am nothing is delivered: eleven hours after any refusal it is between 8 am and
    7 pm."""
    wait = explain_error(30610).retry_after / 3600
    assert all(8 <= (hour + wait) % 24 <= 19 for hour in (21, 22, 23, *range(8)))


def test_events_and_ended_actions_know_what_to_do() -> None:
    failed = message_status("undelivered", error_code=30034)
    assert failed.error is explain_error(30034)
    assert failed.error.fault == "account"
    assert failed.remedy == failed.error.steps[0] != ""
    assert message_status("delivered").remedy == ""
    ended = settled(state="failed", error_code=21610)
    assert isinstance(ended.error, ErrorCode)
    assert ended.remedy.startswith("Send nothing more to this person")
    assert settled().remedy == ""


def test_the_old_name_has_the_same() -> None:
    assert by_its_old_name.explain(30007) is explain_error(30007)
    assert by_its_old_name.listed() == listed()
    assert by_its_old_name.CLASSES == CLASSES


@pytest.mark.slow
def test_the_table_is_read_when_the_first_code_is_asked_for() -> None:
    """Neither the receiver nor the worker nor a plugin pays for it at its start."""
    code = (
        "import ringback.twilio.webhooks, ringback.rules.language.scope, ringback.store.facts\n"
        "import ringback.gateway.responses, ringback.plugins.context, ringback.cli.trace\n"
        "from ringback import Event, explain_error\n"
        "from ringback.error_codes import _table\n"
        "print(_table.cache_info().currsize)\n"
        "explain_error(30007)\n"
        "print(_table.cache_info().currsize)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "1"]


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("event.error.fault == 'our'", "ours"),
        ("event.error.fault in ['account', 'recipients']", "recipient"),
        ("reply.error.retryable != 'latter'", "later"),
        ("event.error.affects == 'senders'", "sender"),
        ("event.error_class == 'carrier_fail'", "carrier_failed"),
    ],
)
def test_a_word_that_the_catalogue_never_says_is_a_mistake_of_the_rule(
    condition: str, hint: str
) -> None:
    (complaint,) = check_literals(condition, {})
    assert "is never" in complaint.message
    assert hint in complaint.hint


@pytest.mark.parametrize("name", ["error.title", "error.retry_after", "remedy", "error.fault"])
def test_what_a_rule_may_ask_has_a_type(name: str) -> None:
    assert FIELDS[f"event.{name}"].type == ("int" if name == "error.retry_after" else "string")
    wrong = Language().compile(f"event.{name} == [1]")
    assert isinstance(wrong, list)
