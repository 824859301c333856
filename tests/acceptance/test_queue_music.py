"""Wait documents of a queue: a real node answers the simulated telephone network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MUSIC = "https://s3.amazonaws.com/com.twilio.sounds.music/MARKOVICHAMP-Borghestral.mp3"
CALLER = "+14155550188"


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [True, False], ids=["call_queue", "bare"])
def test_a_waiting_caller_hears_music(
    make_node: Callable[..., Any], box: Any, plugin: bool
) -> None:
    """With the plugin the place in the line and music, again and again; without it Twilio's own
    music. Nobody waits in silence."""
    files = {"rules/calls.yaml": (ROOT / "rules" / "calls.yaml").read_text()}
    if plugin:
        files["plugins/call_queue.py"] = (ROOT / "plugins" / "call_queue.py").read_text()
    node = make_node(files).start()
    node.wait_ready()
    call = box.http.post("/_sim/calls", json={"from": CALLER, "to": box.facts["numbers"][0]})
    sid = call.raise_for_status().json()["sid"]

    def heard() -> list[tuple[str, str]]:
        seen = box.http.get(f"/_sim/calls/{sid}").raise_for_status().json()["heard"]
        return [(each["kind"], each["text"]) for each in seen]

    greeting, *waiting = node.until(
        lambda: found if len(found := heard()) > (4 if plugin else 1) else []
    )
    assert greeting[1].startswith("Thanks for calling.")
    if plugin:
        assert waiting[:4] == [("say", "You are next in line."), ("play", MUSIC)] * 2
    else:
        assert {kind for kind, _ in waiting} == {"music"}
