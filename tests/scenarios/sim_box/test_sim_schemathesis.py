"""Schemathesis against Twilio's OpenAPI document: all that it allows, and much that it does not.

No answer may be a 5xx, and none may lie outside the document: its status, its type, its fields.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 8
"""Cases of the fuzzing phase for each of the 72 operations; the coverage phase has its own."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

LINKS = {"uri", "first_page_uri", "next_page_uri", "previous_page_uri"}
"""The document says `format: uri` of them, and a URI has a scheme. But its own examples are
relative, e.g. `"first_page_uri": "/2010-04-01/Accounts/ACaaa…/Queues.json?PageSize=1&Page=0"`, and
so are Twilio's answers: the format is what is wrong. In every other field it is checked."""

REFUSAL = {
    "type": "object",
    "properties": {
        "code": {"type": "integer", "minimum": 10000},
        "message": {"type": "string", "minLength": 1},
        "more_info": {"type": "string", "format": "uri"},
        "status": {"type": "integer", "minimum": 400, "maximum": 499},
    },
    "required": ["code", "message", "more_info", "status"],
    "additionalProperties": False,
}
"""The document describes no errors at all; this is the body that Twilio documents elsewhere.
https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions"""

NUMBERS = ("+14155550100", "+12125550101")
PERSON, BUSY, NOBODY_LISTENS = "+14155550123", "+15005550031", "http://127.0.0.1:9"
SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
INSTEAD = {"To": PERSON, "PhoneNumber": "+14155550177"}
HELD = '<Response><Pause length="600"/></Response>'


def mend(document: dict[str, Any]) -> dict[str, Any]:
    """The document as it can be held against answers: links relative, errors described, closed."""

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                node.setdefault("additionalProperties", False)
                for name in LINKS & properties.keys():
                    properties[name].pop("format", None)
            for item in node.values():
                walk(item)

    walk(document["components"])
    for item in document["paths"].values():
        for operation in (item[name] for name in ("get", "post", "delete") if name in item):
            walk(operation["responses"])
            operation["responses"]["4XX"] = {
                "description": "refused",
                "content": {"application/json": {"schema": REFUSAL}},
            }
    return document


def teach_formats() -> None:
    """What the document's formats look like, so that cases get past the first check."""
    phones = st.sampled_from([*NUMBERS, PERSON, BUSY, "+15005553003", "whatsapp:" + PERSON])
    dates = st.dates().map(str) | st.sampled_from(["2026-02-09", "2026-02-10"])
    for name, strategy in {
        "uri": st.sampled_from(["/a", "/b?c=d&e=f", "/#rc=2"]).map(NOBODY_LISTENS.__add__),
        "phone-number": phones,
        "endpoint": phones | st.just("client:ann"),
        "http-method": st.sampled_from(["GET", "POST"]),
        "iso-country-code": st.sampled_from(["US", "GB"]),
        "date": dates,
        "date-time": dates.map(lambda day: day + "T20:30:00Z"),
        "twiml": st.sampled_from([HELD, "<Response><Say>hi</Say></Response>", "<Response>"]),
    }.items():
        schemathesis.openapi.format(name, strategy)


@dataclass
class Town:
    """A box full of things. Whatever a case changes is undone before the next one."""

    box: Any
    session: requests.Session
    made: list[str] = field(default_factory=list)
    places: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    sids: dict[str, str] = field(default_factory=dict)
    cases: int = 0
    good: Counter[str] = field(default_factory=Counter)

    def make(self, path: str, **fields: str) -> str:
        answer = self.box.rest("POST", path, data=fields)
        assert answer.status_code < 300, (path, answer.text)
        return str(answer.json()["sid"])

    def build(self) -> None:
        """Make one of everything. The same seed gives the same SIDs every time."""
        box, (ours, *_) = self.box, NUMBERS
        box.control("reset")
        app = self.make("Applications.json", FriendlyName="App")
        address = self.make(
            "Addresses.json", CustomerName="Ann", Street="1 Main St", City="Springfield",
            Region="IL", PostalCode="62701", IsoCountry="US",
        )  # fmt: skip
        text = self.make("Messages.json", To=PERSON, From=ours, Body="hi")
        later = self.make(
            "Messages.json", To=PERSON, Body="later", ScheduleType="fixed",
            MessagingServiceSid=box.card["service_sid"], SendAt="2026-02-10T20:00:00Z",
        )  # fmt: skip
        picture = box.text(PERSON, ours, "look", media=["https://a.test/1.png"])["sid"]
        engaged = self.make("Calls.json", To=BUSY, From=ours, Twiml=HELD)
        live, waiting, member = (
            self.make("Calls.json", To=PERSON, From=ours, Twiml=f"<Response>{verbs}</Response>")
            for verbs in (
                '<Nonsense/><Pause length="600"/>',
                "<Enqueue>desk</Enqueue>",
                "<Dial><Conference>team</Conference></Dial>",
            )
        )
        empty = self.make("Queues.json", FriendlyName="empty")
        box.run(20)
        tape = self.make(f"Calls/{live}/Recordings.json")
        made = [app, address, text, later, picture, engaged, live, waiting, member, empty, tape]
        if self.made:
            assert made == self.made
            return
        self.made = made

        def first(path: str, rows: str) -> str:
            return str(box.rest("GET", path).json()[rows][0]["sid"])

        queue = first("Queues.json", "queues")
        conference = first("Conferences.json", "conferences")
        notice = first(f"Calls/{live}/Notifications.json", "notifications")
        media = first(f"Messages/{picture}/Media.json", "media_list")
        number = first("IncomingPhoneNumbers.json", "incoming_phone_numbers")
        self.places = {
            "/Addresses/{Sid}": [{"Sid": address}],
            "/Applications/{Sid}": [{"Sid": app}],
            "/Calls/{Sid}": [{"Sid": sid} for sid in (live, engaged, waiting, member)],
            "/Calls/{CallSid}": [{"CallSid": live}],
            "/Calls/{CallSid}/Notifications/{Sid}": [{"CallSid": live, "Sid": notice}],
            "/Calls/{CallSid}/Recordings/{Sid}": [{"CallSid": live, "Sid": tape}],
            "/Conferences/{Sid}": [{"Sid": conference}],
            "/Conferences/{ConferenceSid}": [{"ConferenceSid": conference}],
            "/Conferences/{ConferenceSid}/Participants/{CallSid}": [
                {"ConferenceSid": conference, "CallSid": member}
            ],
            "/IncomingPhoneNumbers/{Sid}": [{"Sid": number}],
            "/Messages/{Sid}": [{"Sid": sid} for sid in (text, later, picture)],
            "/Messages/{MessageSid}": [{"MessageSid": sid} for sid in (picture, text)],
            "/Messages/{MessageSid}/Media/{Sid}": [{"MessageSid": picture, "Sid": media}],
            "/Notifications/{Sid}": [{"Sid": notice}],
            "/Queues/{Sid}": [{"Sid": sid} for sid in (queue, empty)],
            "/Queues/{QueueSid}": [{"QueueSid": queue}],
            "/Queues/{QueueSid}/Members/{CallSid}": [
                {"QueueSid": queue, "CallSid": sid} for sid in (waiting, "Front")
            ],
            "/Recordings/{Sid}": [{"Sid": tape}],
        }
        account, service = box.card["account_sid"], box.card["service_sid"]
        self.sids = {sid[:2]: sid for sid in (account, service, app, address, live, number)}

    def lead(self, case: Any) -> None:
        """Send a case to what is there. One in sixteen goes on to nowhere, as it was drawn."""
        parts = (case.path_parameters, case.query, case.body)
        drawn = crc32(repr([part for part in parts if isinstance(part, dict)]).encode())
        if drawn % 16 == 0:
            return
        part = case.meta and case.meta.components.get(ParameterLocation.PATH)
        if case.path_parameters and not (part and part.mode.is_negative):
            place = case.path.removesuffix(".json").partition("/{AccountSid}")[2]
            while place and place not in self.places:
                place = place.rpartition("/")[0]
            rows = self.places.get(place, [{}])
            whose = "AccountSid" if "{AccountSid}" in case.path else "Sid"
            case.path_parameters.update({whose: self.sids["AC"], **rows[drawn // 16 % len(rows)]})
        for fields in (case.query, case.body):
            for name, value in fields.items() if isinstance(fields, dict) else ():
                if isinstance(value, str) and SID.fullmatch(value):
                    fields[name] = self.sids.get(value[:2], value)
                elif value == NUMBERS[0] and name in INSTEAD:
                    fields[name] = INSTEAD[name]

    def ask(self, case: Any) -> None:
        """One case, and what became of what it made when that has lived for a while."""
        response = case.call(self.box.base, session=self.session, allow_redirects=False)
        self.cases += 1
        if 400 <= response.status_code < 500:
            # Also where schemathesis does not look: at methods that the document does not name.
            jsonschema.validate(response.json(), REFUSAL)
        try:
            case.validate_response(response, CHECKS)
            if response.status_code < 300:
                self.good[case.operation.label] += 1
                if case.method != "GET":
                    self.live_on(response.json()["uri"] if case.method == "POST" else "")
        finally:
            if case.method != "GET" and not 400 <= response.status_code < 500:
                self.build()

    def live_on(self, link: str) -> None:
        self.box.run(30)
        broken = [row["text"] for row in self.box.ledger("note") if "broke" in row["text"]]
        assert not broken, broken
        if link:
            auth = (self.box.card["account_sid"], self.box.card["auth_token"])
            answer = self.box.http.get(link, auth=auth)
            assert answer.status_code < 500, (link, answer.text)
            path = link.partition("?")[0]
            self.box.auditor.check("GET", path, answer.status_code, answer.text)


@pytest.fixture
def document() -> dict[str, Any]:
    """The subset of the document that stands beside the whole one."""
    name = os.environ.get("RINGBACK_TWILIO_OPENAPI")
    if not name:
        pytest.skip("RINGBACK_TWILIO_OPENAPI names no copy of Twilio's OpenAPI document")
    subset = Path(name).with_name("twilio_api_v2010_subset.json")
    if not subset.is_file():
        pytest.skip(f"there is no {subset}")
    return mend(json.loads(subset.read_text()))


@pytest.fixture(scope="module")
def town(stepped: Any) -> Iterator[Town]:
    with requests.Session() as session:
        session.auth = (stepped.card["account_sid"], stepped.card["auth_token"])
        found = Town(stepped, session)
        found.build()
        yield found


@pytest.fixture
def api(request: Any, document: Any) -> schemathesis.BaseSchema:
    """What schemathesis asks about. A fixture, so that nothing is drawn when this does not run."""
    # Schemathesis reads this private name, which pytest has no longer from 9.2 on.
    request.node._nodeid = request.node.nodeid
    teach_formats()
    config = schemathesis.Config.from_dict({
        "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none"},
    })  # fmt: skip
    return schemathesis.openapi.from_dict(document, config=config)


cases = schemathesis.pytest.from_fixture("api")


@pytest.mark.slow
@pytest.mark.timeout(600)
@cases.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_the_box_keeps_to_the_document(case: Any, town: Any) -> None:
    town.lead(case)
    town.ask(case)


@pytest.mark.slow
def test_every_operation_was_carried_out(document: Any, town: Any) -> None:
    """The cases of the test above were no mere row of refusals."""
    if not town.cases:
        pytest.skip("this judges the run of the test above, which was left out")
    operations = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in ("get", "post", "delete")
        if method in item
    }
    print(f"{town.cases} cases, {town.good.total()} carried out")
    assert operations - town.good.keys() == set()
    assert town.good.total() > town.cases / 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"do": "error", "status": 500, "created": True},
        {"do": "error", "status": 418, "body": "teapot", "content_type": "text/plain"},
        {"do": "redirect", "status": 302},
        {"do": "malform", "how": "html"},
        {"do": "malform", "how": "bad_sid"},
    ],
    ids=str,
)
def test_an_answer_outside_the_document_is_noticed(api: Any, town: Any, fault: Any) -> None:
    operation = api["/2010-04-01/Accounts/{AccountSid}/Queues.json"]["POST"]
    case = operation.Case(
        path_parameters={"AccountSid": town.sids["AC"]},
        body={"FriendlyName": "a"},
        media_type="application/x-www-form-urlencoded",
    )
    town.build()
    town.ask(case)
    town.box.fault("queues.create", **fault)
    with pytest.raises((FailureGroup, ValueError)):
        town.ask(case)
    town.build()
