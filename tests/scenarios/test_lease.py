"""Sends of a worker that owns only while its lease lasts, in a stepped world."""

from collections.abc import Callable

from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

ANN = "+15551000001"
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: Yes.}]
"""


def test_a_worker_whose_lease_nearly_ends_opens_no_attempt(begin: Callable[..., Story]) -> None:
    """The next owner may begin then. When the lease is renewed what waited goes out, once."""
    story = begin(rules=RULES)
    story.run(2.0)
    assert story.life is not None
    engine, left = story.life.engine, 4.9
    engine.sender.lease_left = lambda: left
    text = {"AccountSid": ACCOUNT, "MessageSid": story.twilio.hear("Hi", ANN, OURS, "").sid,
            "From": ANN, "To": OURS, "Body": "Hi", "NumMedia": "0"}  # fmt: skip
    story.receive(story.entry("message", "", text))
    story.run(story.clock.now + 30.0)
    assert story.ask("select count(*) from attempts") == [(0,)]
    assert story.ask("select state from actions") == [("planned",)]
    left = 9.0
    engine.look_again()
    story.run(story.clock.now + 30.0)
    assert story.ask("select n, result from attempts") == [(1, "accepted")]
