"""Single stories about evidence, outages and broken writes, each with the real worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from ringback.errors import BadRequest, GatewayError, NotFound, Unreadable
from ringback.plugins.loader import load_plugins
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import compile_rule, load_rules
from ringback.rules.interpreter import machine as interpreter
from ringback.rules.model import Rule
from ringback.store.upkeep.erase import erase
from ringback.twilio.rest import Request
from ringback.worker import outgoing
from ringback.worker.run import plan
from ringback.worker.send import sender, settle
from simulation import life
from simulation.batch import run_story
from simulation.checker import judge
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import OURS, Answer, Record

ANN, BEN = "+15551000001", "+15551000002"
Begin = Callable[..., Story]


def test_a_claim_that_a_tag_disproves_is_given_back(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twins at the same time are prevented. Should the list mislead all the same, the first tagged
    callback puts it right: it neither stops the worker nor leaves a false claim."""
    monkeypatch.setattr(plan, "collision_key", lambda *_: "")
    for seed in range(20):
        story = begin(replace(calm(), callback_lost=1.0), seed=seed)
        story.twilio.next_create = ["reset_after", "reset_after"]
        story.receive(story.text("alert 1", ANN))
        story.receive(story.text("alert 2", BEN))
        story.run(400.0)
        if judge(story, drained=False).false_claim:
            break
    else:
        pytest.fail("the list misled nobody in 20 stories")
    story.calm_down()
    for record in list(story.twilio.records.values()):
        story.twilio.call_back(record, "delivered")
    story.finish()
    verdict = judge(story, drained=False)
    assert (verdict.false_claim, verdict.crashed, verdict.doubled) == (0, 0, 0)
    states = story.ask("select state from actions where rule = 'alert'")
    assert states == [("settled",), ("settled",)]
    assert story.life is not None, "the worker still runs"


@pytest.mark.slow
def test_a_request_that_lands_beyond_the_settle_time_is_reported(begin: Begin) -> None:
    """The window that remains: Twilio acts minutes after it was asked. The text is doubled then,
    and the late callback says so."""
    late = replace(calm(), landing=300.0)
    story = begin(late)
    story.twilio.next_create = ["timeout_after"] * 12
    for number in range(12):
        story.receive(story.text(f"echo {number}", f"+155510001{number:02d}"))
    story.run(1200.0)
    story.finish()
    doubled = judge(story).doubled
    assert doubled > 0
    found = story.ask("select text from incidents where kind = 'duplicate' and state = 'open'")
    assert len(found) == doubled
    assert all("was carried out twice: SM" in text for (text,) in found)


@pytest.mark.parametrize(
    ("bad", "end"), [(0.0, ("settled", "delivered", 0)), (1.0, ("failed", "undelivered", 30003))]
)
def test_a_record_that_is_found_brings_its_own_error(
    begin: Begin, bad: float, end: tuple[str, str, int]
) -> None:
    """The answer was a 500 with the code 20500, and no callback comes. What Twilio's list shows is
    the end of the text, with the error of the record and none of the lost answer."""
    story = begin(replace(calm(), callback_lost=1.0, undelivered=bad))
    story.twilio.next_create = ["500_after"]
    story.receive(story.text("echo 1", ANN))
    story.run(200.0)
    asked = "select state, outcome, error_code from actions where rule = 'echo'"
    assert story.ask(asked) == [end]


def test_a_silent_gateway_holds_up_nothing_that_is_due(begin: Begin) -> None:
    """Settling asks a gateway that does not answer, half a minute at a time; a wait of 90 s ends
    after 90 s all the same: its text is planned then."""
    story = begin(replace(calm(), read={"timeout": 1.0}))
    story.twilio.next_create = ["timeout_before"] * 12
    for number in range(12):
        story.receive(story.text(f"echo {number}", f"+155510001{number:02d}"))
    story.run(100.0)
    story.receive(story.text("later please", ANN))
    story.run(200.0)
    (moment,) = [
        when for when, move in story.moves
        if not move.old and story.ask(
            f"select 1 from actions where uid = '{move.uid}' and rule = 'later'"
        )
    ]  # fmt: skip
    assert 190.0 <= moment < 193.0


def test_refused_credentials_hold_everything_until_a_probe_is_good(begin: Begin) -> None:
    """A 401 opens the breaker. What is unknown cannot be looked into meanwhile; a probe does not
    stand behind it, so that all goes on when the credentials are good again."""
    story = begin()
    story.twilio.next_create = ["timeout_before", "none", "401"]
    for number in range(6):
        story.receive(story.text(f"echo {number}", f"+155510001{number:02d}"))
        story.run(story.clock.now + 10.0)
    story.finish()
    assert judge(story).problems == []
    assert {state for (state,) in story.ask("select state from actions")} == {"settled"}


@pytest.mark.slow
def test_refused_and_doubtful_writes_leave_nothing_behind() -> None:
    """The disk is full, or does not answer and has written all the same. The worker starts afresh
    from its file; no run stays pending, no send stays under way."""
    moody = replace(calm(), disk_refuses=0.01, disk_unsure=0.01)
    for seed in range(4):
        verdict, _ = run_story(seed, 40, faults=moody)
        assert verdict.problems == []


def test_the_worker_s_own_faults_stay_with_what_they_hit(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug around a request makes the send unknown, a bug in a rule fails its run; what stands
    behind them in the same conversation goes on."""
    real_request, real_begin = outgoing.request_for, interpreter.begin
    broken: list[str] = []

    def request_for(action: Any, **rest: Any) -> Any:
        if not broken:
            broken.append(action.kind)
            raise TypeError("an unexpected None")
        return real_request(action, **rest)

    def begin_rule(rule: Any, event: Any, *rest: Any, **named: Any) -> Any:
        if event.body == "echo broken":
            raise KeyError("a missing name")
        return real_begin(rule, event, *rest, **named)

    monkeypatch.setattr(outgoing, "request_for", request_for)
    monkeypatch.setattr(interpreter, "begin", begin_rule)
    story = begin()
    for text in ("echo 1", "echo broken", "echo 2"):
        story.receive(story.text(text, ANN))
    story.finish()
    assert broken == ["send_message"]
    states = story.ask("select state from actions where rule = 'echo' order by id")
    assert states == [("settled",), ("settled",)]
    (one, broke, two) = story.ask("select state, reason from runs where rule = 'echo' order by id")
    assert (one, two) == (("done", ""), ("done", ""))
    assert broke[0] == "failed"
    assert broke[1].startswith("the worker broke: KeyError: 'a missing name' (test_evidence.py:")


FLOOD = """
lists: {many: [%s]}
rules:
  - {name: flood, on: message.received, if: "event.body.startsWith('flood')",
     do: [{send: {to: '${{ lists.many }}', body: '${{ event.body }}'}}]}
  - {name: other, on: message.received, if: "event.body == 'hi'", do: [{reply: Hello}]}
"""


@pytest.mark.slow
def test_a_flood_of_one_rule_does_not_hold_up_the_reply_of_another(begin: Begin) -> None:
    """A key of eight requests a second, 1,500 texts of one rule: all of 64 places waited for the
    rate, and what came later was not even in memory."""
    many = ", ".join(f"+1415{number:07d}" for number in range(20))
    story = begin(rules=FLOOD % many, gateway_rate=8.0)
    for number in range(75):
        story.receive(story.text(f"flood {number}", ANN))
    story.run(story.clock.now + 5.0)
    story.receive(story.text("hi", BEN))
    story.run(story.clock.now + 2.0)
    state = "select count(*) from actions where rule = '{}' and state = 'planned'"
    assert story.ask(state.format("flood"))[0][0] > 1400
    assert story.ask(
        "select state in ('accepted', 'settled') from actions where rule = 'other'"
    ) == [(1,)]


@pytest.mark.slow
def test_only_what_leaves_counts_against_a_budget(begin: Begin) -> None:
    """A text that waits behind its twin is looked at many times and sent once."""
    story = begin(total_per_hour=4)
    story.twilio.next_create = ["timeout_before"]
    story.receive(story.text("alert 1", ANN))
    story.receive(story.text("alert 2", BEN))
    story.run(400.0)
    story.receive(story.text("echo 3", ANN))
    story.finish()
    assert judge(story).refused == 0
    story.receive(story.text("echo 4", ANN))
    story.finish()
    assert judge(story).refused == 1


def test_what_does_no_harm_is_repeated_after_a_death(begin: Begin) -> None:
    """The worker dies while a call is being ended. To end it again does no harm: it is tried again
    at once, and nobody has to decide."""
    story = begin()
    story.receive(story.text("ring", ANN))
    state = "select state from actions where rule = 'hang-up'"
    while story.ask(state) != [("sending",)]:
        story.run(story.clock.now + 60.0, steps=1)
    story.kill()
    story.start()
    story.run(story.clock.now + 5.0)
    assert story.ask(state) == [("settled",)]
    assert story.ask("select count(*) from attempts t join actions a on a.uid = t.action_uid "
               "where a.rule = 'hang-up'") == [(2,)]  # fmt: skip


@pytest.mark.slow
def test_what_came_while_the_list_failed_is_fetched_all_the_same(begin: Begin) -> None:
    """The first looks at the list fail, a webhook is lost, others come in meanwhile: when the list
    can be read again, the lost one is fetched, however much has come since."""
    story = begin(replace(calm(), read={"500": 1.0}))
    story.run(60.0)
    lost = story.text("echo lost", ANN)
    for number in range(20):
        story.run(story.clock.now + 60.0)
        story.receive(story.text(f"echo {number}", BEN))
    story.calm_down()
    story.run(story.clock.now + 400.0)
    sid = parse_qs(lost.body.decode())["MessageSid"][0]
    assert story.ask(f"select source from events where subject_sid = '{sid}'") == [("repair",)]


@pytest.mark.slow
def test_a_burst_beyond_memory_is_sent_without_a_pause(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not fit is fetched from the journal when there is space, as often as it takes."""
    monkeypatch.setattr(sender, "READY_LIMIT", 10)
    story = begin()
    for number in range(100):
        story.receive(story.text(f"echo {number}", f"+1555100{number:04d}"))
    story.run(20.0)
    assert story.ask("select count(*) from actions where state = 'planned'") == [(0,)]


TEMPLATES = """
from ringback import SendMessage, rule


@rule("message.received", if_="event.body == 'template'")
def template(event):
    return SendMessage(event.sender, extra={"ContentSid": "HX" + "1" * 32})


@rule("message.received", if_="event.body == 'link'")
def link(event):
    body = "See https://example.org/a/long/way"
    return SendMessage(event.sender, body, extra={"ShortenUrls": "true"})
"""


@pytest.mark.parametrize("kind", ["template", "link"])
def test_a_text_that_twilio_writes_itself_is_not_sent_again_when_something_was_made(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What the record of a template or of shortened links says cannot be compared with what was
    asked for. A record in its time leaves it in doubt; without any it is sent again."""
    (tmp_path / "texts.py").write_text(TEMPLATES)
    plugins, language = load_plugins(tmp_path), load_rules([]).language
    rules = [compile_rule(spec, language) for spec in plugins.specs]
    given = life.Rules(RuleSet([each for each in rules if isinstance(each, Rule)]), plugins)
    monkeypatch.setattr(life, "rules", lambda: given)
    story = begin(replace(calm(), callback_lost=1.0))
    story.twilio.next_create = ["timeout_after", "timeout_before"]
    story.receive(story.text(kind, ANN))
    story.run(5.0)
    (record,) = story.twilio.records.values()
    record.body = "What Twilio made of it"
    story.receive(story.text(kind, BEN))
    story.run(600.0)
    assert [each.to for each in story.twilio.records.values()] == [ANN, BEN]
    doubtful, sent = story.ask("select state, reason from actions order by id")
    assert doubtful == ("parked", settle.UNLIKE)
    assert sent[0] == "accepted"


def test_a_text_with_look_alikes_is_found_as_smart_encoding_wrote_it(begin: Begin) -> None:
    rules = """
rules:
  - name: answer
    on: message.received
    do: [{reply: " “Well” – we’re open… "}]
"""
    story = begin(replace(calm(), callback_lost=1.0), rules=rules)
    story.twilio.next_create = ["timeout_after"]
    story.receive(story.text("hello", ANN))
    story.run(5.0)
    (record,) = story.twilio.records.values()
    record.body = '"Well" - we\'re open...'
    story.run(600.0)
    assert len(story.twilio.records) == 1
    assert story.ask("select state, remote_sid from actions") == [("settled", record.sid)]


def test_who_is_erased_is_forgotten_in_both_spellings_of_the_number(begin: Begin) -> None:
    """Mexico's mobile numbers are written with a 1 and without."""
    story = begin()
    for number in ("+525512345678", "+5215512345678"):
        story.receive(story.text("echo 1", number))
    story.run(60.0)
    story.kill()
    erase(story.folder, "+525512345678", "2000-01-01T00:00:00.000Z")
    assert story.ask("select sender from events where sender like '+52%'") == []
    assert story.ask("select conversation from contacts where conversation like '%+52%'") == []


def test_what_was_erased_is_not_fetched_back(begin: Begin) -> None:
    """Twilio's list still has it. Only who was erased is forgotten: a text that came while the
    node stood still is fetched."""
    story = begin()
    story.receive(story.text("echo 1", ANN))
    story.run(60.0)
    story.kill()
    erase(story.folder, ANN, "2000-01-01T00:00:00.000Z")
    story.twilio.hear("echo 2", BEN, OURS, "")
    story.start()
    story.run(story.clock.now + 900.0)
    events = story.ask("select sender, source from events where type = 'message.received'")
    assert events == [(BEN, "repair")]
    assert [record.to for record in story.twilio.records.values()] == [ANN, BEN]


@pytest.mark.slow
def test_pictures_without_words_do_not_take_each_other_s_evidence(begin: Begin) -> None:
    """Twilio's list tells of pictures only how many there are: two such messages are twins."""
    rules = """
rules:
  - name: pictures
    on: message.received
    ordered: false
    do:
      - send: {to: "${{ event.from }}", media: ["https://example.org/a.png"]}
      - send: {to: "${{ event.from }}", media: ["https://example.org/b.png"]}
"""
    story = begin(replace(calm(), callback_lost=1.0), rules=rules)
    story.twilio.next_create = ["timeout_before", "timeout_after"]
    sent: list[str] = []
    take = story.twilio.take

    def watched(request: Request, answer: Callable[[Answer], None]) -> None:
        form = dict(request.form)
        if request.makes and story.twilio.next_create[:1] != ["timeout_before"]:
            sent.append(form["MediaUrl"])
        take(request, answer)

    real = Record.shape

    def shape(record: Record, now: float) -> dict[str, Any]:
        return {**real(record, now), "body": "", "num_media": "1"}

    story.twilio.take = watched  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "shape", shape)
        story.receive(story.text("show me", ANN))
        story.run(1500.0)
    assert sorted(sent) == ["https://example.org/a.png", "https://example.org/b.png"]


def test_texts_to_one_person_leave_in_order_after_a_pause(begin: Begin) -> None:
    story = begin()
    story.twilio.next_create = ["timeout_after"]
    for number in range(4):
        story.receive(story.text(f"echo {number}", ANN))
    story.run(2.0)
    assert story.life is not None
    story.life.ask("pause")
    story.run(60.0)
    story.life.ask("resume")
    story.run(120.0)
    bodies = [record.body for record in story.twilio.records.values()]
    assert bodies == [f"You said: echo {number}" for number in range(4)]


@pytest.mark.parametrize(
    "error",
    [Unreadable, *(pytest.param(each, marks=pytest.mark.slow) for each in (NotFound, BadRequest))],
)
def test_a_record_that_cannot_be_read_holds_up_no_other(
    begin: Begin, error: type[GatewayError]
) -> None:
    """The watchdog looks at sends that were never heard of again, past one that was deleted."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.receive(story.text("echo 1", ANN))
    story.run(5.0)
    (deleted,) = story.twilio.records
    take = story.twilio.take

    def take_but_one(request: Request, answer: Callable[[Answer], None]) -> None:
        if deleted not in request.path:
            take(request, answer)
            return
        story.twilio.after(0.1, lambda: answer(error("not this one", origin="twilio")))

    story.twilio.take = take_but_one  # type: ignore[method-assign]
    story.receive(story.text("echo 2", BEN))
    story.run(1800.0)
    assert story.ask("select state from actions order by id") == [("accepted",), ("settled",)]
    assert story.ask("select count(*) from events where type = 'watch.stuck'") == [(1,)]
