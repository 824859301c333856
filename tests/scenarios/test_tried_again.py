"""Texts that failed and are tried again, with the real worker and the plugin `retry_failed`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from admission.node import Loaded, Node, Twilio, settings_of
from admission.stories import OURS, PEOPLE, Happens, text
from ringback.gateway.transport import Reply
from ringback.plugins.loader import load_plugins
from ringback.testing.assembly import ruleset_of
from ringback.twilio.rest import Request

PLUGIN = Path(__file__).parents[2] / "plugins" / "retry_failed.py"
RULES = "rules:\n- {name: news, on: message.received, do: [{reply: Hello.}]}\n"
STATES = "select state, reason from actions where rule = 'retry_failed.on_settled' order by id"


class Asked(Twilio):
    """Twilio, which keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, str]] = []

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        self.requests.append(dict(request.form))
        return await super().perform(request)


async def begun(folder: Path, **config: Any) -> tuple[Node, Asked]:
    """A node with one rule, whose texts are tried again."""
    for name in ("rules", "plugins"):
        (folder / name).mkdir()
    (folder / "plugins" / PLUGIN.name).write_text(PLUGIN.read_text("utf-8"))
    (folder / "rules" / "r.yaml").write_text(RULES)
    plugins = load_plugins(
        folder / "plugins", config={"retry_failed": {"rules": ["news"], **config}}
    )
    assert plugins.problems == []
    ruleset, problems = ruleset_of(plugins, folder / "rules")
    assert problems == []
    twilio = Asked()
    node = Node(settings_of(folder, {}), Loaded(ruleset, plugins), twilio)
    await node.start({})
    return node, twilio


async def fails(node: Node, number: int, code: int) -> None:
    """The end of a text of ours, and what plugins make of it."""
    fields = {
        "MessageSid": f"SM{number:032x}", "From": OURS, "To": PEOPLE[0],
        "MessageStatus": "undelivered", "ErrorCode": str(code),
    }  # fmt: skip
    await node.happen(Happens("message/status", fields))
    await node.engine.hooks.shutdown()
    await node.happen()


async def test_a_text_that_the_carrier_lost_leaves_once_more_half_an_hour_later(
    tmp_path: Path,
) -> None:
    node, twilio = await begun(tmp_path, tries=3)
    await node.happen(text("hi"))
    await fails(node, 1, 30008)
    ((state, reason),) = node.reader.execute(STATES)
    assert (state, reason[:19]) == ("deferred", "it is to leave at 2")
    await node.wait(1790.0)
    assert len(twilio.requests) == 1
    await node.wait(20.0)
    assert [each["Body"] for each in twilio.requests] == ["Hello.", "Hello."]
    await fails(node, 2, 30008)  # a repeat may reach the person twice: there is no second one
    await node.wait(7200.0)
    assert len(twilio.requests) == 2
    await node.close()


@pytest.mark.slow
async def test_who_leaves_meanwhile_gets_none(tmp_path: Path) -> None:
    node, twilio = await begun(tmp_path)
    await node.happen(text("hi"))
    await fails(node, 1, 30008)
    await node.happen(text("STOP"))
    before = len(twilio.requests)
    await node.wait(7200.0)
    assert len(twilio.requests) == before
    assert [row[0] for row in node.reader.execute(STATES)] == ["refused"]
    await node.close()


async def test_a_landline_is_called_at_once(tmp_path: Path) -> None:
    node, twilio = await begun(tmp_path, channels=["sms", "call"])
    await node.happen(text("hi"))
    await fails(node, 1, 30006)
    assert "Hello." in twilio.requests[1]["Twiml"]
    await node.close()
