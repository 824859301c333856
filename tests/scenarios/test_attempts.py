"""Single stories about one attempt: when it leaves, and what counts as proof that it did not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ringback.twilio.rest import Request
from simulation.disk import Move
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS, POOL, Answer, Record

ANN = "+15551000001"
Begin = Callable[..., Story]


def test_an_attempt_is_on_disk_before_its_request_leaves(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the disk takes: what a crash has forgotten would be sent again."""
    story = begin(replace(calm(), disk_slow=1.0))
    take, early = story.twilio.take, []

    def watched(request: Request, answer: Callable[[Answer], None]) -> None:
        if request.makes:
            tag = dict(request.form)["StatusCallback"].partition("#")[0].rpartition("/")[2]
            early.extend([] if story.ask(f"select 1 from attempts where tag = '{tag}'") else [tag])
        take(request, answer)

    monkeypatch.setattr(story.twilio, "take", watched)
    story.receive(story.text("echo 1", ANN))
    story.run(120.0)
    assert story.twilio.records
    assert not early


@pytest.mark.parametrize(("paused", "together"), [(False, True), (True, False)])
def test_what_nothing_holds_back_has_its_attempt_in_the_commit_of_its_run(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, paused: bool, together: bool
) -> None:
    """In a pause the action is written alone, and waits."""
    commits: list[list[str]] = []
    real = Story._moved

    def moved(story: Story, moves: list[Move]) -> None:
        commits.append([move.new for move in moves if move.kind != "heard"])
        real(story, moves)

    monkeypatch.setattr(Story, "_moved", moved)
    story = begin()
    story.run(1.0)
    assert story.life is not None
    story.life.engine.sender.paused = paused
    story.receive(story.text("echo 1", ANN))
    story.run(60.0)
    written = [each for each in commits if "planned" in each]
    assert (written == [["planned", "sending"]]) is together
    assert bool(story.twilio.records) is together


def test_a_worker_that_dies_with_the_commit_of_its_run_sends_once(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt is on disk and nothing has left: the list proves it, and then it is sent."""
    real = Story._moved

    def moved(story: Story, moves: list[Move]) -> None:
        real(story, moves)
        if any(move.new == "sending" for move in moves) and not story.kills:
            story._dying = True

    monkeypatch.setattr(Story, "_moved", moved)
    story = begin()
    story.receive(story.text("echo 1", ANN))
    story.run(1500.0)
    assert story.kills == 1
    assert len(story.twilio.records) == 1
    assert story.ask("select result from attempts order by id") == [("unknown",), ("accepted",)]


def test_nothing_leaves_after_the_process_stood_still(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute passed between the commit of an attempt and its first byte. Nobody knows what
    happened meanwhile: it is not sent, and says so; the next attempt is."""
    frozen: list[bool] = []
    real = Story._hot

    def hot(story: Story) -> None:
        if story.moves and story.moves[-1][1].new == "sending" and not frozen:
            frozen.append(True)
            story._freeze(30.0)
        real(story)

    monkeypatch.setattr(Story, "_hot", hot)
    story = begin()
    story.receive(story.text("echo 1", ANN))
    story.run(60.0)
    assert [result for (result,) in story.ask("select result from attempts order by id")] == [
        "not_sent", "accepted"
    ]  # fmt: skip
    assert len(story.twilio.asked) == 1


def test_a_restart_never_sends_again_what_was_under_way(begin: Begin) -> None:
    """The worker dies while a request is under way. Its action is in doubt from then on, until the
    record is found."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.twilio.next_create = ["timeout_after"]
    story.receive(story.text("echo 1", ANN))
    story.run(5.0)
    story.kill()
    story.start()
    story.run(20.0)
    assert story.ask("select state from actions where rule = 'echo'") == [("unknown",)]
    story.run(200.0)
    assert story.ask("select state from actions where rule = 'echo'") == [("settled",)]
    assert len(story.twilio.records) == 1


def test_the_list_is_not_read_before_the_settle_time(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there yet may still come, for as long as the settings say."""
    story = begin(replace(calm(), callback_lost=1.0))
    take, looks = story.twilio.take, []

    def watched(request: Request, answer: Callable[[Answer], None]) -> None:
        looks.extend([story.clock.now] if "To" in dict(request.form) and not request.makes else [])
        take(request, answer)

    monkeypatch.setattr(story.twilio, "take", watched)
    story.twilio.next_create = ["reset_after"]
    story.receive(story.text("echo 1", ANN))
    story.run(100.0)
    (asked,) = story.twilio.asked.values()
    assert looks
    assert min(looks) - asked >= story.settle_seconds - 1.0


@pytest.mark.parametrize("fault", ["garbage", "500"])
def test_a_list_that_cannot_be_read_shows_nothing(begin: Begin, fault: str) -> None:
    """For ten minutes each look fails. Nothing is taken for absent, and nothing is sent again."""
    story = begin(replace(calm(), read={fault: 1.0}))
    story.twilio.next_create = ["reset_before"]
    story.receive(story.text("echo 1", ANN))
    story.run(600.0)
    assert story.ask("select state, polls from actions where rule = 'echo'") == [("unknown", 0)]
    assert len(story.twilio.asked) == 1


def test_a_record_that_the_api_did_not_make_is_nobody_s(begin: Begin) -> None:
    """Somebody's TwiML replied with the same text at the same time. That is not what we asked for:
    ours was not made, and is sent again."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.twilio.next_create = ["reset_before"]
    story.receive(story.text("hours", ANN))
    body = "We are open from 9 to 5."
    reply = Record("SM" + "7" * 32, "messages", "", OURS, ANN, body, 0.0, 0.0, "delivered",
                   direction="outbound-reply")  # fmt: skip
    story.twilio.records[reply.sid] = reply
    story.run(400.0)
    (sid,) = [sid for (sid,) in story.ask("select remote_sid from actions where rule = 'hours'")]
    assert sid not in ("", reply.sid)


def test_the_same_text_from_two_numbers_of_ours_leaves_side_by_side(begin: Begin) -> None:
    """Their records differ in the sender. The one does not wait until the other is certain."""
    story = begin()
    story.twilio.next_create = ["timeout_before", "none"]
    for ours in POOL:
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": story.twilio.hear("hours", ANN, ours, "").sid,
            "From": ANN, "To": ours, "Body": "hours", "NumMedia": "0",
        }  # fmt: skip
        story.receive(story.entry("message", "", fields))
    story.run(10.0)
    assert sorted(state for (state,) in story.ask("select state from actions")) == [
        "sending", "settled"
    ]  # fmt: skip


def test_an_end_is_reported_though_the_worker_died_with_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies with the commit in which a text fails. Rules hear of it in the next life."""
    real = Story._hot

    def hot(story: Story) -> None:
        real(story)
        if story.moves and story.moves[-1][1].new == "failed" and not story.kills:
            story._dying = True

    monkeypatch.setattr(Story, "_hot", hot)
    story = begin()
    story.twilio.next_create = ["rejected"]
    story.receive(story.text("echo 1", ANN))
    story.run(700.0)  # a node may be down for ten minutes
    assert story.kills == 1
    assert story.ask("select count(*) from events where type = 'action.failed'") == [(1,)]


def test_what_is_out_of_date_is_not_sent(begin: Begin) -> None:
    """It waited for another try until nobody wanted it any more."""
    story = begin()
    story.twilio.next_create = ["429_wait"]
    story.receive(story.text("echo 1", ANN))
    story.run(1.0)
    story.set_clock(24 * 3600.0)
    story.run(120.0)
    asked = "select state, reason from actions where rule = 'echo'"
    assert story.ask(asked) == [("failed", "it was not sent in time and is not wanted late")]
    assert not story.twilio.records
