"""The simulate commands of rarer webhooks: at a simulator as `ringback dev` has it, at a node."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twilio.request_validator import RequestValidator

from ringback.cli.main import cli
from ringback.cli.simulate_reports import reaction
from ringback.errors import UsageError
from ringback.rules.reactions import parse, to_ours

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
