"""Resources other than messages and calls, through the official client."""

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

URL = "https://a.test/hook"


def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        call()
    return caught.value.status, caught.value.code


def test_accounts_are_read_made_and_closed(box: Any, client: Client) -> None:
    me = client.api.accounts(box.card["account_sid"]).fetch()
    assert (me.status, me.type, me.owner_account_sid) == ("active", "Full", me.sid)
    assert me.auth_token == box.card["auth_token"]
    sub = client.api.accounts.create(friendly_name="Branch")
    assert sub.owner_account_sid == me.sid
    assert sub.sid != me.sid
    assert [row.sid for row in client.api.accounts.list()] == [sub.sid, me.sid]
    assert [row.sid for row in client.api.accounts.list(friendly_name="Branch")] == [sub.sid]
    changed = client.api.accounts(sub.sid).update(friendly_name="Closed", status="closed")
    assert (changed.friendly_name, changed.status) == ("Closed", "closed")
    assert client.api.accounts.list(status="closed")[0].sid == sub.sid
    assert refusal(lambda: client.api.accounts(sub.sid).update(status="active")) == (400, 20005)
    assert refusal(lambda: client.api.accounts(me.sid).update(status="suspended"))[0] == 403
    assert refusal(lambda: client.api.accounts("AC" + "0" * 32).fetch()) == (404, 20404)


def test_a_sub_account_has_its_own_token_and_its_own_records(box: Any, client: Any) -> None:
    sub = client.api.accounts.create(friendly_name="Branch")
    client.incoming_phone_numbers.list()[0].update(account_sid=sub.sid)
    http = box.http
    path = f"/2010-04-01/Accounts/{sub.sid}/IncomingPhoneNumbers.json"
    own = http.get(path, auth=(sub.sid, sub.auth_token))
    assert len(own.json()["incoming_phone_numbers"]) == 1
    assert http.get(path, auth=(box.card["account_sid"], box.card["auth_token"])).status_code == 200
    foreign = http.get(f"{box.account}/Messages.json", auth=(sub.sid, sub.auth_token))
    assert (foreign.status_code, foreign.json()["code"]) == (404, 20404)


def test_a_blank_word_leaves_a_number_as_it_is(box: Any, client: Client) -> None:
    """A URL can be taken away; a mode cannot be none, and the document has no null for it."""
    number = client.incoming_phone_numbers.list()[0].update(
        voice_receive_mode="fax", emergency_status="Active", sms_url=URL
    )
    changed = number.update(voice_receive_mode="", emergency_status="", sms_url="")
    assert (changed.voice_receive_mode, changed.emergency_status) == ("fax", "Active")
    assert not changed.sms_url


@pytest.mark.parametrize("auth", [None, ("AC" + "0" * 32, "x"), ("bad", "bad")])
def test_wrong_credentials_are_401(box: Any, auth: Any) -> None:
    answer = box.http.get(f"{box.account}/Messages.json", auth=auth)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert "basic" in answer.headers["www-authenticate"].lower()


def test_an_api_key_works_but_reads_no_accounts(box: Any) -> None:
    auth = (box.card["api_key"], box.card["api_secret"])
    assert box.http.get(f"{box.account}/Messages.json", auth=auth).status_code == 200
    answer = box.http.get("/2010-04-01/Accounts.json", auth=auth)
    assert (answer.status_code, answer.json()["code"]) == (403, 20006)


@pytest.mark.parametrize("path", ["Messages/a%0Ab.json", "%0A.json", "Queues/%0D%0A/Members.json"])
def test_a_line_break_in_a_path_is_a_resource_that_is_not_there(box: Any, path: Any) -> None:
    answer = box.rest("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_numbers_are_bought_pointed_found_and_released(box: Any, client: Any) -> None:
    numbers = client.incoming_phone_numbers
    assert [row.phone_number for row in numbers.list()] == box.card["numbers"][::-1]
    bought = numbers.create(phone_number="+14155551234", sms_url=URL, friendly_name="Desk")
    assert (bought.sms_url, bought.friendly_name) == (URL, "Desk")
    assert bought.capabilities["sms"] is True
    assert numbers.create(area_code="510").phone_number.startswith("+1510")
    changed = numbers(bought.sid).update(voice_url=URL, voice_method="GET", sms_url="")
    assert (changed.voice_url, changed.voice_method, changed.sms_url) == (URL, "GET", None)
    assert [row.sid for row in numbers.list(phone_number="5551234")] == [bought.sid]
    assert [row.sid for row in numbers.list(phone_number="+1415*1234")] == [bought.sid]
    assert [row.sid for row in numbers.list(friendly_name="Desk")] == [bought.sid]
    assert numbers.list(origin="hosted") == []
    assert numbers(bought.sid).delete()
    assert refusal(lambda: numbers(bought.sid).fetch()) == (404, 20404)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 21401),
        ({"phone_number": "123"}, 21421),
        ({"phone_number": "+14155550100"}, 21422),
        ({"area_code": "5x0"}, 21451),
        ({"phone_number": "+14155551234", "sms_url": "nowhere"}, 21402),
        ({"phone_number": "+14155551234", "sms_method": "PUT"}, 21403),
        ({"phone_number": "+14155551234", "voice_fallback_url": URL}, 21405),
        ({"phone_number": "+14155551234", "sms_fallback_url": URL}, 21406),
        ({"phone_number": "+14155551234", "friendly_name": "x" * 65}, 20002),
        ({"phone_number": "+14155551234", "sms_application_sid": "AP" + "0" * 32}, 21420),
        ({"phone_number": "+14155551234", "sms_application_sid": "AP0"}, 20423),
    ],
)
def test_bad_numbers_are_refused(box: Any, client: Any, fields: Any, code: Any) -> None:
    assert refusal(lambda: client.incoming_phone_numbers.create(**fields)) == (400, code)


def test_an_application_stands_above_the_urls_of_its_numbers(
    box: Any, client: Any, site: Any
) -> None:
    app = client.applications.create(
        friendly_name="Main", sms_url=site.url + "/app", message_status_callback=site.url + "/st"
    )
    number = client.incoming_phone_numbers.list(phone_number=box.sender)[0]
    number.update(sms_application_sid=app.sid, sms_url=site.url + "/number")
    box.text("+14155550123", box.sender, "hi")
    client.messages.create(to="+14155550123", from_=box.sender, body="x", application_sid=app.sid)
    box.finish()
    assert len(site.at("/app")) == 1
    assert not site.at("/number")
    assert len(site.at("/st")) == 2
    assert client.applications(app.sid).update(sms_url=URL).sms_url == URL
    assert client.applications.list(friendly_name="Main")[0].sid == app.sid
    assert client.applications.list(friendly_name="Other") == []
    assert client.applications(app.sid).delete()
    assert number.fetch().sms_application_sid is None
    assert refusal(lambda: client.applications(app.sid).fetch()) == (404, 20404)


def test_addresses(box: Any, client: Any) -> None:
    fields = {
        "customer_name": "Ann", "street": "1 Main St", "city": "Springfield", "region": "IL",
        "postal_code": "62701", "iso_country": "US",
    }  # fmt: skip
    made = client.addresses.create(**fields, friendly_name="Office")
    assert (made.iso_country, made.validated, made.verified) == ("US", False, False)
    assert client.addresses(made.sid).update(city="Shelbyville").city == "Shelbyville"
    assert client.addresses.list(customer_name="Ann", iso_country="US")[0].sid == made.sid
    assert client.addresses.list(friendly_name="Home") == []
    for name in fields:
        broken = {**fields, name: ""}
        assert refusal(lambda broken=broken: client.addresses.create(**broken))[0] == 400
    assert refusal(lambda: client.addresses.create(**{**fields, "street": "Invalid Road"})) == (
        400,
        21628,
    )
    assert client.addresses(made.sid).delete()
    assert client.addresses.list() == []


def test_usage_counts_what_was_done(box: Any, client: Any) -> None:
    client.messages.create(to="+14155550123", from_=box.sender, body="x" * 200)
    box.text("+14155550123", box.sender, "hi")
    box.finish()
    rows = {row.category: row for row in client.usage.records.list()}
    assert (rows["sms"].count, rows["sms"].usage) == ("2", "3")
    assert rows["sms-inbound"].count == "1"
    assert rows["phonenumbers"].count == "3"
    assert float(rows["totalprice"].price) > 0
    for view in ("all_time", "daily", "last_month", "monthly", "this_month", "today", "yearly",
                 "yesterday"):  # fmt: skip
        found = getattr(client.usage.records, view).list(category="sms")
        wanted = "0" if view in ("last_month", "yesterday") else "2"
        assert [row.count for row in found] == [wanted], view
    box.run(3 * 86_400)
    daily = client.usage.records.daily.list(category="sms")
    assert [row.count for row in daily] == ["0", "0", "0", "2"]
    assert client.usage.records.list(category="sms", start_date="2026-02-10")[0].count == "0"
    offset = box.rest("GET", "Usage/Records.json?Category=sms&StartDate=-1days").json()
    assert offset["usage_records"][0]["start_date"] == "2026-02-11"
    assert box.rest("GET", "Usage/Records.json?StartDate=soon").json()["code"] == 20001


def test_the_balance_goes_down(box: Any, client: Any) -> None:
    before = client.balance.fetch()
    assert before.currency == "USD"
    client.messages.create(to="+14155550123", from_=box.sender, body="x")
    box.finish()
    assert float(client.balance.fetch().balance) < float(before.balance)


def test_failed_webhooks_become_notifications_and_reach_the_debugger(
    box: Any, client: Any, site: Any, page: Any
) -> None:
    box.control("webhooks", debugger_url=site.url + "/debugger")
    site.pages["/in"] = page(status=500)
    box.number(sms_url=site.url + "/in")
    message = box.text("+14155550123", box.sender, "hi")
    box.finish()
    rows = client.api.account.notifications.list()
    assert [(row.error_code, row.log) for row in rows] == [("11200", "0")]
    single = client.api.account.notifications(rows[0].sid).fetch()
    assert "MessageSid=" + message["sid"] in single.request_variables
    assert client.api.account.notifications.list(log=1) == []
    hook = site.at("/debugger")[0].fields
    assert (hook["Level"], hook["Sid"]) == ("Error", rows[0].sid)
    assert '"error_code": "11200"' in hook["Payload"]


def test_a_failing_debugger_is_not_reported_of_itself(
    box: Any, client: Any, site: Any, page: Any
) -> None:
    site.pages["/debugger"] = page(status=500)
    site.pages["/in"] = page(status=500)
    box.control("webhooks", debugger_url=site.url + "/debugger")
    box.number(sms_url=site.url + "/in")
    box.text("+14155550123", box.sender, "hi")
    box.finish()
    assert len(site.at("/debugger")) == 1
    assert len(client.api.account.notifications.list()) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "Nothing.json", 404, 20404),
        ("DELETE", "Messages.json", 405, 20004),
        ("PUT", "Calls.json", 405, 20004),
        ("OPTIONS", "Calls.json", 405, 20004),
        ("TRACE", "Calls.json", 405, 20004),
        ("QUERY", "Calls.json", 405, 20004),
        ("GET", "Queues/support.json", 404, 20404),
        ("GET", "Messages/SM0.json", 404, 20404),
    ],
)
def test_strange_requests_get_twilios_errors(
    box: Any, method: Any, path: Any, status: Any, code: Any
) -> None:
    answer = box.rest(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_without_json_the_answer_is_xml(box: Any, client: Any) -> None:
    sid = client.messages.create(to="+14155550123", from_=box.sender, body="<&>").sid
    answer = box.rest("GET", f"Messages/{sid}")
    assert answer.headers["content-type"].startswith("application/xml")
    assert "<Body>&lt;&amp;&gt;</Body>" in answer.text
    assert "<TwilioResponse><Messages " in box.rest("GET", "Messages").text
    assert "<RestException><Code>20404</Code>" in box.rest("GET", "Messages/SM0").text


def test_a_body_in_a_coding_is_refused_as_the_receiver_does(box: Any) -> None:
    """Neither Twilio's API nor the simulator's own undoes one."""
    form = {"To": "+14155550123", "From": box.sender, "Body": "hi"}
    answer = box.rest("POST", "Messages.json", data=form, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    plain = box.rest("POST", "Messages.json", data=form, headers={"Content-Encoding": "identity"})
    assert plain.status_code == 201
    answer = box.http.post(
        "/_sim/numbers/+14155550100", json={}, headers={"Content-Encoding": "br"}
    )
    assert answer.status_code == 415


def test_a_huge_body_is_refused_before_it_is_read(box: Any) -> None:
    answer = box.rest("POST", "Messages.json", content=b"x" * (300 * 1024))
    assert (answer.status_code, answer.json()["code"]) == (413, 20413)
    many = "&".join(f"a{n}=b" for n in range(1000))
    answer = box.rest(
        "POST", "Messages.json", content=many,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert answer.status_code == 400


def test_numbers_are_searched_and_bought_by_kind(box: Any, client: Any) -> None:
    countries = {row.country_code: row for row in client.available_phone_numbers.list()}
    assert {"US", "GB"} <= countries.keys()
    assert set(countries["US"].subresource_uris) == {"local", "toll_free"}
    american = client.available_phone_numbers("US")
    assert american.fetch().country == "United States"
    assert [row.region for row in american.local.list(in_region="NY", limit=2)] == ["NY", "NY"]
    [found] = american.local.list(area_code=415, contains="*0100", limit=1) or [None]
    assert found is None  # one of ours already
    [free] = american.local.list(area_code=510, sms_enabled=True, limit=1)
    assert free.phone_number.startswith("+1510555")
    assert american.local.list(fax_enabled=True) == []
    bought = client.incoming_phone_numbers.local.create(phone_number=free.phone_number)
    assert client.incoming_phone_numbers.local.list()[0].sid == bought.sid
    assert free.phone_number not in [row.phone_number for row in american.local.list(area_code=510)]
    [toll_free] = client.incoming_phone_numbers.toll_free.list()
    assert toll_free.phone_number == "+18885550102"
    [mobile] = client.available_phone_numbers("GB").mobile.list(limit=1)
    assert client.incoming_phone_numbers.mobile.list() == []
    client.incoming_phone_numbers.mobile.create(phone_number=mobile.phone_number)
    assert len(client.incoming_phone_numbers.mobile.list()) == 1
    wrong = lambda: client.incoming_phone_numbers.mobile.create(phone_number="+14155550177")  # noqa: E731
    assert refusal(wrong) == (400, 21421)
    assert box.rest("GET", "AvailablePhoneNumbers/US/Mobile.json").json()["code"] == 20404
    assert refusal(lambda: client.available_phone_numbers("XX").fetch()) == (404, 20404)


def test_a_caller_id_is_verified_by_a_call_and_may_then_be_shown(
    box: Any, client: Any, site: Any
) -> None:
    person, unreachable = "+14155550188", "+15005550032"

    def place() -> Any:
        return client.calls.create(to="+14155550123", from_=person, twiml="<Response/>")

    assert refusal(place) == (400, 21210)
    asked = client.validation_requests.create(
        phone_number=person, friendly_name="Ann", status_callback=site.url + "/verified"
    )
    assert len(asked.validation_code) == 6
    assert client.outgoing_caller_ids.list() == []
    box.finish()
    [known] = client.outgoing_caller_ids.list(phone_number=person)
    assert (known.friendly_name, known.phone_number) == ("Ann", person)
    [hook] = site.at("/verified")
    assert hook.fields["VerificationStatus"] == "success"
    assert hook.fields["OutgoingCallerIdSid"] == known.sid
    assert place()._from == person
    assert known.update(friendly_name="Ann B").friendly_name == "Ann B"
    client.validation_requests.create(phone_number=unreachable)
    box.finish()
    assert [row.sid for row in client.outgoing_caller_ids.list()] == [known.sid]
    again = lambda: client.validation_requests.create(phone_number=person)  # noqa: E731
    assert refusal(again) == (400, 21450)
    assert known.delete()
    assert refusal(place) == (400, 21210)


def test_transcriptions_are_listed_read_and_dropped(box: Any, client: Any, site: Any) -> None:
    site.answer("/twiml", "<Record transcribe='true' action='/done'/>")
    client.incoming_phone_numbers.list(phone_number=box.sender)[0].update(
        voice_url=site.url + "/twiml"
    )
    box.control("calls", from_="+14155550123", to=box.sender, say="A table for two " * 5)
    box.finish()
    [recording] = client.recordings.list()
    [row] = client.transcriptions.list()
    assert (row.status, row.recording_sid) == ("completed", recording.sid)
    assert row.transcription_text.startswith("A table for two")
    of_recording = client.recordings(recording.sid).transcriptions
    assert [each.sid for each in of_recording.list()] == [row.sid]
    assert client.recordings(recording.sid).transcriptions(row.sid).fetch().sid == row.sid
    assert client.transcriptions(row.sid).delete()
    assert client.transcriptions.list() == []
    assert refusal(lambda: client.transcriptions(row.sid).fetch()) == (404, 20404)


def test_the_index_of_usage_leads_to_its_records(box: Any) -> None:
    found = box.rest("GET", "Usage.json").json()
    assert found["account_sid"] == box.card["account_sid"]
    records = found["subresource_uris"]["records"]
    assert box.rest("GET", records.partition("/Accounts/")[2].partition("/")[2]).status_code == 200


def test_services_beside_a_call_are_started_and_stopped_over_rest(
    box: Any, client: Any, site: Any
) -> None:
    call = client.calls.create(
        to="+14155550123", from_=box.sender, twiml="<Response><Pause length='99'/></Response>"
    )
    box.run(20)
    live = client.calls(call.sid)
    words = live.transcriptions.create(
        name="t", status_callback_url=site.url + "/words", track="inbound_track"
    )
    tape = live.siprec.create(name="s", status_callback=site.url + "/tape")
    stream = live.streams.create(url="wss://a.test/x", status_callback=site.url + "/stream")
    assert [row.status for row in (words, tape, stream)] == ["in-progress"] * 3
    assert [row.sid[:2] for row in (words, tape, stream)] == ["GT", "SR", "MZ"]
    box.control(f"calls/{call.sid}/say", text="good day")
    box.run(5)
    assert live.transcriptions("t").update(status="stopped").status == "stopped"
    assert live.siprec(tape.sid).update(status="stopped").status == "stopped"
    assert live.streams(stream.sid).update(status="stopped").status == "stopped"
    again = lambda: live.siprec(tape.sid).update(status="stopped")  # noqa: E731
    assert refusal(again) == (400, 21220)
    assert refusal(lambda: live.streams("MZ" + "0" * 32).update(status="stopped")) == (404, 20404)
    box.run(1)
    assert [hook.fields["TranscriptionEvent"] for hook in site.at("/words")] == [
        "transcription-started", "transcription-content", "transcription-stopped",
    ]  # fmt: skip
    assert [hook.fields["SiprecEvent"] for hook in site.at("/tape")] == [
        "siprec-started", "siprec-stopped",
    ]  # fmt: skip
    assert [hook.fields["StreamEvent"] for hook in site.at("/stream")] == [
        "stream-started", "stream-stopped",
    ]  # fmt: skip
