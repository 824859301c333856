"""Answers to web requests that runs wait for: a real server, a real worker, and its deaths."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from admission.compare import Seen, on_node
from admission.node import Loaded, Node, settings_of
from admission.stories import PEOPLE, text
from ringback.actions import HttpRequest
from ringback.config import Settings
from ringback.gateway.pool import Limits
from ringback.gateway.safe_http import Outbound
from ringback.gateway.web_credentials import WebCredentials
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.store.log import LogReader
from ringback.store.replays import answers
from ringback.testing import Bench, http_answer, incoming_call, sms
from ringback.testing.backtest import Backtest, recorded

ANN = PEOPLE[0]


@dataclass
class Shop:
    """A web service: what it answers next, and what it was asked."""

    answers: list[tuple[int, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; status 0 breaks the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next((line for line in head.lower().split("\r\n") if "content-length" in line), ":0")
        body = await reader.readexactly(int(size.partition(":")[2]))
        self.asked.append(head + body.decode())
        status, said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status:
            raw = said.encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-length: {len(raw)}\r\n"
                "connection: close\r\n\r\n".encode()
                + raw
            )
        writer.close()


@asynccontextmanager
async def shop(*answers: tuple[int, str]) -> AsyncIterator[Shop]:
    """A shop that answers these, one after the other, and the last again and again."""
    found = Shop(list(answers))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def rules(port: int, more: str = "", state: str = "live") -> str:
    return f"""
rules:
  - name: order
    on: [message.received, call.received]
    state: {state}
    do:
      - http:
          url: http://127.0.0.1:{port}/${{{{ event.body }}}}
          as: order
          timeout: 30s
          {more}
          else: [{{notify: "none: ${{{{ order.status }}}} ${{{{ order.ok }}}}"}}]
      - notify: "${{{{ order.status }}}} ${{{{ order.ok }}}} ${{{{ order.text }}}}"
      - choose:
          - if: order.json.state == 'sent'
            do: [{{notify: "${{{{ vars.order.json.n + 1 }}}} sent"}}]
"""


def node_of(
    folder: Path, written: str, port: int, credentials: dict[str, Any] | None = None
) -> Node:
    (folder / "rules.yaml").write_text(written)
    loaded = load_rules([folder / "rules.yaml"])
    assert loaded.problems == []
    project = Loaded(RuleSet(loaded.rules, loaded.language), PluginSet())
    outbound = Outbound(allow=[f"127.0.0.1:{port}"], limits=Limits(2.0, 2.0, 3.0, 65536))
    secrets = WebCredentials(credentials)
    return Node(settings_of(folder, {}), project, outbound=outbound, credentials=secrets)


async def told(node: Node) -> list[str]:
    """What was told, in order."""
    seen: Seen = on_node(node)
    lines = [line for each in seen.actions.values() for line in each]
    return [
        line.partition(" ")[2].partition(" | ")[0] for line in lines if line.startswith("notify")
    ]


SENT = json.dumps({"state": "sent", "n": 4})


async def test_the_answer_of_a_service_is_known_to_the_steps_behind(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        node = node_of(tmp_path, rules(service.port), service.port)
        await node.start({})
        await node.happen(text("7"))
        assert await told(node) == [f"200 true {SENT}", "5 sent"]
        (asked,) = service.asked
        await node.close()
    assert asked.startswith("POST /7 HTTP/1.1\r\n")
    assert "Idempotency-Key: act_" in asked


@pytest.mark.parametrize(
    ("answers", "more", "asked", "lines"),
    [
        ([(404, "no")], "", 1, ["404 false no"]),
        ([(503, "x"), (0, ""), (200, "ok")], "retries: 2", 3, ["200 true ok"]),
        ([(503, "x")], "retries: 1", 2, ["503 false x"]),
        ([(0, "")], "retries: 1", 2, ["none: 0 false", "0 false "]),
        ([(200, "x" * 40_000)], "", 1, ["none: 0 false", "0 false "]),
        ([(200, "x" * 70_000)], "", 1, ["none: 0 false", "0 false "]),
    ],
)
async def test_what_comes_of_an_answer(
    answers: list[tuple[int, str]], more: str, asked: int, lines: list[str], tmp_path: Path
) -> None:
    """Any status is an answer; what may pass is asked again as often as the rule says; what is too
    long, and no answer at all, leads to `else`."""
    async with shop(*answers) as service:
        node = node_of(tmp_path, rules(service.port, more), service.port)
        await node.start({})
        await node.happen(text("7"))
        await node.wait(25.0)
        assert await told(node) == lines
        assert len(service.asked) == asked
        await node.close()


@pytest.mark.parametrize("dies", ["before it is asked", "while it is asked", "with the answer"])
async def test_a_worker_that_dies_goes_on_with_the_answer(dies: str, tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        written = rules(service.port)
        node = node_of(tmp_path, written, service.port)
        await node.start({})
        node.engine.sender.paused = dies == "before it is asked"
        await node.record(text("7"))
        await node.engine._match()
        await node.engine.queue.idle()
        if dies == "while it is asked":
            for task in [*node.engine.sender._tasks]:
                task.cancel()
            await asyncio.gather(*node.engine.sender._tasks, return_exceptions=True)
        await node.close()
        again = node_of(tmp_path, written, service.port)
        again.time = node.time
        await again.start({})
        await again.wait(0.0)
        await again.engine.settler.step()
        await again.wait(1.0)
        assert await told(again) == [f"200 true {SENT}", "5 sent"]
        await again.close()


async def test_credentials_leave_with_the_request_and_are_in_nothing_that_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in the answer of a service that repeats them. A redirect is not followed."""
    async with shop((302, "you sent canary-secret")) as service:
        table = {"host": f"127.0.0.1:{service.port}", "token": "canary-secret"}
        node = node_of(tmp_path, rules(service.port, "auth: shop"), service.port, {"shop": table})
        await node.start({})
        await node.happen(text("7"))
        assert await told(node) == ["302 false you sent ***"]
        (asked,) = service.asked
        assert "Authorization: Bearer canary-secret" in asked
        await node.close()
    for path in node.settings.data.iterdir():
        assert b"canary-secret" not in path.read_bytes()
    assert "canary-secret" not in caplog.text


async def test_credentials_of_another_host_stay_here(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        table = {"host": "shop.example.org", "token": "canary-secret"}
        node = node_of(tmp_path, rules(service.port, "auth: shop"), service.port, {"shop": table})
        await node.start({})
        await node.happen(text("7"))
        assert await told(node) == ["none: 0 false", "0 false "]
        assert service.asked == []
        await node.close()


async def test_no_answer_comes_of_what_may_not_leave(tmp_path: Path) -> None:
    """At once, and not after its time: the budget of the rule is used up by the first request."""
    async with shop((200, SENT)) as service:
        written = rules(service.port).replace("    do:", "    budget: {per_day: 1}\n    do:", 1)
        node = node_of(tmp_path, written, service.port)
        await node.start({})
        await node.happen(text("7"))
        await node.happen(text("8", PEOPLE[1]))
        assert await told(node) == [f"200 true {SENT}", "5 sent", "none: 0 false", "0 false "]
        assert len(service.asked) == 1
        await node.close()


async def test_a_rule_in_shadow_asks_nobody_and_goes_on(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        node = node_of(tmp_path, rules(service.port, state="shadow"), service.port)
        await node.start({})
        await node.happen(text("7"))
        assert await told(node) == ["none: 0 false", "0 false "]
        assert service.asked == []
        await node.close()


async def test_a_draft_asks_after_a_yes(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        node = node_of(tmp_path, rules(service.port, state="draft"), service.port)
        await node.start({})
        await node.happen(text("7"))
        await node.wait(60.0)
        assert service.asked == []
        assert await told(node) == []
        await node.close()


async def test_a_caller_is_kept_on_the_line_until_the_answer_is_there(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        say = "    do:\n      - say: One moment."
        written = rules(service.port).replace("    do:", say, 1) + '      - say: "It is sent."\n'
        node = node_of(tmp_path, written, service.port)
        await node.start({})
        heard = await node.hears(
            CallSid="CA" + "5" * 32, From=ANN, To="+12025550100", Direction="inbound",
            CallStatus="ringing",
        )  # fmt: skip
        assert '<Say>One moment.</Say><Pause length="45" />' in heard
        await node.wait(1.0)
        rows = node.reader.execute("select params, state from actions where kind = 'answer_call'")
        (_, (params, state)) = rows.fetchall()
        assert "It is sent." in params
        assert state == "settled"
        await node.close()


async def test_a_backtest_has_the_answers_on_record(tmp_path: Path) -> None:
    async with shop((200, SENT)) as service:
        node = node_of(tmp_path, rules(service.port), service.port)
        await node.start({})
        await node.happen(text("7"))
        await node.close()
    data, ruleset = node.settings.data, node.engine.loaded.ruleset
    for known, last in ((answers(data), "5 sent"), ({}, "0 false ")):
        test = Backtest(ruleset, settings=node.settings, answers=known)
        with closing(LogReader(data / "log.db")) as log:
            for event in recorded(log):
                test.feed(event)
        assert test.report().made[-1].action.text == last  # type: ignore[union-attr]


def test_a_bench_is_told_what_a_service_answers(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rules(80))
    bench = Bench.load(path, settings=Settings(project=tmp_path))
    (request,) = bench.react(sms("7")).actions
    assert isinstance(request, HttpRequest)
    found = bench.react(http_answer(request, json={"state": "sent", "n": 1}))
    assert found.actions[-1].text == "2 sent"  # type: ignore[union-attr]
    (request,) = bench.react(sms("8")).actions
    found = bench.react(http_answer(request, fails="no route"))
    assert found.actions[0].text == "none: 0 false"  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nothing waits for an answer"):
        http_answer(HttpRequest("https://e.org"))


def test_on_a_bench_a_caller_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(rules(80))
    bench = Bench.load(path)
    kept, request = sorted(bench.react(incoming_call()).actions, key=lambda each: each.kind)
    assert kept.kind == "answer_call"
    assert isinstance(request, HttpRequest)
    assert bench.waiting == 1
