"""Tests of Enqueue and Dial Queue: waiting, every way of leaving, and the requests of each."""

from typing import Any

import pytest

from ringback.simulator.voice.ports import Answer, Script
from ringback.simulator.voice.switch import ExchangeError

CALLER, OURS, SITE = "+15550001111", "+15559990000", "https://app.test"
ENQUEUE = "<Enqueue action='/left' waitUrl='/wait'>support</Enqueue><Say>after</Say>"
WAIT = "<Say>You are next</Say><Pause length='9'/>"


@pytest.fixture
def waiting(world: Any) -> Any:
    world.page("/wait", WAIT)
    world.page("/left", "<Say>thank you</Say>")
    call = world.ring(ENQUEUE)
    world.run(5)
    return call


def agent(
    world: Any, verbs: str = "<Dial><Queue>support</Queue></Dial><Say>next please</Say>"
) -> Any:
    return world.place("+15557770000", verbs)


def test_the_wait_document_is_asked_again_when_it_runs_out(world: Any, waiting: Any) -> None:
    world.run(17)
    first, second, third = world.asked("wait")
    [queue] = world.exchange.queues.values()
    wanted = {
        "QueueSid": queue.sid,
        "QueuePosition": "1",
        "QueueTime": "0",
        "AvgQueueTime": "0",
        "CurrentQueueSize": "1",
        "MaxQueueSize": "1000",
        "CallSid": waiting.sid,
        "CallStatus": "in-progress",
    }
    assert {name: first[name] for name in wanted} == wanted
    assert (second["QueueTime"], third["QueueTime"]) == ("10", "20")
    assert world.said(waiting) == ["You are next"] * 3
    assert world.state(waiting) == "queued"


def test_positions_count_from_one_in_order_of_arrival(world: Any, waiting: Any) -> None:
    second = world.ring(ENQUEUE)
    world.run(1)
    fields = world.asked("wait")[-1]
    assert (fields["QueuePosition"], fields["CurrentQueueSize"]) == ("2", "2")
    view = world.exchange.view(second.sid)
    assert (view["queue"], view["position"]) == ("support", 2)
    world.exchange.hang_up(waiting.sid)
    assert world.exchange.view(second.sid)["position"] == 1


def test_leave_asks_the_action_at_once(world: Any, waiting: Any) -> None:
    world.page("/wait", "<Leave/><Say>never</Say>")
    world.run(10)
    [fields] = world.asked("enqueue")
    [queue] = world.exchange.queues.values()
    assert (fields["QueueResult"], fields["QueueTime"]) == ("leave", "10")
    assert fields["QueueSid"] == queue.sid
    assert (queue.members, world.said(waiting)[-1]) == ([], "thank you")


def test_leave_without_action_goes_on_below(world: Any) -> None:
    world.page("/wait", "<Leave/>")
    call = world.ring("<Enqueue waitUrl='/wait'>support</Enqueue><Say>after</Say>")
    world.run(3)
    assert (world.said(call), world.asked("enqueue")) == (["after"], [])


def test_hanging_up_in_line_is_reported(world: Any, waiting: Any) -> None:
    world.exchange.hang_up(waiting.sid)
    world.run()
    [fields] = world.asked("enqueue")
    assert (fields["QueueResult"], fields["QueueTime"]) == ("hangup", "5")
    assert (fields["CallStatus"], world.said(waiting)) == ("completed", ["You are next"])
    assert world.exchange.queues.popitem()[1].members == []


def test_a_wait_document_that_hangs_up_ends_the_call(world: Any, waiting: Any) -> None:
    world.page("/wait", "<Hangup/>")
    world.run(10)
    assert world.asked("enqueue")[0]["QueueResult"] == "hangup"
    assert waiting.status == "completed"


def test_a_full_queue_is_never_entered(world: Any, waiting: Any) -> None:
    [queue] = world.exchange.queues.values()
    world.exchange.update_queue(queue.sid, max_size=1)
    late = world.ring(ENQUEUE)
    world.run(2)
    assert world.asked("enqueue")[0]["QueueResult"] == "queue-full"
    assert (world.codes(), world.said(late)) == ([14207], ["thank you"])
    assert len(queue.members) == 1


def test_max_queue_size_of_the_verb(world: Any, waiting: Any) -> None:
    call = world.ring("<Enqueue maxQueueSize='1'>support</Enqueue><Say>full</Say>")
    world.run(2)
    assert world.said(call) == ["full"]


def test_a_gather_in_the_wait_document(world: Any) -> None:
    world.page("/wait", "<Gather numDigits='1' action='/choice'><Pause length='9'/></Gather>")
    world.page("/choice", lambda ask: "<Leave/>" if dict(ask.fields)["Digits"] == "1" else "")
    world.page("/left", "<Say>call back later</Say>")
    call = world.ring(ENQUEUE)
    world.run(5)
    world.exchange.press(call.sid, "7")
    world.run(5)
    assert len(world.asked("wait")) == 2
    world.exchange.press(call.sid, "1")
    world.run(3)
    assert world.asked("enqueue")[0]["QueueResult"] == "leave"
    assert world.said(call) == ["call back later"]


def test_verbs_that_may_not_wait(world: Any) -> None:
    world.page("/wait", "<Dial>+15551112222</Dial><Record/><Say>ok</Say><Pause length='5'/>")
    call = world.ring(ENQUEUE)
    world.run(2)
    assert (world.codes(), world.children(call)) == ([13238, 13238], [])
    assert "in a wait document" in world.troubles[0].message
    assert world.said(call) == ["ok"]


def test_the_built_in_music_and_the_silence(world: Any) -> None:
    music = world.ring("<Enqueue>support</Enqueue>")
    silence = world.ring("<Enqueue waitUrl=''>support</Enqueue>")
    world.run(100)
    assert [kind for kind, _ in world.heard(music)] == ["music", "music"]
    assert world.heard(silence) == []
    assert world.asked("wait") == []


def test_a_wait_url_that_fails_leaves_the_caller_in_line_with_music(world: Any) -> None:
    world.page("/wait", Answer(500, "text/html", b"", f"{SITE}/wait"))
    call = world.ring(ENQUEUE)
    world.run(200)
    assert (world.codes(), world.state(call)) == ([11200], "queued")
    assert {kind for kind, _ in world.heard(call)} == {"music"}


def test_a_wait_document_that_takes_no_time_is_not_asked_without_end(world: Any) -> None:
    world.page("/wait", lambda ask: "")
    world.ring(ENQUEUE)
    world.run(9.5)
    assert len(world.asked("wait")) == 10


def test_audio_as_wait_document(world: Any) -> None:
    world.page("/wait", Answer(200, "audio/mpeg", b"\xff", f"{SITE}/wait"))
    call = world.ring(ENQUEUE)
    world.run(7)
    assert world.heard(call) == [("play", f"{SITE}/wait")] * 2


@pytest.mark.parametrize(("name", "code"), [("", 14204), ("x" * 65, 14205)])
def test_a_bad_name_is_an_error(world: Any, name: Any, code: Any) -> None:
    world.page("/left", "<Hangup/>")
    world.ring(f"<Enqueue action='/left'>{name}</Enqueue>")
    assert (world.codes(), world.asked("enqueue")[0]["QueueResult"]) == ([code], "error")


def test_a_bad_wait_url_is_an_error(world: Any) -> None:
    world.page("/left", "<Hangup/>")
    world.ring("<Enqueue action='/left' waitUrl='ftp://x/y'>support</Enqueue>")
    assert (world.codes(), world.asked("enqueue")[0]["QueueResult"]) == ([14202], "error")


def test_a_bad_action_is_an_error_and_is_left_out(world: Any) -> None:
    call = world.ring("<Enqueue action='ftp://x/y'>support</Enqueue><Say>after</Say>")
    world.run(2)
    assert (world.codes(), world.said(call)) == ([14203], ["after"])


# --- taken out by another call ---


def test_an_agent_takes_the_front_caller_and_both_go_their_way(world: Any, waiting: Any) -> None:
    second = world.ring(ENQUEUE)
    taker = agent(world)
    world.run(5)
    assert (world.state(waiting), world.state(second)) == ("bridged", "queued")
    assert world.exchange.view(taker.sid)["with"] == waiting.sid
    assert world.asked("enqueue") == []
    world.run(30)
    assert len([f for f in world.asked("wait") if f["CallSid"] == waiting.sid]) == 1
    world.exchange.hang_up(taker.sid)
    world.run(3)
    [fields] = world.asked("enqueue")
    assert (fields["QueueResult"], fields["QueueTime"]) == ("bridged", "9")
    assert (world.said(waiting), waiting.status) == (["You are next", "thank you"], "completed")
    assert taker.status == "completed"


def test_the_agents_document_goes_on_when_the_caller_hangs_up(world: Any, waiting: Any) -> None:
    world.page("/done", "<Say>well done</Say>")
    taker = agent(world, f"<Dial action='{SITE}/done'><Queue>support</Queue></Dial>")
    world.run(13.6)
    world.exchange.hang_up(waiting.sid)
    world.run(3)
    [fields] = world.asked("dial")
    [queue] = world.exchange.queues.values()
    wanted = {
        "DialCallStatus": "completed",
        "DialCallSid": waiting.sid,
        "DialCallDuration": "10",
        "DialBridged": "true",
        "QueueResult": "bridged",
        "QueueSid": queue.sid,
        "QueueTime": "9",
        "CallSid": taker.sid,
    }
    assert {name: fields[name] for name in wanted} == wanted
    assert world.said(taker) == ["well done"]
    assert world.asked("enqueue")[0]["QueueResult"] == "bridged"
    assert world.asked("enqueue")[0]["CallStatus"] == "completed"


def test_a_recorded_talk_from_a_queue(world: Any, waiting: Any) -> None:
    world.page("/done", "<Hangup/>")
    verbs = f"<Dial action='{SITE}/done' record='true'><Queue>support</Queue></Dial>"
    taker = agent(world, verbs)
    world.run(13.6)
    world.exchange.hang_up(waiting.sid)
    world.run(3)
    [fields] = world.asked("dial")
    [recording] = world.exchange.recordings.values()
    assert (fields["RecordingSid"], fields["RecordingDuration"]) == (recording.sid, "10")
    assert recording.call_sid == taker.sid


def test_without_action_both_go_on_below(world: Any) -> None:
    caller = world.ring("<Enqueue waitUrl=''>support</Enqueue><Say>rate us</Say>")
    taker = agent(world, "<Dial hangupOnStar='true'><Queue>support</Queue></Dial><Say>next</Say>")
    world.run(5)
    world.exchange.press(taker.sid, "*")
    world.run(3)
    assert (world.said(caller), world.said(taker)) == (["rate us"], ["next"])


def test_the_whisper_to_the_caller_who_is_taken(world: Any, waiting: Any) -> None:
    world.page("/whisper", "<Say>Connecting you</Say>")
    taker = agent(world, f"<Dial><Queue url='{SITE}/whisper' method='GET'>support</Queue></Dial>")
    world.run(4)
    [fields] = world.asked("whisper")
    [queue] = world.exchange.queues.values()
    wanted = {
        "QueueSid": queue.sid,
        "CallSid": waiting.sid,
        "QueueTime": "9",
        "DequeingCallSid": taker.sid,
    }
    assert {name: fields[name] for name in wanted} == wanted
    assert world.said(waiting)[-1] == "Connecting you"
    assert world.state(waiting) != "bridged"
    world.run(2)
    assert world.state(waiting) == "bridged"


def test_an_empty_queue_is_waited_for(world: Any) -> None:
    world.exchange.create_queue("support")
    taker = agent(world)
    world.run(20)
    assert world.state(taker) == "dialing"
    caller = world.ring(ENQUEUE)
    assert (world.state(caller), world.state(taker)) == ("bridged", "bridged")


def test_an_empty_queue_times_out(world: Any) -> None:
    world.exchange.create_queue("support")
    world.page("/done", "<Hangup/>")
    agent(world, f"<Dial timeout='15' action='{SITE}/done'><Queue>support</Queue></Dial>")
    world.run(18)
    assert world.asked("dial") == []
    world.run(2)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["QueueResult"]) == ("no-answer", "queue-empty")


def test_a_queue_that_does_not_exist_is_an_error_to_the_action(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    agent(world, f"<Dial action='{SITE}/done'><Queue>nowhere</Queue></Dial>")
    world.run(10)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["QueueResult"]) == ("failed", "queue-not-found")


def test_two_agents_take_two_callers(world: Any, waiting: Any) -> None:
    second = world.ring(ENQUEUE)
    first_agent, second_agent = agent(world), agent(world)
    world.run(6)
    assert world.exchange.view(first_agent.sid)["with"] == waiting.sid
    assert world.exchange.view(second_agent.sid)["with"] == second.sid


def test_a_caller_who_hangs_up_in_the_whisper_leaves_the_agent_waiting(
    world: Any, waiting: Any
) -> None:
    world.page("/whisper", "<Pause length='30'/>")
    taker = agent(world, f"<Dial><Queue url='{SITE}/whisper'>support</Queue></Dial>")
    world.run(6)
    world.exchange.hang_up(waiting.sid)
    world.run()
    assert world.asked("enqueue")[0]["QueueResult"] == "hangup"
    assert world.state(taker) == "dialing"
    second = world.ring(ENQUEUE)
    world.run(31)
    assert world.exchange.view(taker.sid)["with"] == second.sid


def test_an_agent_who_hangs_up_in_the_whisper(world: Any, waiting: Any) -> None:
    world.page("/whisper", "<Pause length='10'/>")
    taker = agent(world, f"<Dial><Queue url='{SITE}/whisper'>support</Queue></Dial>")
    world.run(6)
    world.exchange.hang_up(taker.sid)
    world.run(12)
    assert world.asked("enqueue")[0]["QueueResult"] == "error"


# --- taken out by REST ---


def test_rest_dequeue_asks_the_action_at_once_and_runs_the_new_document(
    world: Any, waiting: Any
) -> None:
    world.page("/desk", "<Say>At the desk</Say>")
    [queue] = world.exchange.queues.values()
    member = world.exchange.dequeue(queue.sid, "Front", f"{SITE}/desk", "GET")
    world.run(5)
    assert member.call_sid == waiting.sid
    [fields] = world.asked("enqueue")
    assert (fields["QueueResult"], fields["QueueTime"]) == ("redirected", "5")
    assert world.paths()[-2:] == ["/left", "/desk"]
    assert world.said(waiting) == ["You are next", "At the desk"]
    assert queue.members == []


def test_front_of_an_empty_queue_is_404(world: Any, waiting: Any) -> None:
    [queue] = world.exchange.queues.values()
    world.exchange.dequeue(queue.sid, waiting.sid, f"{SITE}/desk")
    with pytest.raises(ExchangeError) as refused:
        world.exchange.dequeue(queue.sid, "Front", f"{SITE}/desk")
    assert (refused.value.code, refused.value.http_status) == (20404, 404)


def test_rest_redirect_of_a_bridged_caller(world: Any, waiting: Any) -> None:
    world.page("/desk", "<Say>At the desk</Say>")
    taker = agent(world)
    world.run(10)
    world.exchange.update(waiting.sid, script=Script(f"{SITE}/desk"))
    world.run(5)
    assert world.asked("enqueue")[0]["QueueResult"] == "redirected-from-bridged"
    assert (world.said(waiting)[-1], world.said(taker)) == ("At the desk", ["next please"])


def test_queues_by_rest(world: Any, waiting: Any) -> None:
    exchange = world.exchange
    [queue] = exchange.queues.values()
    with pytest.raises(ExchangeError) as refused:
        exchange.create_queue("support")
    assert refused.value.code == 22003
    with pytest.raises(ExchangeError):
        exchange.create_queue("x" * 65)
    with pytest.raises(ExchangeError):
        exchange.update_queue(queue.sid, max_size=5001)
    with pytest.raises(ExchangeError) as busy:
        exchange.delete_queue(queue.sid)
    assert busy.value.http_status == 409
    other = exchange.create_queue("other")
    with pytest.raises(ExchangeError) as taken:
        exchange.update_queue(other.sid, name="support")
    assert taken.value.code == 22003
    exchange.delete_queue(other.sid)
    exchange.update_queue(queue.sid, name="sales")
    assert exchange.queues[queue.sid].friendly_name == "sales"
    exchange.hang_up(waiting.sid)
    exchange.delete_queue(queue.sid)
    assert exchange.queues == {}
    with pytest.raises(ExchangeError) as missing:
        exchange.member(queue.sid, "Front")
    assert missing.value.http_status == 404


def test_the_average_wait(world: Any, waiting: Any) -> None:
    world.run(10)
    world.ring(ENQUEUE)
    [queue] = world.exchange.queues.values()
    assert queue.average_wait(world.now() + 5) == 12
