"""The flows of the manual on a node: what their cases send, a simulated Twilio receives."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from admission.node import Loaded, Node, settings_of
from admission.node import Twilio as TakesAll
from admission.stories import Happens
from ringback.action_kinds import is_message
from ringback.actions import Broadcast, HttpRequest, PlaceCall
from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.pool import Limits
from ringback.gateway.safe_http import Outbound
from ringback.hooks.reading import ID_FIELD, Facts
from ringback.json_data import JSON_FIELD
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.rules.files.yaml_tree import parse, read_source
from ringback.runtime import iso
from ringback.store.log import Entry
from ringback.store.operations.cards import Card
from ringback.store.operations.cards import _write as write_cards
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.testing import Bench
from ringback.testing.case_failures import Sent, Wished, outgoing, wished
from ringback.testing.cases import parse_moment
from ringback.testing.given import Given, Known
from ringback.worker.contacts.broadcast_work import BroadcastWork
from scenarios.test_http_answers import shop

PAGES = sorted((Path(__file__).parents[2] / "docs" / "flows").glob("[0-9]*.md"))
CASES = [
    pytest.param(page, number, id=f"{page.stem}-{number}")
    for page in PAGES
    for number in range(page.read_text("utf-8").partition("\ncases:")[2].count("\n  - name: "))
    if (page.stem, number) != ("06-one-time-code", 0)  # a node chooses another code than a bench
]
ANSWERED = ("call.received", "call.gathered", "call.recorded", "call.dialed")

pytestmark = pytest.mark.slow


class Flow:
    """One flow with a case of it, on a bench and on a node."""

    def __init__(self, page: Path, number: int, folder: Path, ours: str, port: int) -> None:
        (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        text = re.sub(r"https://\w+\.example\.org", f"http://127.0.0.1:{port}", text)
        self.path = folder / "rules.yaml"
        self.path.write_text(text.replace("+12025550100", ours))
        loaded = load_rules([self.path])
        assert loaded.problems == []
        self.loaded = Loaded(RuleSet(loaded.rules, loaded.language))
        tree: Any = parse(cast(Any, read_source(self.path, "rules.yaml")))
        case = tree.value["cases"].value[number]
        self.case: dict[str, Any] = case.plain()
        self.steps: list[Any] = case.value["given"].value
        self.given = Given(
            self.case.get("from", "+14155550123"), ours, loaded.rules, loaded.language.hooks or {}
        )

    def answers(self) -> list[tuple[int, str]]:
        """What web services answer in the case, in their order."""
        said = [each.plain()["http"] for each in self.steps if "http" in each.value]
        found = [answer(each) for each in said]
        return found if found and not found[-1][0] else [*found, (200, "")]


def answer(said: Any) -> tuple[int, str]:
    """An answer of a case as the service gives it; 0 breaks the connection."""
    if not isinstance(said, dict):
        return int(said), ""
    return (200, json.dumps(said["json"])) if "json" in said else (0, "")


def sent_by(actions: Iterable[Any]) -> Counter[tuple[str, str]]:
    """Texts by whom they are for and what they say, and calls by whom they are for."""
    return Counter(
        (each.to, masked(each.body) if is_message(each) else "call")
        for each in actions
        if is_message(each) or isinstance(each, PlaceCall)
    )


def masked(body: str) -> str:
    """A text without its code."""
    return re.sub(r"\b\d{6}\b", "######", body)


async def at_twilio(gateway: Gateway) -> Counter[tuple[str, str]]:
    """The same as the simulated Twilio lists it."""
    texts = [each async for each in gateway.messages.list()]
    calls = [each async for each in gateway.calls.list()]
    return Counter(
        [(one.to, masked(one.body or "")) for one in texts if one.direction == "outbound-api"]
        + [(str(one.to), "call") for one in calls if one.direction == "outbound-api"]
    )


async def tell(node: Node, event: Event) -> None:
    """Let an event of a case come to the node, as its receiver would record it."""
    account = node.settings.account_sid
    if event.type == "action.failed":
        return  # the node has its own
    if event.fields.get("Direction") == "outbound-api":
        await tell_of_ours(node, event)
    elif event.type == "rule.started":
        await node.engine.start(event)
        await node.wait(0.0)
    elif event.type.startswith("hook."):
        facts = Facts(event.fields[ID_FIELD], event.sender, event.recipient).written()
        route, body = event.type.replace(".", "/", 1), event.fields[JSON_FIELD].encode()
        sent = (facts, "application/json", body)
        await node.log.append(Entry(iso(node.now), route, "signed", "webhook", *sent))
        await node.wait(0.0)
    elif event.type in ANSWERED:
        fields = {**event.fields, "AccountSid": account}
        if event.type == "call.dialed":  # each call that was dialed has its own
            fields["DialCallSid"] = event.uid
        assert await node.hears(**fields)
        await node.wait(0.0)
    else:
        kind = event.type.partition(".")[0]
        route = "message" if event.type == "message.received" else f"{kind}/status"
        route = "call/step" if event.type == "call.transcribed" else route
        await node.happen(Happens(route, {**event.fields, "AccountSid": account}))


async def tell_of_ours(node: Node, event: Event) -> None:
    """Let something happen in the call of ours that was placed last."""
    last = "select remote_sid, params from actions where kind = 'place_call' order by id desc"
    sid, params = node.reader.execute(last).fetchone()
    fields = {**event.fields, "AccountSid": node.settings.account_sid, "CallSid": sid}
    tag = json.loads(params).get("step", "")
    if event.fields["CallStatus"] == "in-progress":
        tag = "" if event.type == "call.gathered" else tag
        assert await node.hears("call/step", tag, **fields)
    else:
        await node.record(Happens("call/status", fields), tag)
    await node.wait(0.0)


async def play(flow: Flow, node: Node) -> Counter[tuple[str, str]]:
    """Let the case happen on the node and on a bench; what the bench sends."""
    moment = parse_moment(flow.case["at"]) if "at" in flow.case else node.now
    node.time = moment.timestamp()
    bench = Bench(flow.loaded.ruleset, now=moment, settings=node.settings)
    made: list[Wished] = []
    sent: list[Sent] = []
    broadcasts = BroadcastWork(node.engine, node.runtime)
    found: Counter[tuple[str, str]] = Counter()
    event: Event | None = None
    for step in flow.steps:
        happens = flow.given.happens(step, bench.clock.now(), sent)
        if isinstance(happens, Known):
            bench.past.know(happens.number, happens.fields, happens.groups)
            card = Card(happens.number, dict(happens.fields), list(happens.groups))
            with closing(connect_writer(node.settings.data / "journal.db")) as journal:
                write_cards(journal, [card], "test", iso(node.now))
            continue
        if isinstance(happens, float):
            reactions = [bench.wait(happens)]
            await node.wait(happens)
        else:
            reactions = [bench.react(each) for each in happens]
            for each in happens:
                if not {"http", "broadcast_ends"} & {*step.value}:  # these come of themselves
                    await tell(node, each)
        for reaction in reactions:
            event = reaction.event or event
            made += wished(reaction, event)
            flow.given.asked += [
                one for one in reaction.sent if isinstance(one, HttpRequest) and one.answer
            ]
            begun = [each for each in reaction.actions if isinstance(each, Broadcast)]
            flow.given.broadcast = begun[-1] if begun else flow.given.broadcast
            found += Counter(
                (number, one.body)
                for one in begun
                for group, number in bench.past.members
                if one.to == f"groups.{group}"
            )
            if begun:
                await work(broadcasts, node)
            sent += outgoing(reaction, made)
            found += sent_by(reaction.sent)
    await node.wait(60.0)  # until what asks again has given up
    await work(broadcasts, node)
    return found


async def work(broadcasts: BroadcastWork, node: Node) -> None:
    """Let what is broadcast come to its end."""
    for _ in range(10):
        await broadcasts.turn()
        await node.wait(1.0)


@pytest.mark.parametrize(("page", "number"), CASES)
async def test_a_flow_sends_what_its_case_says(
    page: Path, number: int, twilio: dict[str, Any], tmp_path: Path
) -> None:
    """Each text and call of the case, once, and to members of a group what is broadcast."""
    access = Credentials.direct(
        twilio["account_sid"], twilio["auth_token"], base_url=twilio["base_url"]
    )
    async with shop((200, "")) as service, Gateway(access) as gateway:
        flow = Flow(page, number, tmp_path, twilio["numbers"][0], service.port)
        service.answers = flow.answers()
        before = await at_twilio(gateway)
        known = {
            "account_sid": twilio["account_sid"], "auth_tokens": (twilio["auth_token"],),
            "sender": twilio["numbers"][0], "public_url": "https://hooks.example.org",
        }  # fmt: skip
        outbound = Outbound(
            allow=[f"127.0.0.1:{service.port}"], limits=Limits(2.0, 2.0, 3.0, 65536)
        )
        node = Node(settings_of(tmp_path, known), flow.loaded, cast(TakesAll, gateway), outbound)
        await node.start({})
        expected = await play(flow, node)
        found = await at_twilio(gateway) - before
        await node.close()
    assert found == expected
