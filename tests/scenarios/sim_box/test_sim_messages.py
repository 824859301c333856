"""Messages through the official client: create, read, change, page, filter, refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

PERSON = "+14155550123"


def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        call()
    return caught.value.status, caught.value.code


def test_a_text_lives_from_queued_to_delivered(box: Any, client: Client, site: Any) -> None:
    callback = site.url + "/status/tag"
    message = client.messages.create(
        to=PERSON, from_=box.sender, body="Hello", status_callback=callback
    )
    assert (message.status, message.direction) == ("queued", "outbound-api")
    assert (message.num_segments, message.num_media) == ("1", "0")
    assert message.date_sent is None
    assert message.price is None
    box.finish()
    seen = client.messages(message.sid).fetch()
    assert seen.status == "delivered"
    assert seen.date_sent is not None
    assert seen.price is None
    box.run(60)
    assert client.messages(message.sid).fetch().price == "-0.00790"
    assert [hook.fields["MessageStatus"] for hook in site.at("/status/tag")] == [
        "sent",
        "delivered",
    ]
    assert box.look(f"handsets/{PERSON}")["inbox"][0]["body"] == "Hello"


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("+15005530003", "undelivered", 30003),
        ("+15005530007", "undelivered", 30007),
        ("+15005530001", "failed", 30001),
        ("+15005550021", "sent", None),
        ("+15005550022", "read", None),
    ],
)
def test_the_number_says_how_a_text_ends(
    box: Any, client: Any, number: Any, status: Any, code: Any
) -> None:
    message = client.messages.create(to=number, from_=box.sender, body="x")
    box.finish()
    seen = client.messages(message.sid).fetch()
    assert (seen.status, seen.error_code) == (status, code)


def test_a_handset_says_how_a_text_ends(box: Any, client: Any, site: Any) -> None:
    box.control(f"handsets/{PERSON}", messages="undelivered:30005")
    client.messages.create(to=PERSON, from_=box.sender, body="x", status_callback=site.url + "/s")
    box.finish()
    last = site.at("/s")[-1].fields
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30005")


def test_a_silent_phone_leaves_the_text_queued_for_ever(box: Any, client: Any, site: Any) -> None:
    box.control(f"handsets/{PERSON}", messages="silent")
    message = client.messages.create(
        to=PERSON, from_=box.sender, body="x", status_callback=site.url + "/s"
    )
    box.finish()
    assert client.messages(message.sid).fetch().status == "queued"
    assert not site.at("/s")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "", "body": "x"}, 21604),
        ({"to": PERSON, "from_": "", "body": "x"}, 21603),
        ({"to": PERSON}, 21602),
        ({"to": " 14155550123", "body": "x"}, 21211),
        ({"to": "nobody", "body": "x"}, 21211),
        ({"to": PERSON, "from_": "+1415555010x", "body": "x"}, 21212),
        ({"to": PERSON, "body": "x" * 1601}, 21617),
        ({"to": PERSON, "body": "x", "media_url": ["http://a.test/x.png"] * 11}, 21623),
        ({"to": PERSON, "body": "x", "media_url": ["ftp://a.test/x.png"]}, 21620),
        ({"to": PERSON, "body": "x", "status_callback": "http://a_b.test/"}, 21609),
        ({"to": PERSON, "body": "x", "status_callback": "/relative"}, 21609),
        ({"to": PERSON, "body": "x", "validity_period": 36001}, 21624),
        ({"to": PERSON, "from_": "+14155559999", "body": "x"}, 21606),
        ({"to": "whatsapp:" + PERSON, "body": "x"}, 21910),
        ({"to": "+15005550001", "body": "x"}, 21211),
        ({"to": "+15005550002", "body": "x"}, 21612),
        ({"to": "+15005550003", "body": "x"}, 21408),
        ({"to": "+15005550004", "body": "x"}, 21610),
        ({"to": "+15005550009", "body": "x"}, 21614),
        ({"to": PERSON, "from_": "+15005550001", "body": "x"}, 21212),
        ({"to": PERSON, "from_": "+15005550007", "body": "x"}, 21606),
        ({"to": PERSON, "from_": "+15005550008", "body": "x"}, 21611),
        ({"to": PERSON, "messaging_service_sid": "MG" + "0" * 32, "body": "x"}, 21701),
        ({"to": PERSON, "application_sid": "AP" + "0" * 32, "body": "x"}, 21218),
    ],
)
def test_what_twilio_would_refuse_is_refused_with_its_code(
    box: Any, client: Any, fields: Any, code: Any
) -> None:
    fields = {"from_": box.sender, **fields}
    if fields.get("messaging_service_sid"):
        del fields["from_"]
    status, found = refusal(lambda: client.messages.create(**fields))
    assert (status, found) == (400, code)
    assert not box.ledger("created")[5:]  # the furniture of a new box, and nothing else


def test_an_error_body_is_twilios(box: Any) -> None:
    answer = box.rest("POST", "Messages.json", data={"To": "x"})
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 21603,
        "message": "A 'From' phone number is required.",
        "more_info": "https://www.twilio.com/docs/errors/21603",
        "status": 400,
    }


def test_a_bare_plus_is_a_space(box: Any) -> None:
    answer = box.rest(
        "POST",
        "Messages.json",
        content=f"To=+14155550123&From={box.sender.replace('+', '%2B')}&Body=x",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["code"] == 21211


def test_a_list_pages_by_token_newest_first(box: Any, client: Any) -> None:
    sids = [
        client.messages.create(to=f"+1415555{n:04d}", from_=box.sender, body=str(n)).sid
        for n in range(7)
    ]
    assert [row.sid for row in client.messages.list(page_size=3)] == sids[::-1]
    first = client.messages.page(page_size=3)
    client.messages.create(to=PERSON, from_=box.sender, body="late")
    second = first.next_page()
    assert [row.sid for row in second] == sids[3:0:-1]
    assert [row.sid for row in second.previous_page()] == sids[:3:-1]
    third = second.next_page()
    assert [row.sid for row in third] == sids[:1]
    assert third.next_page() is None


def test_a_page_token_outlives_its_message(box: Any, client: Any) -> None:
    sids = [client.messages.create(to=PERSON, from_=box.sender, body=str(n)).sid for n in range(4)]
    box.finish()
    page = client.messages.page(page_size=2)
    client.messages(sids[2]).delete()
    assert [row.sid for row in page.next_page()] == [sids[1], sids[0]]


def test_page_alone_pages_as_the_gateway_s_guide_does(box: Any, client: Any) -> None:
    sids = [client.messages.create(to=PERSON, from_=box.sender, body=str(n)).sid for n in range(5)]

    def page(number: int) -> dict[str, Any]:
        answer: dict[str, Any] = box.rest("GET", f"Messages.json?PageSize=2&Page={number}").json()
        return answer

    pages = [page(number) for number in range(4)]
    assert [[row["sid"] for row in each["messages"]] for each in pages] == [
        sids[:2:-1], sids[2:0:-1], sids[:1], [],
    ]  # fmt: skip
    assert [each["page"] for each in pages] == [0, 1, 2, 3]
    assert [each["next_page_uri"] is None for each in pages] == [False, False, True, True]
    assert "Page=0" in pages[1]["previous_page_uri"]
    [last] = box.rest("GET", pages[1]["next_page_uri"].rpartition("/")[2]).json()["messages"]
    assert last["sid"] == sids[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda message: message.delete(), "Cannot delete message in state SENT"),
        (lambda message: message.update(body=""), "Cannot redact message in state SENT"),
    ],
    ids=["delete", "redact"],
)
def test_what_is_only_sent_is_neither_redacted_nor_deleted(
    box: Any, client: Any, change: Any, words: str
) -> None:
    waits = client.messages.create(to="+15005550021", from_=box.sender, body="a")
    box.finish()
    assert client.messages(waits.sid).fetch().status == "sent"
    with pytest.raises(TwilioRestException) as caught:
        change(client.messages(waits.sid))
    assert (caught.value.status, caught.value.code) == (409, 20009)
    assert words in caught.value.msg


@pytest.mark.parametrize(
    ("query", "code"),
    [("PageSize=1001", 20007), ("PageToken=PAnonsense", 21481), ("PageToken=x", 21481),
     ("PageSize=0", 20001), ("DateSent=yesterday", 20001)],
)  # fmt: skip
def test_a_bad_page_is_refused(box: Any, query: Any, code: Any) -> None:
    answer = box.rest("GET", f"Messages.json?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_list_filters_by_to_from_and_date(box: Any, client: Any) -> None:
    here = client.messages.create(to=PERSON, from_=box.sender, body="a")
    box.finish()
    box.run(2 * 86_400)
    there = client.messages.create(to="+14155550177", from_=box.card["numbers"][1], body="b")
    box.finish()
    day = client.messages(there.sid).fetch().date_sent

    def sids(**query: Any) -> list[str]:
        return [row.sid for row in client.messages.list(**query)]

    assert sids(to=PERSON) == [here.sid]
    assert sids(from_=box.card["numbers"][1]) == [there.sid]
    assert sids(date_sent_after=day.date()) == [there.sid]
    assert sids(date_sent_before=day.date() - timedelta(days=1)) == [here.sid]
    assert sids(date_sent=day.date()) == [there.sid]
    assert sids(date_sent_after=day + timedelta(seconds=5)) == []
    assert sids(date_sent_before=datetime(2020, 1, 1, tzinfo=UTC)) == []


def test_a_finished_text_is_redacted_and_deleted(box: Any, client: Any) -> None:
    message = client.messages.create(to=PERSON, from_=box.sender, body="secret")
    assert refusal(lambda: client.messages(message.sid).delete()) == (409, 20009)
    assert refusal(lambda: client.messages(message.sid).update(body="")) == (409, 20009)
    box.finish()
    assert client.messages(message.sid).update(body="").body == ""
    assert refusal(lambda: client.messages(message.sid).update(body="more")) == (400, 30400)
    assert refusal(lambda: client.messages(message.sid).update(status="canceled")) == (409, 30409)
    assert client.messages(message.sid).delete()
    assert refusal(lambda: client.messages(message.sid).delete()) == (404, 20404)
    assert refusal(lambda: client.messages(message.sid).fetch()) == (404, 20404)


def test_a_scheduled_text_waits_and_can_be_canceled(box: Any, client: Any, site: Any) -> None:
    service = box.card["service_sid"]
    now = datetime(2026, 2, 9, 20, 0, tzinfo=UTC)

    def schedule(minutes: float) -> str:
        return client.messages.create(
            to=PERSON, messaging_service_sid=service, body="later", schedule_type="fixed",
            send_at=now + timedelta(minutes=minutes), status_callback=site.url + "/s",
        ).sid  # fmt: skip

    first, second = schedule(20), schedule(20)
    assert client.messages(first).fetch().status == "scheduled"
    assert client.messages(second).update(status="canceled").status == "canceled"
    box.run(19 * 60)
    assert client.messages(first).fetch().status == "scheduled"
    box.run(2 * 60)
    assert client.messages(first).fetch().status == "delivered"
    assert client.messages(second).fetch().status == "canceled"
    assert [hook.fields["MessageStatus"] for hook in site.at("/s")] == [
        "canceled", "queued", "sent", "delivered",
    ]  # fmt: skip
    assert refusal(lambda: schedule(10))[1] == 20422
    assert refusal(lambda: schedule(60 * 24 * 36))[1] == 20422


def test_a_service_accepts_and_picks_a_sender(box: Any, client: Any, site: Any) -> None:
    message = client.messages.create(
        to=PERSON, messaging_service_sid=box.card["service_sid"], body="x",
        status_callback=site.url + "/s",
    )  # fmt: skip
    assert (message.status, message.from_, message.num_segments) == ("accepted", None, "0")
    box.finish()
    assert client.messages(message.sid).fetch().from_ == box.card["numbers"][1]
    hooks = site.at("/s")
    assert [hook.fields["MessageStatus"] for hook in hooks] == ["queued", "sent", "delivered"]
    assert hooks[0].fields["MessagingServiceSid"] == box.card["service_sid"]


def test_a_service_in_from_is_taken_as_the_guide_shows(box: Any, client: Any) -> None:
    message = client.messages.create(to=PERSON, from_=box.card["service_sid"], body="x")
    assert message.messaging_service_sid == box.card["service_sid"]


def test_media_hang_on_a_message(box: Any, client: Any) -> None:
    message = client.messages.create(
        to=PERSON, from_=box.sender, media_url=["https://a.test/x.png", "https://a.test/y.pdf"]
    )
    assert message.sid.startswith("MM")
    assert message.num_media == "2"
    items = client.messages(message.sid).media.list()
    assert [item.content_type for item in items] == ["image/png", "application/pdf"]
    item = client.messages(message.sid).media(items[0].sid)
    assert item.fetch().parent_sid == message.sid
    raw = box.rest("GET", f"Messages/{message.sid}/Media/{items[0].sid}")
    assert (raw.headers["content-type"], raw.content[:4]) == ("image/png", b"\x89PNG")
    assert item.delete()
    assert refusal(item.fetch) == (404, 20404)
    assert len(client.messages(message.sid).media.list()) == 1


def test_feedback_is_taken(box: Any, client: Any) -> None:
    message = client.messages.create(to=PERSON, from_=box.sender, body="x")
    found = client.messages(message.sid).feedback.create(outcome="unconfirmed")
    assert (found.message_sid, found.outcome) == (message.sid, "unconfirmed")


def test_a_sender_sends_one_segment_per_second(box: Any, client: Any, site: Any) -> None:
    for number in range(4):
        client.messages.create(
            to=f"+1415555{number:04d}", from_=box.sender, body="x" * 161,
            status_callback=site.url + "/s",
        )  # fmt: skip
    box.run(1.3)
    sent = [hook for hook in site.at("/s") if hook.fields["MessageStatus"] == "sent"]
    assert len(sent) == 1  # two segments at one a second: the next may leave at 2 s
    box.run(2)
    sent = [hook for hook in site.at("/s") if hook.fields["MessageStatus"] == "sent"]
    assert len(sent) == 2


def test_a_full_queue_is_refused_and_validity_runs_out(box: Any, client: Any) -> None:
    box.control("plan", "PUT", messaging={"rates": {"default": 0.0001}})
    for _ in range(4):
        client.messages.create(to=PERSON, from_=box.sender, body="x")
    short = client.messages.create(
        to=PERSON, from_=box.card["numbers"][1], body="x", validity_period=36_000
    )
    late = client.messages.create(
        to=PERSON, from_=box.card["numbers"][1], body="x", validity_period=60
    )
    assert refusal(lambda: client.messages.create(to=PERSON, from_=box.sender, body="x")) == (
        429,
        21611,
    )
    box.run(61)
    assert client.messages(late.sid).fetch().error_code == 30036
    assert client.messages(short.sid).fetch().status == "delivered"


def test_smart_encoding_keeps_a_text_in_gsm(box: Any, client: Any) -> None:
    text = "“" + "x" * 100 + "”"
    plain = client.messages.create(to=PERSON, from_=box.sender, body=text)
    smart = client.messages.create(to=PERSON, from_=box.sender, body=text, smart_encoded=True)
    assert (plain.num_segments, smart.num_segments) == ("2", "1")
    assert smart.body.startswith('"x')


def test_whatsapp_is_free_only_after_the_person_wrote(box: Any, client: Any, site: Any) -> None:
    ours, theirs = f"whatsapp:{box.sender}", f"whatsapp:{PERSON}"
    first = client.messages.create(to=theirs, from_=ours, body="x")
    box.finish()
    seen = client.messages(first.sid).fetch()
    assert (seen.status, seen.error_code) == ("failed", 63016)
    box.number(sms_url=site.url + "/in")
    box.text(theirs, ours, "hello")
    box.run()
    fields = site.at("/in")[0].fields
    assert (fields["WaId"], fields["MessageType"]) == ("14155550123", "text")
    assert "FromCity" not in fields
    second = client.messages.create(
        to=theirs, from_=ours, body="x", status_callback=site.url + "/s"
    )
    box.finish()
    assert client.messages(second.sid).fetch().status == "delivered"
    assert site.at("/s")[-1].fields["ChannelPrefix"] == "whatsapp"


def test_a_template_needs_a_sid_and_variables_of_texts(box: Any, client: Any) -> None:
    fields = {"to": PERSON, "from_": box.sender}
    good = client.messages.create(
        **fields, content_sid="HX" + "0" * 32, content_variables='{"1": "Ann"}'
    )
    assert good.status == "queued"
    assert refusal(lambda: client.messages.create(**fields, content_sid="HX1")) == (400, 21655)
    for variables in ("[1]", "{", '{"1": 2}'):
        assert refusal(
            lambda variables=variables: client.messages.create(
                **fields, content_sid="HX" + "0" * 32, content_variables=variables
            )
        ) == (400, 21656)
