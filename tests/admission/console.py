"""A node that has lived, and its console as people of one role see it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from admission.node import Loaded, Node, settings_of
from admission.stories import OURS, PEOPLE, status, text
from ringback.config import Settings
from ringback.console.api.resource import PREFIX
from ringback.console.app import create_console
from ringback.console.identity import Identity, Role
from ringback.console.surroundings import Surroundings
from ringback.plugins.loader import PluginSet
from ringback.testing.assembly import ruleset_of

RULES = """version: 1
rules:
  - name: hours
    on: message.received
    if:
      - event.body.keyword('hours')
      - country(event.from) == 'GB'
    budget: {per_day: 50, segments_per_day: 90}
    do:
      - remember: {asked_for: "${{ event.body }}"}
      - reply: We are open from 9 to 5.
  - name: asks
    on: message.received
    if: event.body.keyword('book')
    do:
      - reply: For which day?
      - wait_for: {on: message.received, timeout: 7d}
      - reply: Noted.
  - name: dear
    on: message.received
    if: event.body.keyword('dear')
    do:
      - reply: |-
          We’re open from nine to five. Come in by the door of the old house behind the church.
  - name: nightly
    schedule: {cron: "0 3 * * *", tz: Europe/Berlin}
    do:
      - stop: nothing to do
  - name: broken
    on: message.received
    if: event.body.keyword('break')
    do:
      - reply: "${{ string(int(event.body)) }}"
  - name: draft
    state: draft
    on: message.received
    if: event.body.keyword('draft')
    do:
      - reply: May this go?
"""
EVER = "9000d"
BODIES = (
    "hours",
    "hello",
    "draft",
    "break",
    "dear",
    f"call me at {PEOPLE[1]} or 020 7183 8751",
    "book",
)
DIGITS = [who[3:] for who in PEOPLE]
"""What no masked answer may hold, however it is spelt."""


async def lived(folder: Path) -> None:
    """Three people text a node; two texts arrive, one does not; one person leaves."""
    (folder / "ringback.toml").write_text("total_per_day = 100\n")
    (folder / "rules").mkdir()
    (folder / "rules" / "all.yaml").write_text(RULES)
    ruleset, problems = ruleset_of(PluginSet(), folder / "rules")
    assert problems == []
    node = Node(settings_of(folder, {}), Loaded(ruleset, PluginSet()))
    await node.start({})
    for who in PEOPLE:
        for body in BODIES:
            await node.happen(text(body, who))
    for number, (word, code) in enumerate((("delivered", 0), ("delivered", 0), ("failed", 30003))):
        news = status(word, PEOPLE[number], code)
        sid = f"SM{1 + 2 * number:032x}"
        await node.happen(replace(news, fields={**news.fields, "MessageSid": sid}))
    await node.happen(text("STOP", PEOPLE[1]))
    await node.close()


async def nobody(message: Mapping[str, Any]) -> dict[str, Any]:
    """No worker, but for what is asked about plugins."""
    if message["op"] == "plugins":
        return {"plugins": [{"name": "menu", "state": "good", "rules": "menu", "path": "menu.py"}]}
    return {"error": "no worker"}


async def printed(words: Sequence[str]) -> tuple[int, str]:
    """What the commands print that the console runs."""
    rows: dict[str, dict[str, Any]] = {
        "doctor": {"check": "node", "state": "ok", "says": "runs", "mend": ""},
        "connect": {"sid": "PN1", "name": OURS, "account": "", "changes": []},
    }
    return 0, json.dumps(rows.get(words[0], {}))


class Api:
    """The API as people of one role see it: another person for each request, since each may ask so
    often and no more."""

    def __init__(self, project: Path | Settings, role: Role, *, unmasked: bool) -> None:
        who = (Identity(f"ada {n}", role, unmasked=unmasked) for n in count())
        settings = Settings.load(project, {}) if isinstance(project, Path) else project
        self.app = create_console(
            settings, Surroundings(nobody, nobody, printed), lambda _: next(who)
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=f"http://node{PREFIX}",
        )

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        self.app.state.console.conversations.close()
        self.app.state.console.reading.close()
