"""The kit's TwilioBox: a real process, real HTTP, phones that the test uses."""

import base64
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import httpx
import pytest

from ringback.testing import THEIRS, BoxError, TwilioBox, running_box
from ringback.twilio.signature import sign

Hook = tuple[str, str, list[tuple[str, str]]]


@pytest.fixture
def node() -> Iterator[tuple[str, "queue.Queue[Hook]"]]:
    """A server that stands for a node: its URL, and the webhooks that it gets."""
    came: queue.Queue[Hook] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = parse_qsl(body, keep_blank_values=True)
            came.put((self.path, self.headers["X-Twilio-Signature"], fields))
            answer = b"<Response><Say>Hello.</Say></Response>"
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def send(box: TwilioBox, body: str) -> httpx.Response:
    """Send a text through the box's API, as a program under test would."""
    login = base64.b64encode(f"{box.account_sid}:{box.auth_token}".encode()).decode()
    return httpx.post(
        f"{box.base_url}/2010-04-01/Accounts/{box.account_sid}/Messages.json",
        data={"To": THEIRS, "From": box.numbers[0], "Body": body},
        headers={"Authorization": f"Basic {login}"},
        trust_env=False,
    )


def test_a_text_to_us_becomes_a_signed_webhook(
    twilio_box: TwilioBox, node: tuple[str, "queue.Queue[Hook]"]
) -> None:
    """At the URL that the number points to, signed with the box's token."""
    url, came = node
    twilio_box.point(url)
    twilio_box.text("hello there")
    path, signature, fields = came.get(timeout=10)
    assert path == "/twilio/message"
    assert dict(fields)["Body"] == "hello there"
    assert dict(fields)["From"] == THEIRS
    assert signature == sign(twilio_box.auth_token, url + path, fields)


def test_a_text_from_us_arrives_on_a_phone(twilio_box: TwilioBox) -> None:
    """Sent by the API, read on the phone."""
    assert twilio_box.inbox() == []
    assert send(twilio_box, "your parcel is here").status_code == 201
    assert twilio_box.settle()
    assert twilio_box.inbox() == ["your parcel is here"]


def test_a_phone_may_be_out_of_reach(twilio_box: TwilioBox) -> None:
    """As the test says."""
    twilio_box.phone(messages="undelivered:30003")
    sid = send(twilio_box, "anybody?").json()["sid"]
    assert twilio_box.settle()
    message = twilio_box.ask("GET", f"/messages/{sid}")
    assert (message["status"], message["error_code"]) == ("undelivered", 30003)


def test_a_caller_hears_our_answer(
    twilio_box: TwilioBox, node: tuple[str, "queue.Queue[Hook]"]
) -> None:
    """The box asks the voice URL and speaks what comes back."""
    url, came = node
    twilio_box.point(url)
    sid = twilio_box.ring()["sid"]
    assert came.get(timeout=10)[0] == "/twilio/call"
    assert twilio_box.settle()
    assert "Hello." in [heard["text"] for heard in twilio_box.call(sid)["heard"]]


def test_each_test_gets_a_fresh_box(twilio_box: TwilioBox) -> None:
    """Nothing of an earlier test is left."""
    assert twilio_box.inbox() == []


def test_what_the_box_refuses_is_told_in_its_words(twilio_box: TwilioBox) -> None:
    """With the path that was asked."""
    with pytest.raises(BoxError, match="/_sim/calls/CA"):
        twilio_box.call("CA" + "0" * 32)


@pytest.mark.slow
def test_a_box_that_cannot_start_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    """Its own message goes to standard error."""
    with pytest.raises(BoxError, match="did not start"), running_box("--plan", "/nowhere.yaml"):
        pass
    assert "/nowhere.yaml" in capfd.readouterr().err
