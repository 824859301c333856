"""Texts that are tried again for many people, and often: an outage is no loop."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scenarios.test_retry_step import rules
from simulation.faults import calm
from simulation.story import Story

HOUR = 3600.0
LOST = 'tries: TRIES, within: 4d, else: [{notify: "lost ${{ event.to }}"}]'
AGAIN = """
rules:
  - {name: news, on: message.received, if: event.body == 'hi', do: [{reply: Hello.}]}
  - name: again
    on: action.failed
    do:
      - notify: lost
      - send: {to: "${{ event.to }}", body: Are you there?}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("tries", "people"), [(1, 8), (3, 8), (4, 1)])
def test_what_is_done_about_the_last_try_is_done_for_each_person(
    begin: Callable[..., Story], tries: int, people: int
) -> None:
    """Of 8 the first 5 were told of; after four tries nobody was."""
    story = begin(replace(calm(), undelivered=1.0), rules=rules(LOST.replace("TRIES", str(tries))))
    for number in range(people):
        story.receive(story.text("hi", f"+1555100000{number}"))
    for done in range(tries + 1):
        story.run(story.clock.now + 300.0)
        story.kill()  # nobody walks through the hours of the wait
        story.run(story.clock.now + HOUR * 2**done)
        story.start()
    story.run(story.clock.now + 120.0)
    assert sorted(story.notices) == [f"lost +1555100000{number}" for number in range(people)]


@pytest.mark.slow
def test_a_new_text_about_each_failure_is_a_loop(begin: Callable[..., Story]) -> None:
    story = begin(replace(calm(), undelivered=1.0), rules=AGAIN)
    for number in range(3):
        story.receive(story.text("hi", f"+1555100000{number}"))
    story.run(story.clock.now + 600.0)
    assert 5 <= len(story.notices) <= 8
    reasons = story.ask("select distinct reason from actions where state = 'refused'")
    assert any("caused itself" in reason for (reason,) in reasons)
