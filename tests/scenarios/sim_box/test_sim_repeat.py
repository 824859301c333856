"""Repeatability: the same plan and steps give the same bytes, another seed gives others."""

import json
import socket
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

PERSON = "+14155550123"

PLAN = """
seed: 11
handsets:
  "+14155550144": {messages: "undelivered:30005", calls: busy}
messaging: {report_sending: true}
faults:
  - {on: messages.create, do: error, status: 503, created: true, rate: 0.3}
  - {on: messages.create, do: throttle, rate: 0.2}
  - {on: callback, do: duplicate, rate: 0.3, gap: 2}
  - {on: callback, do: delay, seconds: 5, jitter: 20, rate: 0.3}
  - {on: callback, do: lose, rate: 0.1}
  - {on: "webhook:call*", do: duplicate, rate: 0.2}
"""


def story(box: Any, site: Any) -> bytes:
    """Texts and calls in both directions, with faults; the ledger's bytes."""
    site.clear()
    site.answer("/in", "<Message>You said it</Message>")
    site.answer("/voice", "<Gather numDigits='1' action='/key'><Say>Press a key</Say></Gather>")
    site.answer("/key", "<Enqueue waitUrl='/wait'>help</Enqueue>")
    site.answer("/wait", "<Pause length='10'/>")
    box.number(sms_url=site.url + "/in", voice_url=site.url + "/voice")
    for number in range(10):
        to = PERSON if number % 3 else "+14155550144"
        data = {
            "To": to,
            "From": box.sender,
            "Body": str(number),
            "StatusCallback": site.url + "/s",
        }
        box.rest("POST", "Messages.json", data=data)
        box.run(1.5)
    box.text(PERSON, box.sender, "hi")
    call = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.run(3)
    box.control(f"calls/{call}/keys", digits="1")
    box.run(25)
    data = {"To": "+14155550144", "From": box.sender, "Twiml": "<Response/>",
            "StatusCallback": site.url + "/s"}  # fmt: skip
    box.rest("POST", "Calls.json", data=data)
    box.run(10)
    box.control(f"calls/{call}/hangup")
    box.finish()
    return box.http.get("/_sim/ledger.jsonl").content


@pytest.mark.slow
def test_the_same_seed_gives_the_same_ledger(make_box: Any, site: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    first = story(make_box("--stepped", "--plan", str(plan)), site)
    second = story(make_box("--stepped", "--plan", str(plan)), site)
    assert first == second
    assert first.count(b'"kind":"fault"') > 5
    other = story(make_box("--stepped", "--plan", str(plan), "--seed", "12"), site)
    assert other != first


def test_a_reset_box_repeats_the_same_story(box: Any, site: Any) -> None:
    first = story(box, site)
    box.control("reset")
    assert story(box, site) == first


@pytest.mark.slow
def test_the_ledger_is_also_written_to_a_file(make_box: Any, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    box = make_box("--stepped", "--ledger", str(file))
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert file.read_bytes() == box.http.get("/_sim/ledger.jsonl").content
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))


@pytest.mark.slow
def test_another_session_has_the_same_account_and_other_sids(make_box: Any) -> None:
    first, second = make_box("--session", "a"), make_box("--session", "b")
    same = ("account_sid", "auth_token", "maton_api_key", "connection_id", "numbers")
    assert [first.card[name] for name in same] == [second.card[name] for name in same]
    sids = {box.text(PERSON, box.sender, "hi")["sid"] for box in (first, second)}
    assert len(sids) == 2


@pytest.mark.slow
def test_time_sped_up_keeps_dates_near_the_wall(make_box: Any, site: Any) -> None:
    import time
    from email.utils import parsedate_to_datetime

    box = make_box("--speed", "200")
    data = {"To": PERSON, "From": box.sender, "Body": "x", "StatusCallback": site.url + "/s"}
    sid = box.rest("POST", "Messages.json", data=data).json()["sid"]
    assert box.control("idle", within=60, timeout=20) == {"idle": True}
    row = box.rest("GET", f"Messages/{sid}.json").json()
    assert row["status"] == "delivered"
    assert len(site.at("/s")) == 2
    sent = parsedate_to_datetime(row["date_sent"]).timestamp()
    assert abs(sent - time.time()) < 10


@pytest.mark.slow
def test_a_running_clock_can_jump_and_change_its_pace(make_box: Any) -> None:
    box = make_box()
    before = box.look("clock")
    assert (before["mode"], before["speed"]) == ("real", 1.0)
    assert box.control("clock", speed=50)["speed"] == 50
    after = box.control("clock", advance=86_400)
    assert after["time"][:10] > before["time"][:10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "word"), [("seed: red\nspeed: 0", "whole number"), ("{", "cannot read")]
)
def test_a_wrong_plan_ends_the_start_with_one_clear_line(
    tmp_path: Path, plan: Any, word: Any
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(plan)
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "simulator", "--plan", str(file)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_it_ends_at_once_and_quietly_though_a_request_hangs() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "simulator", "--fault", "messages.list hang"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    card = json.loads(process.stdout.readline())
    host = urlsplit(card["base_url"])
    pair = b64encode(f"{card['account_sid']}:{card['auth_token']}".encode()).decode()
    with socket.create_connection((host.hostname, host.port)) as plug:
        path = f"/2010-04-01/Accounts/{card['account_sid']}/Messages.json"
        plug.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n\r\n".encode()
        )
        with httpx.Client(base_url=card["base_url"]) as client:
            while not client.get("/_sim/ledger?kind=fault").json()["entries"]:
                pass
        process.terminate()
        _, words = process.communicate(timeout=5)
    assert (process.returncode, words) == (0, "")


@pytest.mark.slow
def test_a_taken_port_is_said_plainly(box: Any) -> None:
    port = box.base.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "simulator", "--port", port],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 75
    assert port in done.stderr
