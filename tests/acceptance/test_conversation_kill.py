"""Booking conversation on a real node: killed at every point, interrupted in every way."""

import os
import signal
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

PERSON = "+14155550777"

BOOKING = """
from ringback import Conversation, conversation, notify, rule

@rule("message.received", if_="event.body == 'book'")
async def book(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"Good, {day}.")
    hour = await convo.ask("Which hour?", timeout="1h")
    name = await convo.ask("Your name?", timeout="1h")
    convo.tell(f"See you on {day} at {hour}, {name}.")
"""

CHANGED = BOOKING.replace("Which hour?", "What time?").replace(
    "async def", '@conversation(sorry="Please write book again.")\nasync def'
)

WHOLE = [
    "Which day?", "Good, Monday.", "Which hour?", "Your name?", "See you on Monday at 9, Ada.",
]  # fmt: skip
"""Everything that the person hears, in this order, each exactly once."""

LOGGED = "select count(*) from log where route = 'message'"

ANSWERS = ["book", "Monday", "9", "Ada"]


@pytest.fixture
def node(make_node: Callable[..., Any]) -> Any:
    """A node whose only plugin is the booking."""
    node = make_node({"plugins/booking.py": BOOKING, "rules/none.yaml": "version: 1\nrules: []\n"})
    node.start()
    node.wait_ready()
    return node


def kill_worker(node: Any) -> None:
    """kill -9, and wait for the next worker."""
    before = pid_of(node)
    os.kill(before, signal.SIGKILL)
    node.until(lambda: pid_of(node) not in (0, before))
    node.wait_ready()


def pid_of(node: Any) -> int:
    """The worker's process, 0 while one takes over from another."""
    try:
        return int(node.worker_pid())
    except ValueError:
        return 0


def heard(box: Any) -> list[str]:
    """The texts on the person's phone."""
    return [message["body"] for message in box.inbox(PERSON)]


def asked(node: Any, box: Any, count: int) -> None:
    """Wait until the person has so many texts and the run waits for the answer to the last."""
    node.until(lambda: len(heard(box)) >= count)
    node.until(lambda: states(node) and states(node)[-1][0] == "waiting")


def states(node: Any) -> list[Any]:
    """State and reason of each run of the booking, oldest first."""
    query = "select state, reason from runs where rule = 'booking.book' order by id"
    return list(node.ask(query))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_point_it_says_everything_once(node: Any, box: Any, when: str) -> None:
    """The worker dies at each answer: right before it comes, or right after it was acknowledged."""
    for index, (answer, texts) in enumerate(zip(ANSWERS, (0, 1, 3, 4), strict=True)):
        if texts:
            asked(node, box, texts)
        if when == "before":
            kill_worker(node)
        box.text(PERSON, answer)
        if when == "after":
            node.until(lambda seen=index: node.ask(LOGGED, file="log.db")[0][0] > seen)
            kill_worker(node)
    node.until(lambda: states(node)[-1][0] == "done")
    node.until(lambda: len(heard(box)) >= len(WHOLE))
    assert sorted(heard(box)) == sorted(WHOLE)
    created = [message["body"] for message in box.messages()]
    assert sorted(created) == sorted(WHOLE)
    assert states(node) == [("done", "")]


@pytest.mark.slow
def test_answers_that_come_before_their_questions_are_not_lost(node: Any, box: Any) -> None:
    """Somebody who knows the questions writes all the answers at once. Their order is that of their
    webhooks, which Twilio does not promise to be that of the texts."""
    box.text(PERSON, "book")
    asked(node, box, 1)
    for answer in ANSWERS[1:]:
        box.text(PERSON, answer)
    node.until(lambda: states(node)[-1][0] == "done")
    node.until(lambda: len(heard(box)) >= len(WHOLE))
    questions = [text for text in WHOLE if text.endswith("?")]
    orders = [
        sorted([*questions, f"Good, {day}.", f"See you on {day} at {hour}, {name}."])
        for day, hour, name in permutations(ANSWERS[1:])
    ]
    assert sorted(WHOLE) in orders
    assert sorted(heard(box)) in orders


@pytest.mark.slow
def test_a_question_that_cannot_be_delivered_ends_it(node: Any, box: Any) -> None:
    """The carrier says so, and the run says which question it was."""
    box.http.post(f"/_sim/handsets/{PERSON}", json={"messages": "undelivered:30003"})
    box.text(PERSON, "book")
    node.until(lambda: states(node) and states(node)[-1][0] == "done")
    (run,) = states(node)
    assert run == ("done", "stopped: 'Which day?' was not delivered (error 30003)")


@pytest.mark.slow
def test_stop_in_the_middle_ends_it(node: Any, box: Any) -> None:
    """Nothing more is sent, and a later text begins nothing by itself."""
    box.text(PERSON, "book")
    asked(node, box, 1)
    box.text(PERSON, "STOP")
    node.until(lambda: states(node)[-1][0] == "done")
    assert states(node) == [("done", "stopped: they sent STOP")]
    assert [message["body"] for message in box.messages()] == ["Which day?"]


@pytest.mark.slow
def test_a_deploy_with_changed_questions_is_noticed(node: Any, box: Any) -> None:
    """The open conversation ends with the reason and a word to the person; a new one is whole."""
    box.text(PERSON, "book")
    asked(node, box, 1)
    box.text(PERSON, "Monday")
    asked(node, box, 3)
    (node.project / "plugins" / "booking.py").write_text(CHANGED)
    kill_worker(node)
    box.text(PERSON, "9")
    node.until(lambda: states(node)[-1][0] == "failed")
    assert states(node)[0][1] == (
        "the code changed under the conversation: it asked 'Which hour?', now it asks 'What time?'"
    )
    node.until(lambda: "Please write book again." in heard(box))
    box.text(PERSON, "book")
    node.until(lambda: heard(box).count("Which day?") == 2)
