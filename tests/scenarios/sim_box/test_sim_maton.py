"""Maton's gateway in front of the API: keys, connections, its errors, its rate, its OAuth page."""

from typing import Any

import httpx
import pytest
from twilio.rest import Client

PERSON = "+14155550123"


def through(box: Any, method: str, path: str, key: str = "", **kwargs: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or box.card['maton_api_key']}"}
    headers |= kwargs.pop("headers", {})
    return box.http.request(method, f"/twilio{box.account}/{path}", headers=headers, **kwargs)


def control(box: Any, method: str, path: str = "", **kwargs: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {box.card['maton_api_key']}"}
    return box.http.request(method, f"/connections{path}", headers=headers, **kwargs)


def test_a_key_opens_the_same_account(box: Any, client: Client) -> None:
    fields = {"To": PERSON, "From": box.sender, "Body": "x"}
    made = through(box, "POST", "Messages.json", data=fields)
    assert made.status_code == 201
    data = made.json()
    assert data["uri"].startswith("/2010-04-01/")  # links are not rewritten
    assert client.messages(data["sid"]).fetch().body == "x"
    entry = box.ledger("request")[0]
    assert entry["through"] == "maton"
    assert made.headers["twilio-request-id"] == entry["id"]


@pytest.mark.parametrize("key", ["wrong", "Bearer"])
def test_a_wrong_key_is_the_gateways_own_401(box: Any, key: Any) -> None:
    answer = through(box, "GET", "Messages.json", key)
    assert answer.status_code == 401
    assert "code" not in answer.json()
    assert "twilio-request-id" not in answer.headers


def test_twilios_credentials_do_not_open_the_gateway(box: Any) -> None:
    auth = (box.card["account_sid"], box.card["auth_token"])
    assert box.http.get(f"/twilio{box.account}/Messages.json", auth=auth).status_code == 401


def test_twilios_own_errors_pass_through(box: Any) -> None:
    answer = through(box, "GET", "Messages/SM0.json")
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_another_app_is_unknown(box: Any) -> None:
    assert box.http.get("/twilio/v1/Services").status_code == 404
    assert box.http.get("/slack/api").status_code == 404


def test_more_than_ten_a_second_are_refused(box: Any) -> None:
    box.control("plan", "PUT", maton={"rate": 10})
    statuses = [through(box, "GET", "Balance.json").status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    assert "code" not in through(box, "GET", "Balance.json").json()
    box.run(1.1)
    assert through(box, "GET", "Balance.json").status_code == 200


@pytest.mark.slow
def test_the_rate_holds_by_itself_in_real_time(make_box: Any) -> None:
    box = make_box()
    statuses = [through(box, "GET", "Balance.json").status_code for _ in range(11)]
    assert statuses.count(429) >= 1


def test_without_a_connection_it_is_400(box: Any) -> None:
    assert control(box, "DELETE", f"/{box.card['connection_id']}").status_code == 200
    answer = through(box, "GET", "Messages.json")
    assert answer.status_code == 400
    assert "code" not in answer.json()


def test_a_named_connection_must_be_active(box: Any) -> None:
    headers = {"Maton-Connection": "nobody"}
    assert through(box, "GET", "Balance.json", headers=headers).status_code == 400
    headers = {"Maton-Connection": box.card["connection_id"]}
    assert through(box, "GET", "Balance.json", headers=headers).status_code == 200


def test_an_expired_grant_is_a_500_until_it_is_given_again(box: Any) -> None:
    name = box.card["connection_id"]
    box.control(f"connections/{name}", status="EXPIRED")
    answer = through(box, "GET", "Balance.json")
    assert answer.status_code == 500
    assert "code" not in answer.json()
    assert control(box, "GET", f"/{name}").json()["connection"]["status"] == "ACTIVE"
    box.control(f"connections/{name}", status="ACTIVE")
    assert through(box, "GET", "Balance.json").status_code == 200


def test_a_connection_is_made_granted_and_dropped(box: Any) -> None:
    made = control(box, "POST", json={"app": "twilio"})
    assert made.status_code == 201
    pending = made.json()["connection"]
    assert pending["status"] == "PENDING"
    assert set(pending) >= {
        "connection_id", "status", "creation_time", "last_updated_time", "url", "app", "metadata",
    }  # fmt: skip
    assert pending["creation_time"].endswith("Z")
    name = pending["connection_id"]
    headers = {"Maton-Connection": name}
    assert through(box, "GET", "Balance.json", headers=headers).status_code == 400
    page = httpx.get(pending["url"])
    assert "PENDING" in page.text
    assert httpx.post(pending["url"]).status_code == 200
    assert control(box, "GET", f"/{name}").json()["connection"]["status"] == "ACTIVE"
    assert through(box, "GET", "Balance.json", headers=headers).status_code == 200
    listed = control(box, "GET", "?app=twilio&status=ACTIVE").json()["connections"]
    assert [item["connection_id"] for item in listed] == [box.card["connection_id"], name]
    assert control(box, "DELETE", f"/{name}").status_code == 200
    assert control(box, "GET", f"/{name}").status_code == 404
    assert control(box, "GET", "?app=slack").json() == {"connections": []}


def test_a_denied_connection_fails(box: Any) -> None:
    pending = control(box, "POST", json={"app": "twilio"}).json()["connection"]
    httpx.post(pending["url"] + "&deny=1")
    found = control(box, "GET", f"/{pending['connection_id']}").json()["connection"]
    assert found["status"] == "FAILED"
    assert httpx.get(box.base + "/connect?session_token=guess").status_code == 404


def test_without_a_name_the_oldest_active_connection_is_used(box: Any) -> None:
    control(box, "POST", json={"app": "twilio"})
    assert through(box, "GET", "Balance.json").status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b'{"app":"slack"}', b"{"])
def test_a_wrong_request_for_a_connection_is_400(box: Any, body: Any) -> None:
    assert control(box, "POST", content=body).status_code == 400


def test_the_control_plane_wants_the_key(box: Any) -> None:
    assert box.http.get("/connections").status_code == 401
    assert control(box, "GET", "?status=asleep").status_code == 400
