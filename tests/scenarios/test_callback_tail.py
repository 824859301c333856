"""The tail of the callback's address, for Twilio and for services that sign it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.config import Settings
from ringback.gateway.webhook_setup import wanted
from ringback.twilio.rest import Request
from scenarios.test_gate import Begin, ends, says
from scenarios.test_opt_out_reports import ANSWER
from simulation.twilio import Answer


@pytest.mark.parametrize(
    ("word", "ending"), [("on", "#rc=3&rp=all"), ("off", ""), ("", "#rc=3&rp=all")]
)
def test_the_tail_of_the_callback_is_left_away_when_it_is_switched_off(
    begin: Begin, tmp_path: Path, word: str, ending: str
) -> None:
    given = Settings.load(tmp_path, {"RINGBACK_CALLBACK_TAIL": word})
    story = begin(rules=ANSWER, callback_tail=given.callback_tail)
    asked: list[Request] = []
    take = story.twilio.take

    def noted(request: Request, answer: Callable[[Answer], None]) -> None:
        asked.append(request)
        take(request, answer)

    story.twilio.take = noted  # type: ignore[method-assign]
    says(story, "ask 1")
    assert ends(story) == ["sent"]
    (url,) = (dict(each.form)["StatusCallback"] for each in asked if each.method == "POST")
    before, _, tag = url.partition("#")[0].rpartition("/")
    assert before.endswith("/twilio/message/status")
    assert url == f"{before}/{tag}{ending}"


def test_numbers_are_connected_without_a_tail_when_it_is_switched_off() -> None:
    urls = wanted("https://hooks.example.com", tail=False)
    assert not any("#" in url for url in urls.values())
    assert all("#" in url for url in wanted("https://hooks.example.com").values())
