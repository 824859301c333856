"""The simulate commands of rarer webhooks: at a simulator as `ringback dev` has it, at a node."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from twilio.request_validator import RequestValidator

from ringback.cli.events import moment
from ringback.cli.main import cli
from ringback.cli.project_context import Place
from ringback.cli.simulate_reports import reaction
from ringback.errors import UsageError
from ringback.rules.reactions import parse, to_ours
from ringback.runtime import ClockFile

PERSON = "+12025550142"
Run = Callable[..., dict[str, Any]]


def run_in(project: Path, environ: dict[str, str]) -> Run:
    """A function that runs `ringback simulate … --json` in a project; what it printed."""

    def run(*words: str, refused: bool = False) -> dict[str, Any]:
        result = CliRunner(env=environ).invoke(
            cli, ["-C", str(project), "simulate", *words, "--json"]
        )
        assert bool(result.exception) == refused, (result.output, result.exception)
        if refused:
            assert isinstance(result.exception, UsageError)
            return {"error": str(result.exception)}
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[0])
        return found

    return run


@pytest.fixture
def run(box: Any, site: Any, tmp_path: Path) -> Run:
    """The commands beside a `ringback dev` whose node is the web server of the tests."""
    (tmp_path / "ringback.toml").touch()
    (tmp_path / "data/dev").mkdir(parents=True)
    facts = {"pid": os.getpid(), "node_url": site.url, "base_url": box.base}
    facts |= {name: box.card[name] for name in ("account_sid", "auth_token", "numbers")}
    (tmp_path / "data/dev/dev.json").write_text(json.dumps(facts))
    box.number(sms_url=site.url + "/twilio/message", voice_url=site.url + "/twilio/call")
    box.control("webhooks", debugger_url=site.url + "/twilio/debugger")
    return run_in(tmp_path, {})


@pytest.fixture
def posting(site: Any, tmp_path: Path) -> Run:
    """The commands beside a node alone: the web server of the tests takes its webhooks."""
    (tmp_path / "ringback.toml").touch()
    return run_in(
        tmp_path,
        {
            "RINGBACK_PORT": site.url.rpartition(":")[2],
            "RINGBACK_SENDER": "+14155550100",
            "TWILIO_AUTH_TOKEN": "t" * 32,
        },
    )


def texted(box: Any, client: Any, body: str, to: str = PERSON, **more: Any) -> str:
    sender = "whatsapp:" + box.sender if to.startswith("whatsapp:") else box.sender
    sid = str(client.messages.create(to=to, from_=sender, body=body, **more).sid)
    box.finish()
    return sid


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("liked", {}, "Liked “We are open.”"),
        ("laughed", {}, "Laughed at “We are open.”"),
        ("loved", {"removed": True}, "Removed a heart from “We are open.”"),
        ("🎉", {}, "Reacted 🎉 to “We are open.”"),
        ("liked", {"android": True}, "👍 to “We are open.”"),
        ("🎉", {"android": True, "removed": True}, "Removed 🎉 from “We are open.”"),
    ],
)
def test_a_reaction_is_written_as_phones_write_it(kind: str, options: Any, text: str) -> None:
    assert reaction(kind, "We are open.", **options) == text


@pytest.mark.parametrize("kind", ["like", "love", "dislike", "laugh", "emphasis", "question"])
def test_a_reaction_may_be_named_as_rules_name_it(kind: str) -> None:
    assert parse(reaction(kind, "We are open.")).kind == kind


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("liked", "like"), ("loved", "love"), ("disliked", "dislike"), ("laughed", "laugh"),
        ("emphasized", "emphasis"), ("questioned", "question"), ("🎉", "🎉"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("android", [False, True])
def test_what_is_written_is_understood_as_a_reaction(kind: str, meant: str, android: bool) -> None:
    ours = [("We are open.", False)]
    for removed, expected in ((False, meant), (True, "removed")):
        written = reaction(kind, "We are open.", android=android, removed=removed)
        assert to_ours(parse(written), ours) == (expected, "We are open.")


def test_a_phone_reacts_to_the_last_text_that_it_got(
    run: Run, box: Any, client: Any, site: Any
) -> None:
    assert "no text" in run("react", "liked", refused=True)["error"]
    texted(box, client, "We are open.")
    for wrong in ("bogus", "liking", "Liked", "12"):
        assert "liked, loved" in run("react", wrong, "We are open.", refused=True)["error"]
    done = run("react", "liked")
    box.run(1)
    [hook] = site.at("/twilio/message")
    assert (hook.fields["Body"], hook.fields["MessageSid"]) == (
        "Liked “We are open.”",
        done["sid"],
    )
    run("react", "🎉", "Something else", "--android", "--from", "+12025550143")
    box.run(1)
    assert site.at("/twilio/message")[-1].fields["Body"] == "🎉 to “Something else”"


def test_whatsapp_texts_come_from_the_channel(run: Run, box: Any, site: Any) -> None:
    for words in (["--whatsapp"], ["--from", f"whatsapp:{PERSON}"]):
        run("message", "hola", "--wait", "0", "--field", "ButtonText=Yes", *words)
        box.run(1)
        fields = site.at("/twilio/message")[-1].fields
        assert (fields["From"], fields["To"]) == (f"whatsapp:{PERSON}", f"whatsapp:{box.sender}")
        assert (fields["WaId"], fields["ButtonText"]) == (PERSON[1:], "Yes")
    assert "NAME=VALUE" in run("message", "x", "--field", "oops", refused=True)["error"]


def test_a_text_is_read(run: Run, box: Any, client: Any, site: Any) -> None:
    whatsapp = f"whatsapp:{PERSON}"
    run("message", "hola", "--wait", "0", "--whatsapp")
    box.run(1)
    sid = texted(box, client, "hi", whatsapp, status_callback=site.url + "/status")
    assert run("read", "--from", whatsapp)["sid"] == sid
    box.run(1)
    last = site.at("/status")[-1].fields
    assert (last["MessageStatus"], last["EventType"], last["MessageSid"]) == ("read", "READ", sid)


@pytest.mark.parametrize(
    ("words", "kind", "body"),
    [([], "STOP", "STOP"), (["stop", "--body", "ARRET"], "STOP", "ARRET")],
)
def test_an_opt_out_says_so_and_holds(
    run: Run, box: Any, client: Any, site: Any, words: list[str], kind: str, body: str
) -> None:
    run("opt-out", *words)
    box.run(1)
    fields = site.at("/twilio/message")[-1].fields
    assert (fields["OptOutType"], fields["Body"]) == (kind, body)
    refused = box.rest(
        "POST", "Messages.json", data={"To": PERSON, "From": box.sender, "Body": "hi"}
    )
    assert refused.json()["code"] == 21610
    run("opt-out", "START", "--body", "DEPART")
    box.run(1)
    assert texted(box, client, "welcome back")
    assert "no opt-out" in run("opt-out", "MAYBE", refused=True)["error"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", {"RecordingDuration": "31"}),
        ("absent", {"ErrorCode": "16102"}),
        ("failed", {"ErrorCode": "16108"}),
        ("in-progress", {}),
    ],
)
def test_a_recording_is_reported_as_it_is(
    run: Run, box: Any, site: Any, status: str, expected: dict[str, str]
) -> None:
    assert "no call" in run("recording", refused=True)["error"]
    site.answer("/twilio/call", "<Pause length='60'/>")
    call = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.run(2)
    done = run("recording", "--status", status, "--seconds", "31")
    box.run(3)
    [hook] = site.at("/twilio/recording")
    assert (hook.fields["CallSid"], hook.fields["RecordingSid"]) == (call, done["sid"])
    assert hook.fields["RecordingStatus"] == status
    assert {name: hook.fields[name] for name in expected} == expected
    assert box.rest("GET", f"Recordings/{done['sid']}.json").json()["status"] == status


def test_an_error_is_reported_by_the_debugger(run: Run, box: Any, client: Any, site: Any) -> None:
    sid = run("error", "11200", "--sid", "CA" + "1" * 32)["sid"]
    box.run(1)
    [hook] = site.at("/twilio/debugger")
    payload = json.loads(hook.fields["Payload"])
    assert (hook.fields["Sid"], hook.fields["Level"]) == (sid, "Error")
    assert (payload["error_code"], payload["resource_sid"]) == ("11200", "CA" + "1" * 32)
    assert client.api.account.notifications(sid).fetch().error_code == "11200"
    assert "code" in run("error", "7", refused=True)["error"]


POSTED = [
    (["react", "liked", "hi"], "message", {"Body": "Liked “hi”", "From": PERSON}),
    (["message", "hi", "--whatsapp"], "message",
     {"From": f"whatsapp:{PERSON}", "To": "whatsapp:+14155550100", "WaId": PERSON[1:]}),
    (["message", "hi", "--field", "ButtonText=Yes"], "message", {"ButtonText": "Yes"}),
    (["opt-out", "HELP"], "message", {"OptOutType": "HELP", "Body": "HELP"}),
    (["read", "SM" + "1" * 32], "message/status", {"MessageStatus": "read", "EventType": "READ"}),
    (["recording", "--status", "absent"], "recording",
     {"RecordingStatus": "absent", "ErrorCode": "16102"}),
    (["recording"], "recording", {"RecordingStatus": "completed", "RecordingDuration": "12"}),
    (["error", "30007", "--level", "warning"], "debugger", {"Level": "Warning"}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "route", "expected"), POSTED, ids=lambda value: str(value)[:30])
def test_without_dev_the_webhook_is_posted_to_the_node_and_signed(
    posting: Run, site: Any, words: list[str], route: str, expected: dict[str, str]
) -> None:
    done = posting(*words)
    [hook] = [each for each in site.hooks if each.path.startswith("/twilio/")]
    assert (hook.path, done["http_status"]) == (f"/twilio/{route}", 200)
    assert {name: hook.fields.get(name) for name in expected} == expected
    signed = RequestValidator("t" * 32)
    url = site.url + hook.path
    assert signed.validate(url, hook.fields, hook.headers["X-Twilio-Signature"])


@pytest.mark.parametrize("words", [["react", "liked"], ["read"]], ids=["react", "read"])
def test_without_dev_it_must_be_said_what_is_meant(posting: Run, words: list[str]) -> None:
    assert "give" in posting(*words, refused=True)["error"]


@pytest.mark.parametrize("command", [["react", "liked"], ["read"]], ids=["react", "read"])
def test_a_person_on_two_channels_answers_on_the_one_that_is_meant(
    run: Run, box: Any, client: Any, site: Any, command: list[str]
) -> None:
    """The last text of SMS is not that of WhatsApp, though both reach the same phone."""
    whatsapp = f"whatsapp:{PERSON}"
    run("message", "hola", "--wait", "0", "--whatsapp")
    box.run(1)
    status = {"status_callback": site.url + "/status"}
    by = {"sms": texted(box, client, "by SMS", **status)}
    by["whatsapp"] = texted(box, client, "by WhatsApp", whatsapp, **status)
    for words, channel, prefix in (
        ([], "sms", ""), (["--whatsapp"], "whatsapp", "whatsapp:"),
        (["--from", whatsapp], "whatsapp", "whatsapp:"),
    ):  # fmt: skip
        if command == ["read"] and words[:1] == ["--from"]:
            return  # it is read already
        done = run(*command, *words)
        box.run(1)
        if command == ["read"]:
            assert done["sid"] == by[channel]
        else:
            fields = site.at("/twilio/message")[-1].fields
            text = {"sms": "by SMS", "whatsapp": "by WhatsApp"}[channel]
            assert fields["Body"] == f"Liked “{text}”"
            assert (fields["From"], fields["To"]) == (prefix + PERSON, prefix + box.sender)


def test_a_reaction_names_the_channel_on_which_something_came(
    run: Run, box: Any, client: Any
) -> None:
    texted(box, client, "by SMS")
    said = run("react", "liked", "--whatsapp", refused=True)["error"]
    assert f"whatsapp:{PERSON} has got no text from us yet; what came is from {box.sender}" in said


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("since", ["30m", "2h"])
def test_a_span_is_counted_by_the_moved_clock_of_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str, live: bool
) -> None:
    """Also by the data that `dev` has left behind when it is no longer running."""
    data = tmp_path / "data" / "dev"
    data.mkdir(parents=True)
    if live:
        (data / "dev.json").write_text(json.dumps({"pid": os.getpid()}))
    ClockFile(data / "clock").move(86_400.0)
    place = Place(tmp_path, {})
    ahead = place.now() - datetime.now(UTC)
    assert timedelta(hours=23) < ahead <= timedelta(hours=24)
    with click.Context(click.Command("events"), obj=place):
        begin = datetime.fromisoformat(moment(since))
    span = timedelta(minutes=30) if since == "30m" else timedelta(hours=2)
    assert abs(place.now() - span - begin) < timedelta(seconds=30)
    (tmp_path / "data" / "log.db").touch()  # a real node has run here
    assert (place.now() - datetime.now(UTC) > timedelta(hours=1)) == live


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+1 (202) 555-0142", PERSON), ("(202) 555-0142", PERSON), ("2025550142", PERSON),
        ("whatsapp:+1 202-555-0142", f"whatsapp:{PERSON}"), (PERSON, PERSON),
        ("12345", "12345"), ("AC ME", "AC ME"),
    ],
)  # fmt: skip
def test_who_texts_may_be_written_as_people_write_numbers(
    run: Run, box: Any, site: Any, written: str, number: str
) -> None:
    """By the country of our numbers in dev; a name, and what is no number, stays as it is."""
    done = run("message", "hi", "--wait", "0", "--from", written)
    assert done["from"] == number
    box.run(1)
    assert site.at("/twilio/message")[-1].fields["From"] == number


@pytest.mark.parametrize("command", [["message", "hi", "--wait", "0"], ["call"]])
def test_a_number_that_is_not_ours_is_told_which_are(
    run: Run, box: Any, command: list[str]
) -> None:
    said = run(*command, "--to", "+12125550190", refused=True)["error"]
    assert "+12125550190 is not one of our numbers: " in said
    assert box.sender in said


def test_only_a_call_can_be_hung_up(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["-C", str(tmp_path), "simulate", "hangup", "SMx"])
    assert "'SMx' is no call: give the CA…" in str(result.exception)
