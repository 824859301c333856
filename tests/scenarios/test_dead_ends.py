"""Dead ends: what is not at its end has somebody who looks after it, however it came to be so."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from ringback.errors import BadRequest, GatewayError
from ringback.gateway.transport import Reply
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.twilio.rest import Request
from ringback.worker.send import settle
from simulation.checker import judge
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import Answer

Begin = Callable[..., Story]
ANN, BEN = "+15551000001", "+15551000002"
OPEN = ("planned", "deferred", "sending", "unknown", "accepted")
MOMENTS = (None, "2000-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z")


def answers(story: Story, change: Callable[[Request, Answer], Answer]) -> None:
    """Let Twilio's answers be changed on their way."""
    take = story.twilio.take

    def changed(request: Request, answer: Callable[[Answer], None]) -> None:
        take(request, lambda given: answer(change(request, given)))

    story.twilio.take = changed  # type: ignore[method-assign]


def test_every_open_action_comes_to_an_end_whatever_its_row_says(begin: Begin) -> None:
    """Rows as no code of today may write them: each state, with a moment that was never set, is
    long past or far away, with its attempts and without."""
    rows = [
        (*row, f"+1555200{number:04d}")
        for number, row in enumerate(product(OPEN, MOMENTS, ("kept", "lost")))
    ]
    story = begin(replace(calm(), callback_lost=1.0))
    for *_, person in rows:
        story.receive(story.text("echo 1", person))
    story.run(30.0)
    assert story.life is not None
    story.kill()
    connection = connect_writer(story.folder / "journal.db")
    for state, due_at, attempts, person in rows:
        its = "json_extract(params, '$.to') = ?"
        connection.execute(
            "update actions set state = ?, due_at = ?, settled_at = null, outcome = '', "
            f"remote_sid = case ? when 'accepted' then remote_sid else '' end where {its}",
            (state, due_at, state, person),
        )
        if attempts == "lost":
            connection.execute(
                f"delete from attempts where action_uid in (select uid from actions where {its})",
                (person,),
            )
    connection.commit()
    connection.close()
    story.start()
    story.run(900.0)
    left = story.ask(
        "select state, due_at, reason from actions where state not in ('settled', 'parked')"
    )
    # What is planned or deferred here was sent before: it is sent once more, and its status is
    # asked for after a while.
    assert {state for state, _, _ in left} <= {"accepted"}
    story.run(1300.0)
    assert {state for (state,) in story.ask("select state from actions")} == {"settled", "parked"}


def test_an_answer_with_the_sid_of_another_action_is_looked_into(begin: Begin) -> None:
    """It proves nothing of its own action, whose record the list shows."""
    story = begin(replace(calm(), callback_lost=1.0))

    def same_sid(request: Request, answer: Answer) -> Answer:
        if request.makes and isinstance(answer, Reply):
            first = next(iter(story.twilio.records))
            return replace(answer, data={**answer.data, "sid": first})
        return answer

    answers(story, same_sid)
    for person in (ANN, BEN):
        story.receive(story.text("echo 1", person))
        story.run(story.clock.now + 5.0)
    ((due_at, detail),) = story.ask(
        "select due_at, detail from actions a join attempts t on t.action_uid = a.uid "
        "where state = 'unknown'"
    )
    assert due_at
    assert "belongs to another action" in detail
    story.run(story.clock.now + 200.0)
    assert story.ask("select count(distinct remote_sid) from actions where rule = 'echo'") == [(2,)]
    assert story.ask("select count(*) from actions where state = 'unknown'") == [(0,)]
    assert len(story.twilio.records) == 2
    assert judge(story, drained=False).problems == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "soon"),
    [(BadRequest("To is not valid", http_status=400, origin="twilio"), True),
     (GatewayError("no gateway is configured", wrote=False), False)],
)  # fmt: skip
def test_a_list_that_is_never_read_does_not_keep_anybody_in_doubt_for_ever(
    begin: Begin, error: GatewayError, soon: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused for good, it is left to a person at once; else after a day, here of 20 minutes."""
    monkeypatch.setattr(settle, "PATIENCE", timedelta(minutes=20))
    monkeypatch.setattr(settle, "LEAST_TRIED", 600.0)
    story = begin(replace(calm(), callback_lost=1.0))
    answers(story, lambda request, given: error if request.method == "GET" else given)
    story.twilio.next_create = ["reset_after"]
    story.receive(story.text("echo 1", ANN))
    story.run(200.0)
    state = "select state from actions where rule = 'echo'"
    assert story.ask(state) == [("parked" if soon else "unknown",)]
    if not soon:
        story.run(1100.0)
        assert story.ask(state) == [("unknown",)]
        story.run(1350.0)
        assert story.ask(state) == [("parked",)]
