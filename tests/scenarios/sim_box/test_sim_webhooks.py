"""Webhooks as Twilio sends them: fields, signature, redirects, overrides, fallbacks, replies."""

import base64
import socket
import threading
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

PERSON = "+14155550123"


def verified(box: Any, hook: Any, url: str) -> bool:
    fields = {} if hook.method == "GET" else hook.fields
    return RequestValidator(box.card["auth_token"]).validate(
        url, fields, hook.headers["X-Twilio-Signature"]
    )


def codes(box: Any) -> list[str]:
    rows = box.rest("GET", "Notifications.json").json()["notifications"]
    return [row["error_code"] for row in rows][::-1]


def test_an_inbound_text_has_every_field_and_a_signature(box: Any, site: Any) -> None:
    box.number(sms_url=site.url + "/in?a=b")
    message = box.text(PERSON, box.sender, "Héllo +&=")
    box.run()
    hook = site.at("/in")[0]
    assert hook.pairs == [
        ("ToCountry", "US"), ("ToState", ""), ("SmsMessageSid", message["sid"]),
        ("NumMedia", "0"), ("ToCity", ""), ("FromZip", ""), ("SmsSid", message["sid"]),
        ("FromState", ""), ("SmsStatus", "received"), ("FromCity", ""), ("Body", "Héllo +&="),
        ("FromCountry", "US"), ("To", box.sender), ("ToZip", ""), ("NumSegments", "1"),
        ("MessageSid", message["sid"]), ("AccountSid", box.card["account_sid"]),
        ("From", PERSON), ("ApiVersion", "2010-04-01"),
    ]  # fmt: skip
    assert hook.headers["User-Agent"] == "TwilioProxy/1.1"
    assert hook.headers["I-Twilio-Idempotency-Token"]
    assert hook.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert verified(box, hook, site.url + "/in?a=b")
    assert not verified(box, hook, site.url + "/in?a=c")


def test_media_and_channel_fields(box: Any, site: Any) -> None:
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "", media=["https://a.test/cat.png"], fields={"FromCity": "X"})
    box.run()
    fields = site.at("/in")[0].fields
    assert fields["MessageSid"].startswith("MM")
    assert (fields["NumMedia"], fields["MediaContentType0"]) == ("1", "image/png")
    assert fields["FromCity"] == "X"
    auth = (box.card["account_sid"], box.card["auth_token"])
    assert box.http.get(fields["MediaUrl0"], auth=auth).content.startswith(b"\x89PNG")


def test_get_carries_the_fields_in_the_query(box: Any, site: Any) -> None:
    box.number(sms_url=site.url + "/in?x=1", sms_method="GET")
    box.text(PERSON, box.sender, "a b")
    box.run()
    hook = site.at("/in")[0]
    assert (hook.method, hook.fields["x"], hook.fields["Body"]) == ("GET", "1", "a b")
    path = box.ledger("answered")[0]
    assert path["status"] == 200


def test_a_get_is_signed_over_its_url(box: Any, site: Any) -> None:
    raw: list[str] = []
    site.pages["/in"] = lambda hook: raw.append(hook.path) or _empty()
    box.number(sms_url=site.url + "/in", sms_method="GET")
    box.text(PERSON, box.sender, "é &=+")
    box.run()
    hook = site.at("/in")[0]
    from urllib.parse import quote, urlencode

    url = f"{site.url}/in?{urlencode(hook.pairs, quote_via=quote)}"
    assert verified(box, hook, url)


def _empty() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(body="<Response/>", status=200, type="text/xml", headers={})


def test_a_shared_key_signs_with_sha256(box: Any, site: Any) -> None:
    secret = box.control("webhooks", shared_key=True)
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    hook = site.at("/in")[0]
    settings = hook.headers["X-Twilio-Webhooks-Signature-Settings"]
    assert settings == f"key={secret['shared_key_id']},algorithm=HMAC_SHA256"
    assert not verified(box, hook, site.url + "/in")
    from ringback.simulator.signing import signature

    proof = signature(secret["shared_key_secret"], site.url + "/in", hook.pairs, "sha256")
    assert hook.headers["X-Twilio-Signature"] == proof


@pytest.mark.parametrize(
    ("body", "kind", "inbox"),
    [
        ("<Response><Message>one</Message><Message>two</Message></Response>", "text/xml",
         ["one", "two"]),
        ("<Response><Message><Body>a</Body><Media>/cat.png</Media></Message></Response>",
         "application/xml", ["a"]),
        ("just words", "text/plain", ["just words"]),
        ("<Response/>", "text/xml", []),
        ("", "text/xml", []),
        ("{}", "application/json", []),
    ],
)  # fmt: skip
def test_the_reply_is_sent_to_the_person(
    box: Any, site: Any, page: Any, body: Any, kind: Any, inbox: Any
) -> None:
    site.pages["/in"] = page(body, type=kind)
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    texts = box.look(f"handsets/{PERSON}")["inbox"]
    assert sorted(text["body"] for text in texts) == inbox
    assert codes(box) == {"": ["11770"], "{}": ["12300"]}.get(body, [])
    rows = box.rest("GET", "Messages.json").json()["messages"]
    assert [row["direction"] for row in rows] == ["outbound-reply"] * len(inbox) + ["inbound"]
    if "Media" in body:
        assert texts[0]["media"] == [site.url + "/cat.png"]


def test_204_is_no_reply_and_no_error(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page(status=204, type=None)
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert codes(box) == []


def test_a_reply_reports_to_its_status_callback(box: Any, site: Any) -> None:
    site.answer("/in", "<Message action='/done?x=1'>ok</Message>")
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert [hook.fields["MessageStatus"] for hook in site.at("/done")] == ["sent", "delivered"]


def test_a_redirect_verb_is_followed_and_an_endless_one_is_stopped(box: Any, site: Any) -> None:
    site.answer("/in", "<Redirect method='GET'>/next</Redirect>")
    site.answer("/next", "<Message>there</Message>")
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert site.at("/next")[0].method == "GET"
    assert box.look(f"handsets/{PERSON}")["inbox"][0]["body"] == "there"
    site.answer("/next", "<Redirect>/next</Redirect>")
    box.text(PERSON, box.sender, "again")
    box.finish()
    assert codes(box) == ["14106"]


def test_more_than_ten_messages_and_more_than_fifteen_replies(box: Any, site: Any) -> None:
    site.answer("/in", "<Message>x</Message>" * 11)
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert codes(box) == ["14109"]
    assert len(box.rest("GET", "Messages.json").json()["messages"]) == 11
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert codes(box).count("14107") == 5


def test_what_a_reply_cannot_send_goes_to_the_debugger(box: Any, site: Any) -> None:
    site.answer("/in", "<Message to='x'>a</Message><Message from='+14155559999'>b</Message>")
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert codes(box) == ["14101", "14102"]


@pytest.mark.parametrize(
    ("setting", "code"),
    [({"status": 500}, "11200"), ({"body": "<Response>"}, "12100"),
     ({"body": "<Reply/>"}, "12102"), ({"type": None}, "12300"),
     ({"body": "<Response>" + "x" * 70_000 + "</Response>"}, "11750")],
)  # fmt: skip
def test_a_failed_document_goes_to_the_fallback(
    box: Any, site: Any, page: Any, setting: Any, code: Any
) -> None:
    site.pages["/in"] = page(**setting)
    site.answer("/fallback", "<Message>later</Message>")
    box.number(sms_url=site.url + "/in", sms_fallback_url=site.url + "/fallback")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    fields = site.at("/fallback")[0].fields
    assert (fields["ErrorCode"], fields["ErrorUrl"]) == (code, site.url + "/in")
    assert fields["Body"] == "hi"
    assert box.look(f"handsets/{PERSON}")["inbox"][0]["body"] == "later"
    assert codes(box) == [code]


def test_a_fallback_that_fails_is_the_end(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = site.pages["/fallback"] = page(status=500)
    box.number(sms_url=site.url + "/in", sms_fallback_url=site.url + "/fallback")
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert len(site.at("/fallback")) == 1
    assert codes(box) == ["11200", "11200"]


@pytest.mark.parametrize(
    ("status", "method", "kept"), [(302, "GET", False), (307, "POST", True), (308, "POST", True)]
)
def test_redirects_are_followed_as_a_browser_does(
    box: Any, site: Any, page: Any, status: Any, method: Any, kept: Any
) -> None:
    site.pages["/in"] = page("", status=status, headers={"Location": "/moved"})
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    hook = site.at("/moved")[0]
    assert hook.method == method
    assert ("Body" in hook.fields) == kept
    assert verified(box, hook, site.url + "/moved")


def test_a_redirect_loop_ends_after_ten_hops(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page("", status=302, headers={"Location": "/in"})
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert codes(box) == ["11215"]
    assert len(site.at("/in")) == 11


def test_credentials_in_the_url_are_sent_when_asked_for(box: Any, site: Any, page: Any) -> None:
    def guard(hook: Any) -> Any:
        if "Authorization" in hook.headers:
            return page()
        return page("", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    site.pages["/in"] = guard
    url = site.url.replace("http://", "http://me:secret@")
    box.number(sms_url=url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    first, second = site.at("/in")
    assert "Authorization" not in first.headers
    assert second.headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
    assert verified(box, second, site.url + "/in")
    assert codes(box) == []
    assert "secret" not in str(box.ledger("webhook"))


def test_cookies_come_back(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page(headers={"Set-Cookie": "seen=1; Path=/"})
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "one")
    box.text("+14155550177", box.sender, "other")
    box.run()
    box.text(PERSON, box.sender, "two")
    box.run()
    cookies = [(hook.fields["Body"], hook.headers.get("Cookie")) for hook in site.at("/in")]
    assert cookies == [("one", None), ("other", None), ("two", "seen=1")]


def test_overrides_in_the_fragment_are_honoured_and_dropped(box: Any, site: Any, page: Any) -> None:
    answers = iter([page(status=503), page(status=503), page()])
    site.pages["/in"] = lambda hook: next(answers)
    box.number(sms_url=site.url + "/in#rc=3&rp=5xx")
    box.text(PERSON, box.sender, "hi")
    box.run()
    hooks = site.at("/in")
    assert len(hooks) == 3
    assert len({hook.headers["I-Twilio-Idempotency-Token"] for hook in hooks}) == 1
    assert verified(box, hooks[0], site.url + "/in")
    assert codes(box) == []


def test_without_overrides_an_error_is_not_tried_again(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page(status=503)
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert len(site.at("/in")) == 1
    assert codes(box) == ["11200"]


def test_a_slow_reader_is_given_up(box: Any, site: Any, page: Any) -> None:
    held = threading.Event()
    site.pages["/in"] = lambda hook: (held.wait(5), page())[1]
    box.number(sms_url=site.url + "/in#rt=150&tt=2000")
    box.text(PERSON, box.sender, "hi")
    box.run()
    held.set()
    assert codes(box) == ["11200"]


def test_a_refused_connection_is_tried_twice(box: Any, site: Any) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port
        box.number(sms_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/in")
        box.text(PERSON, box.sender, "hi")
        box.run()
    assert codes(box) == ["11202"]


def test_a_host_that_does_not_exist(box: Any) -> None:
    box.number(sms_url="http://nowhere.invalid/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert codes(box) in (["11210"], ["11205"])


def test_a_status_callback_that_is_refused_is_a_warning(
    box: Any, client: Any, site: Any, page: Any
) -> None:
    site.pages["/s"] = page(status=403)
    client.messages.create(to=PERSON, from_=box.sender, body="x", status_callback=site.url + "/s")
    box.finish()
    rows = box.rest("GET", "Notifications.json").json()["notifications"]
    assert [(row["error_code"], row["log"]) for row in rows] == [("15003", "1")] * 2
    assert box.rest("GET", "Messages.json").json()["messages"][0]["status"] == "delivered"


@pytest.mark.parametrize("word", ["STOP", " stop ", "Unsubscribe", "optout"])
def test_stop_blocks_answers_and_still_reaches_the_webhook(
    box: Any, client: Any, site: Any, word: Any
) -> None:
    site.answer("/in", "<Message>But wait</Message>")
    box.number(sms_url=site.url + "/in")
    box.text(PERSON, box.sender, word)
    box.finish()
    fields = site.at("/in")[0].fields
    assert fields["Body"] == word
    assert "OptOutType" not in fields
    inbox = box.look(f"handsets/{PERSON}")
    assert [("unsubscribed" in text["body"]) for text in inbox["inbox"]] == [True]
    assert inbox["blocks"] == [box.sender]
    assert codes(box) == ["21610"]
    answer = box.rest("POST", "Messages.json", data={"To": PERSON, "From": box.sender, "Body": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, 21610)
    other = {"To": PERSON, "From": box.card["numbers"][1], "Body": "x"}
    assert box.rest("POST", "Messages.json", data=other).status_code == 201
    box.text(PERSON, box.sender, "start")
    box.finish()
    again = {"To": PERSON, "From": box.sender, "Body": "x"}
    assert box.rest("POST", "Messages.json", data=again).status_code == 201


def test_help_is_answered_and_a_sentence_is_no_stop(box: Any) -> None:
    box.text(PERSON, box.sender, "help")
    box.text(PERSON, box.sender, "please stop that")
    box.finish()
    phone = box.look(f"handsets/{PERSON}")
    assert len(phone["inbox"]) == 1
    assert phone["blocks"] == []


def test_advanced_opt_out_and_the_urls_of_a_service(box: Any, site: Any) -> None:
    service = box.card["service_sid"]
    box.control(
        f"services/{service}", inbound_request_url=site.url + "/service",
        use_inbound_webhook_on_number=False, advanced_opt_out=True,
    )  # fmt: skip
    box.text(PERSON, box.card["numbers"][1], "STOP")
    box.finish()
    fields = site.at("/service")[0].fields
    assert (fields["OptOutType"], fields["MessagingServiceSid"]) == ("STOP", service)
    fields = {"To": PERSON, "MessagingServiceSid": service, "Body": "x"}
    assert box.rest("POST", "Messages.json", data=fields).json()["code"] == 21610


def test_a_second_service_is_made_by_hand(box: Any, client: Any) -> None:
    made = box.control("services", senders=[box.card["numbers"][2]], friendly_name="Second")
    message = client.messages.create(to=PERSON, messaging_service_sid=made["sid"], body="x")
    box.finish()
    assert client.messages(message.sid).fetch().from_ == box.card["numbers"][2]
    assert len(box.look("services")["services"]) == 2


def test_two_of_our_numbers_can_text_each_other(box: Any, client: Any, site: Any) -> None:
    box.control(f"numbers/{box.card['numbers'][1]}", sms_url=site.url + "/second")
    client.messages.create(to=box.card["numbers"][1], from_=box.sender, body="psst")
    box.finish()
    assert site.at("/second")[0].fields["From"] == box.sender


def test_a_forced_status_is_reported(box: Any, client: Any, site: Any) -> None:
    box.control(f"handsets/{PERSON}", messages="silent")
    sid = client.messages.create(
        to=PERSON, from_=box.sender, body="x", status_callback=site.url + "/s"
    ).sid
    found = box.control(f"messages/{sid}/status", status="undelivered", error_code=30006)
    box.run()
    assert [step["status"] for step in found["history"]] == ["queued", "undelivered"]
    assert site.at("/s")[0].fields["ErrorCode"] == "30006"
    again = box.http.post(f"/_sim/messages/{sid}/status", json={"status": "sent"})
    assert again.status_code == 409


def test_digest_credentials_are_shown_when_asked_for(box: Any, site: Any, page: Any) -> None:
    import hashlib
    import re

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    def guard(hook: Any) -> Any:
        words = dict(re.findall(r'(\w+)="?([^",]+)"?', hook.headers.get("Authorization", "")))
        if words:
            first, second = md5("me:desk:secret"), md5("POST:/in")
            proof = f"{first}:n0nce:{words['nc']}:{words['cnonce']}:auth:{second}"
            return page(status=200 if words["response"] == md5(proof) else 403)
        challenge = 'Digest realm="desk", nonce="n0nce", qop="auth", opaque="x"'
        return page("", status=401, headers={"WWW-Authenticate": challenge})

    site.pages["/in"] = guard
    box.number(sms_url=site.url.replace("http://", "http://me:secret@") + "/in")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert len(site.at("/in")) == 2
    assert codes(box) == []


def test_a_get_document_is_kept_while_it_has_not_changed(
    box: Any, client: Any, site: Any, page: Any
) -> None:
    def document(hook: Any) -> Any:
        if hook.headers.get("If-None-Match") == '"1"':
            return page("", status=304)
        return page("<Response><Say>Kept</Say></Response>", headers={"ETag": '"1"'})

    site.pages["/say"] = document
    sids = []
    for _ in range(2):
        call = client.calls.create(
            to=PERSON, from_=box.sender, url=site.url + "/say?all=1", method="GET"
        )
        sids.append(call.sid)
        box.finish()
    heard = [box.look(f"calls/{sid}")["heard"][0]["text"] for sid in sids]
    assert heard == ["Kept", "Kept"]


def test_a_malformed_override_is_a_warning(box: Any, site: Any) -> None:
    box.number(sms_url=site.url + "/in#rc=99")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert len(site.at("/in")) == 1
    assert codes(box) == ["11321"]


def test_an_event_stream_gets_cloud_events_and_is_tried_again(
    box: Any, client: Any, site: Any, page: Any
) -> None:
    import json

    answers = iter([503, 503])
    site.pages["/events"] = lambda hook: page(status=next(answers, 200))
    box.control("webhooks", events_url=site.url + "/events")
    sid = client.messages.create(to=PERSON, from_=box.sender, body="x").sid
    box.text(PERSON, box.sender, "hello")
    box.finish()
    hooks = site.at("/events")
    assert len(hooks) == 5  # sent, delivered and the inbound one; two of them twice
    events = {hook.body: json.loads(hook.body)[0] for hook in hooks}.values()
    assert sorted(event["type"].rpartition("messaging.")[2] for event in events) == [
        "inbound-message.received", "message.delivered", "message.sent",
    ]  # fmt: skip
    sent = next(event for event in events if event["type"].endswith("message.sent"))
    assert (sent["data"]["messageSid"], sent["data"]["messageStatus"]) == (sid, "SENT")
    hook = hooks[0]
    assert hook.headers["Content-Type"] == "application/json"
    from hashlib import sha256

    url = f"{site.url}/events?bodySHA256={sha256(hook.body).hexdigest()}"
    check = RequestValidator(box.card["auth_token"])
    assert check.validate(url, hook.body.decode(), hook.headers["X-Twilio-Signature"])
