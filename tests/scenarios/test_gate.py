"""The gate, safeguard by safeguard, with the real worker in a stepped world: consent and loops."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from ringback.runtime import iso
from ringback.store.log import Entry
from ringback.store.sqlite.sqlite_files import connect_reader
from simulation.story import FORM, Story
from simulation.twilio import ACCOUNT, OURS, POOL, SERVICE

ANN, BEN = "+15551000001", "+15551000002"
OTHER = "+15550000077"
"""A number of ours that is in no messaging service."""
RULES = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do: [{reply: "You asked: ${{ event.body }}"}]
  - name: menu
    on: message.received
    if: "!event.body.is_phrase(['STOP', 'START', 'go']) && !event.body.startsWith('ask')"
    do: [{reply: Yes. Or no?}]
  - name: served
    on: message.received
    if: event.body.startsWith('ask')
    do: [{send: {to: "${{ event.from }}", body: "Served: ${{ event.body }}", service: SERVICE}}]
  - name: chain
    on: message.received
    if: event.body == 'go'
    do: [{send: {to: "${{ event.from }}", body: This begins.}}]
  - name: again
    on: message.delivered
    if: event.to == 'BEN'
    do: [{send: {to: "${{ event.to }}", body: "After ${{ event.sid }}"}}]
""".replace("SERVICE", SERVICE).replace("BEN", BEN)
Begin = Callable[..., Story]


def says(
    story: Story, body: str, *, who: str = ANN, to: str = OURS, service: str = "", **more: str
) -> None:
    """Somebody texts one of our numbers, and a second passes."""
    fields = {
        "AccountSid": ACCOUNT, "MessageSid": story.twilio.hear(body, who, to, service).sid,
        "From": who, "To": to, "Body": body, "NumMedia": "0", **more,
    }  # fmt: skip
    if service:
        fields["MessagingServiceSid"] = service
    story.receive(story.entry("message", "", fields))
    story.run(story.clock.now + 2.0)


def ends(story: Story, rule: str = "answer") -> list[str]:
    """What became of the actions of a rule: `sent`, or the reason why not."""
    reader = connect_reader(story.folder / "journal.db")
    try:
        rows = reader.execute(
            "select state, reason, remote_sid from actions where rule = ? order by id", (rule,)
        ).fetchall()
    finally:
        reader.close()
    return ["sent" if sid else f"{state}: {reason}" for state, reason, sid in rows]


def refused(ended: str, *words: str) -> bool:
    """Whether this was refused by the gate, with these words in the reason."""
    return ended.startswith("refused: ") and all(word in ended for word in words)


# Consent


@pytest.mark.parametrize("word", ["STOP", "stop", "Unsubscribe", " Quit. "])
def test_a_keyword_ends_consent_for_this_sender_alone_and_another_begins_it(
    begin: Begin, word: str
) -> None:
    story = begin(rules=RULES)
    says(story, word, to=OTHER)
    says(story, "ask 1", to=OTHER)
    says(story, "ask 2", to=OURS)
    says(story, "ask 3", to=OTHER, who=BEN)
    first, *rest = ends(story)
    assert refused(first, f"{ANN} opted out of {OTHER}", "text")
    assert rest == ["sent", "sent"]
    story.kill()
    story.start()
    says(story, "ask 4", to=OTHER)
    assert refused(ends(story)[-1], "opted out")
    says(story, "START", to=OTHER)
    says(story, "ask 5", to=OTHER)
    assert ends(story)[-1] == "sent"


@pytest.mark.parametrize(("to", "service"), [(OURS, ""), (OTHER, SERVICE)])
def test_a_stop_right_behind_a_text_is_known_before_its_answer_leaves(
    begin: Begin, to: str, service: str
) -> None:
    """Both come in one batch; the other one may tell as well that its number is in the service."""
    story = begin(rules=RULES)
    for number, body, where in ((1, "hi", OURS), (2, "STOP", to)):
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "From": ANN, "To": where,
            "Body": body, "NumMedia": "0",
        }  # fmt: skip
        if service:
            fields["MessagingServiceSid"] = service
        story.receive(story.entry("message", "", fields))
    story.run(story.clock.now + 2.0)
    (ended,) = ends(story, "menu")
    assert refused(ended, f"{ANN} opted out")


def test_a_number_is_the_same_however_a_rule_writes_it(begin: Begin) -> None:
    rules = """
rules:
  - name: answer
    on: message.received
    if: event.body == 'ask'
    do: [{send: {to: "+1 (555) 100-0001", body: Hello.}}]
"""
    story = begin(rules=rules)
    says(story, "ask", who=BEN)
    says(story, "STOP", who="+15551000001")
    says(story, "ask", who=BEN)
    sent, stopped = ends(story)
    assert sent == "sent"
    assert refused(stopped, "+15551000001 opted out")
    assert [record.to for record in story.twilio.records.values()] == ["+15551000001"]


def test_a_stop_that_is_fetched_back_does_not_undo_a_later_start(begin: Begin) -> None:
    """Its webhook was lost; by its own time it is the earlier word."""
    story = begin(rules=RULES)
    said = {"AccountSid": ACCOUNT, "From": ANN, "To": OURS, "NumMedia": "0"}
    stop = story.twilio.hear("STOP", ANN, OURS, "").sid
    story.run(60.0)
    says(story, "START")
    fields = {
        **said, "MessageSid": stop, "Body": "STOP",
        "Timestamp": "Thu, 01 Jan 2026 00:00:00 +0000",
    }  # fmt: skip
    body = urlencode(fields).encode()
    story.receive(Entry("", "message", "confirmed", "repair", "", FORM, body))
    story.run(story.clock.now + 2.0)
    says(story, "ask")
    assert ends(story) == ["sent"]


def test_a_stop_ends_calls_too(begin: Begin) -> None:
    """Whoever wants no texts from a number is not called from it."""
    story = begin()
    says(story, "ring 1", who=BEN)
    says(story, "STOP", who=BEN)
    says(story, "ring 2", who=BEN)
    sent, stopped = ends(story, "ring")
    assert sent == "sent"
    assert refused(stopped, f"{BEN} opted out of {OURS}")


def test_a_sentence_with_stop_in_it_is_no_stop(begin: Begin) -> None:
    story = begin(rules=RULES)
    says(story, "Please stop by tomorrow")
    says(story, "ask")
    assert ends(story) == ["sent"]


def test_what_twilio_says_about_a_text_outweighs_its_words(begin: Begin) -> None:
    """Advanced Opt-Out knows words of its own, in any language."""
    story = begin(rules=RULES)
    says(story, "Basta", OptOutType="STOP")
    says(story, "ask 1")
    says(story, "Ciao", OptOutType="START")
    says(story, "ask 2")
    first, second = ends(story)
    assert refused(first, "opted out", "Basta")
    assert second == "sent"


def test_a_send_that_twilio_refuses_for_a_stop_ends_consent(begin: Begin) -> None:
    """The STOP was said where we did not hear it: error 21610 tells, and it is not tried again."""
    story = begin(rules=RULES)
    story.twilio.next_create = ["stopped"]
    says(story, "ask 1", to=OTHER)
    says(story, "ask 2", to=OTHER)
    first, second = ends(story)
    assert first.startswith("failed: refused by Twilio")
    assert refused(second, f"{ANN} opted out of {OTHER} (error 21610")
    says(story, "START", to=OTHER)
    says(story, "ask 3", to=OTHER)
    assert ends(story)[2] == "sent"


def test_the_numbers_of_a_messaging_service_share_consent(begin: Begin) -> None:
    """STOP to one of them is STOP to all, whether we name the number or the service; START to the
    other one is START to all. Restarts forget nothing of it."""
    story = begin(rules=RULES)
    first, second = POOL
    says(story, "ask 0", to=second, service=SERVICE)
    says(story, "STOP", to=first, service=SERVICE)
    story.kill()
    story.start()
    says(story, "ask 1", to=second, service=SERVICE)
    assert ends(story, "served")[0] == "sent"
    assert refused(ends(story, "served")[1], f"opted out of {SERVICE}")
    assert refused(ends(story)[1], f"opted out of {second}")
    says(story, "START", to=second, service=SERVICE)
    says(story, "ask 2", to=first, service=SERVICE)
    assert (ends(story)[2], ends(story, "served")[2]) == ("sent", "sent")


def test_what_a_plugin_wishes_passes_the_same_gate(begin: Begin) -> None:
    """Handlers of the simulated project, one plain and one async."""
    story = begin()
    says(story, "STOP")
    says(story, "plain 1")
    says(story, "awaited 1")
    for rule in ("project.plain", "project.awaited"):
        (ended,) = ends(story, rule)
        assert refused(ended, "opted out")
    assert not story.twilio.records


# Loops


def test_a_ping_pong_at_machine_speed_ends(begin: Begin) -> None:
    """Two machines talk. The texts differ each time, so that only their pace tells."""
    story = begin(rules=RULES)
    for number in range(12):
        says(story, f"ask {number}")
    ended = ends(story)
    assert ended[:5] == ["sent"] * 5
    assert refused(ended[-1], "turns at machine speed", ANN)
    assert ended.count("sent") < 8
    says(story, "ask me", who=BEN)
    assert ends(story)[-1] == "sent"


def test_a_quick_person_is_no_machine(begin: Begin) -> None:
    story = begin(rules=RULES)
    for number in range(12):
        says(story, f"ask {number}")
        story.run(story.clock.now + 5.0)
    assert ends(story) == ["sent"] * 12


def test_what_is_fetched_back_after_a_downtime_is_no_machine(begin: Begin) -> None:
    """Six texts that came minutes apart are heard of within seconds, each after our answer to the
    one before."""
    story = begin(rules=RULES)
    story.run(600.0)
    now = story.clock.now
    for number in range(8):
        story.clock.now = now - 480.0 + 60.0 * number
        record = story.twilio.hear(f"ask {number}", ANN, OURS, "")
        when = iso(story._runtime.now())
        story.clock.now = now + 2.0 * number
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": record.sid, "From": ANN, "To": OURS,
            "Body": f"ask {number}", "NumMedia": "0", "Timestamp": when,
        }  # fmt: skip
        entry = story.entry("message", "", fields)
        story.receive(Entry(entry.received_at, "message", "confirmed", "repair", "", FORM,
                            entry.body))  # fmt: skip
        story.run(now + 2.0 * (number + 1))
    assert ends(story) == ["sent"] * 8


def test_our_own_number_gets_no_answer(begin: Begin) -> None:
    """Known as ours is the default sender, and each number that people have written to."""
    story = begin(rules=RULES)
    says(story, "ask 1", who=OURS, to=OTHER)
    says(story, "ask 2", to=OTHER)
    says(story, "ask 3", who=OTHER, to=OURS)
    story.kill()
    story.start()
    says(story, "ask 4", who=OTHER, to=OURS)
    ended = ends(story)
    assert refused(ended[0], f"{OURS} is our own number")
    assert ended[1] == "sent"
    assert refused(ended[2], f"{OTHER} is our own number")
    assert refused(ended[3], f"{OTHER} is our own number")


def test_actions_that_cause_each_other_come_to_an_end(begin: Begin) -> None:
    """Each delivered text makes a rule send the next one."""
    story = begin(rules=RULES)
    says(story, "go", who=BEN)
    story.run(story.clock.now + 600.0)
    assert ends(story, "chain") == ["sent"]
    ended = ends(story, "again")
    assert ended[:-1] == ["sent"] * 4
    assert refused(ended[-1], "loop: 6 of our own actions caused each other")


def test_an_echo_at_machine_speed_gets_no_answer(begin: Begin) -> None:
    """They quote what we wrote, a second after we wrote it."""
    story = begin(rules=RULES)
    says(story, "hello")
    says(story, '"yes.  or NO?"')
    first, second = ends(story, "menu")
    assert first == "sent"
    assert refused(second, f"{ANN} sends our own text back at machine speed")


def test_a_slow_echo_gets_one_answer_and_not_two(begin: Begin) -> None:
    """A person may say what we said. Whoever does it twice in a row is a machine."""
    story = begin(rules=RULES)
    says(story, "hello")
    for _ in range(3):
        story.run(story.clock.now + 60.0)
        says(story, "Yes. Or no?")
    first, second, *rest = ends(story, "menu")
    assert (first, second) == ("sent", "sent")
    assert len(rest) == 2
    assert all(refused(each, "our own texts back, twice in a row") for each in rest)
    story.kill()
    story.start()
    says(story, "Yes. Or no?")
    assert refused(ends(story, "menu")[-1], "twice in a row")
    says(story, "What do you mean?")
    assert ends(story, "menu")[-1] == "sent"


HONEST = """
rules:
  - name: menu
    on: message.received
    do: [{reply: "ANSWER"}, WAIT{reply: How can we help?}]
"""


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize(
    ("said", "answer", "wait"),
    [
        ("Hi", "Hi!", ""),
        ("yes", "Yes.", "{wait: 3s}, "),
        ("Yes", "yes", "{wait: 90s}, "),
        ("“ok”", "OK", ""),
    ],
)
def test_what_they_wrote_before_we_wrote_the_same_is_no_echo(
    begin: Begin, said: str, answer: str, wait: str, stamped: bool
) -> None:
    """Also where Twilio tells its moment, in whole seconds, and each time they write it again."""
    story = begin(rules=HONEST.replace("ANSWER", answer).replace("WAIT", wait))
    when = {"Timestamp": "Thu, 01 Jan 2026 00:00:01 +0000"} if stamped else {}
    story.run(1.7)
    says(story, said, **when)
    story.run(story.clock.now + 120.0)
    assert ends(story, "menu") == ["sent", "sent"]


def test_what_waited_until_they_wrote_the_same_is_no_echo(begin: Begin) -> None:
    """Our text was planned before theirs came and left after it: they have not read it."""
    story = begin(rules=HONEST.replace("ANSWER", "Hi!").replace("WAIT", ""))
    says(story, "Hello")
    life = story.life
    assert life is not None
    life.engine.sender.paused = True
    says(story, "Good day")
    says(story, "Hi")
    life.engine.sender.paused = False
    story.run(story.clock.now + 120.0)
    assert set(ends(story, "menu")) == {"sent"}


@pytest.mark.slow
def test_what_another_person_was_sent_or_long_ago_is_no_echo(begin: Begin) -> None:
    story = begin(rules=RULES)
    says(story, "hello")
    says(story, "Yes. Or no?", who=BEN)
    for _ in range(3):
        story.run(story.clock.now + 700.0)
        says(story, "Yes. Or no?")
    assert ends(story, "menu") == ["sent"] * 5
