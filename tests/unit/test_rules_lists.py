"""Lists of recipients: none is cut in silence, and none stands where one address is needed."""

import json
from pathlib import Path

import pytest

from ringback.actions import AnswerCall, PlaceCall, SendMessage
from ringback.rules.files.load import load_rules
from ringback.testing import Bench, incoming_call, sms
from ringback.testing.bench import RunFailed
from ringback.twilio import twiml


def rules(tmp_path: Path, do: str, people: int = 2) -> Path:
    numbers = ", ".join(f"'+1555{number:07d}'" for number in range(people))
    path = tmp_path / "rules.yaml"
    path.write_text(
        f"lists: {{team: [{numbers}]}}\n"
        "rules:\n  - name: it\n    on: [message.received, call.received]\n"
        f"    do:\n      - {do}\n"
    )
    return path


def problems(path: Path) -> list[str]:
    found = load_rules([path]).problems
    return [f"{each.line}:{each.column}: {each.message} ({each.hint})" for each in found]


@pytest.mark.parametrize(
    "do",
    [
        'send: {to: "${{ lists.team }}", body: x}',
        'send: {to: ["${{ lists.team }}"], body: x}',
        'send: {to: "${{ lists.team.filter(x, x != event.from) }}", body: x}',
        'call: {to: "${{ lists.team }}", say: x}',
    ],
)
@pytest.mark.parametrize("people", [21, 25, 200])
def test_everybody_on_a_list_is_reached(tmp_path: Path, do: str, people: int) -> None:
    made = Bench.load(rules(tmp_path, do, people)).react(sms("x")).actions
    reached = [each.to for each in made if isinstance(each, SendMessage | PlaceCall)]
    assert reached == [f"+1555{number:07d}" for number in range(people)]


@pytest.mark.parametrize("step", ["send: {body: x, to: TO}", "call: {say: x, to: TO}"])
def test_who_stands_twice_on_a_list_in_two_spellings_is_reached_once(
    tmp_path: Path, step: str
) -> None:
    """Of 200 who may be reached at most, half stand there twice."""
    whole = [f"+1415555{number:04d}" for number in range(100)]
    local = [f"(415) 555-{number:04d}" for number in range(99)]
    given = ", ".join(f"'{number}'" for number in [*whole, *local, "+1 415 555 0099"])
    do = step.replace("TO", f'"${{{{ [{given}] }}}}"')
    made = Bench.load(rules(tmp_path, do)).react(sms("x")).actions
    assert [each.to for each in made if isinstance(each, SendMessage | PlaceCall)] == whole
    twins = "['+525512345678', 'whatsapp:+5215512345678', '+5215512345678']"
    do = step.replace("TO", f'"${{{{ {twins} }}}}"')
    made = Bench.load(rules(tmp_path, do)).react(sms("x")).actions
    reached = [each.to for each in made if isinstance(each, SendMessage | PlaceCall)]
    assert reached == ["+525512345678", "whatsapp:+5215512345678"]


@pytest.mark.parametrize("step", ["send: {body: x, to: TO}", "call: {say: x, to: TO}"])
@pytest.mark.parametrize(
    "other",
    ["+1 (415) 555-{:04d}", "(415) 555-{:04d}", "+1415555{:04d}", "sms:+1415555{:04d}"],
)
def test_a_limit_counts_people_and_not_entries(tmp_path: Path, step: str, other: str) -> None:
    """Also of a list that is known when the rules are read."""
    people = [f"+1415555{number:04d}" for number in range(200)]
    twice = [other.format(number) for number in range(200)]
    path = tmp_path / "rules.yaml"
    for to in ("${{ lists.big }}", "${{ lists.big.filter(x, true) }}"):
        do = step.replace("TO", f"'{to}'")
        path.write_text(
            f"lists: {{big: {json.dumps([*people, *twice])}}}\n"
            f"rules: [{{name: it, on: message.received, do: [{{{do}}}]}}]\n"
        )
        made = Bench.load(path).react(sms("x")).actions
        assert [each.to for each in made if isinstance(each, SendMessage | PlaceCall)] == people


@pytest.mark.parametrize("step", ["send: {body: x, to: TO}", "call: {say: x, to: TO}"])
@pytest.mark.parametrize("other", ["+1 (415) 555-{:04d}", "+1415555{:04d}"])
def test_a_list_that_a_step_writes_down_counts_people_too(
    tmp_path: Path, step: str, other: str
) -> None:
    people = [f"+1415555{number:04d}" for number in range(200)]
    twice = [other.format(number) for number in range(200)]
    made = Bench.load(rules(tmp_path, step.replace("TO", json.dumps([*people, *twice]))))
    actions = made.react(sms("x")).actions
    assert [each.to for each in actions if isinstance(each, SendMessage | PlaceCall)] == people
    one_more = json.dumps([*twice, *people, "+14155550999"])
    (found,) = problems(rules(tmp_path, step.replace("TO", one_more)))
    assert "'to' has 201 entries, 200 at most" in found
    (found,) = problems(rules(tmp_path, step.replace("TO", "[]")))
    assert "'to'" in found


@pytest.mark.parametrize(
    "do",
    [
        'send: {to: "${{ lists.team }}", body: x}',
        'send: {to: [+15550000000, "${{ lists.team }}", +15550000999], body: x}',
        'call: {to: "${{ lists.team }}", say: x}',
    ],
)
def test_a_list_that_is_known_to_be_too_long_is_a_mistake(tmp_path: Path, do: str) -> None:
    (found,) = problems(rules(tmp_path, do, 201))
    assert "'to' has 20" in found
    assert "entries, 200 at most" in found


@pytest.mark.parametrize(
    ("do", "entries"),
    [
        ("send: {to: \"${{ event.body.split(' ') }}\", body: x}", 250),
        ("call: {to: \"${{ event.body.split(' ') }}\", say: x}", 250),
        ("reply: {body: x, media: \"${{ event.body.split(' ') }}\"}", 11),
        ("forget: \"${{ event.body.split(' ') }}\"", 51),
    ],
)
def test_a_list_that_turns_out_to_be_too_long_fails_the_run_whole(
    tmp_path: Path, do: str, entries: int
) -> None:
    bench = Bench.load(rules(tmp_path, do))
    with pytest.raises(RunFailed, match=f"has {entries} entries, [0-9]+ at most"):
        bench.react(sms(" ".join(f"+1556{number:07d}" for number in range(entries))))


def test_a_list_that_was_remembered_reaches_everybody(tmp_path: Path) -> None:
    """200 addresses on WhatsApp in one text have 4,400 letters; the end of it was lost."""
    people = [f"whatsapp:+1415555{number:04d}" for number in range(200)]
    path = tmp_path / "rules.yaml"
    path.write_text(
        f"lists: {{crew: {json.dumps(people)}}}\n"
        "rules:\n"
        "  - {name: keep, on: message.received, if: event.body == 'keep',\n"
        "     do: [{remember: {crew: \"${{ lists.crew.join(',') }}\"}}]}\n"
        "  - {name: go, on: message.received, if: event.body == 'go', do: [{send: {body: x,\n"
        "     to: \"${{ remembered('crew').split(',') }}\", from: 'whatsapp:+12025550100'}}]}\n"
    )
    bench = Bench.load(path)
    bench.react(sms("keep"))
    made = bench.react(sms("go")).actions
    assert [each.to for each in made if isinstance(each, SendMessage)] == people


WIDE = "${{ event.body + event.body + event.body }}"


@pytest.mark.parametrize(
    ("do", "most"),
    [
        (f'http: "https://example.org/?who={WIDE}"', 4096),
        (f'http: {{url: "https://example.org/", headers: {{X-Who: "{WIDE}"}}}}', 16384),
        (f'http: {{url: "https://example.org/", json: {{who: ["to {WIDE}"]}}}}', 16384),
        (f'send: {{to: ["{WIDE}"], body: x}}', 4096),
        ('send: {to: "${{ [event.body + event.body] }}", body: x}', 4096),
        (f'remember: {{crew: "{WIDE}"}}', 16384),
        (f'notify: {{text: x, webhook: "https://example.org/{WIDE}"}}', 4096),
        (f'enqueue: "{WIDE}"', 4096),
    ],
)
def test_what_means_something_else_when_it_is_cut_fails_the_run(
    tmp_path: Path, do: str, most: int
) -> None:
    bench = Bench.load(rules(tmp_path, do))
    with pytest.raises(RunFailed, match=f"has [0-9]+ letters, {most} at most"):
        bench.react(sms("x" * (most // 2 + 1)))


@pytest.mark.parametrize(
    "do",
    [
        'remember: {crew: "${{ event.body }}"}',
        'http: {url: "https://example.org/", json: {who: ["to ${{ event.body }}"]}}',
    ],
)
def test_data_may_be_longer_than_what_people_read(tmp_path: Path, do: str) -> None:
    (made,) = Bench.load(rules(tmp_path, do)).react(sms("x" * 5000)).actions
    assert "x" * 5000 in str(made)


def test_texts_that_are_too_many_for_one_text_are_a_mistake_of_the_run(tmp_path: Path) -> None:
    do = "reply: \"${{ [event.body, event.body].join(', ') }}\""
    bench = Bench.load(rules(tmp_path, do))
    with pytest.raises(RunFailed, match="the joined text is longer than 16384 letters"):
        bench.react(sms("a" * 9000))
    assert bench.react(sms("a")).texts == ["a, a"]


def test_all_events_of_a_burst_are_counted(tmp_path: Path) -> None:
    """The texts of the first 200 are kept."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules: [{name: it, on: message.received, once_after: 5s,\n"
        "  do: [{reply: '${{ burst.count }} ${{ size(burst.texts) }}'}]}]\n"
    )
    bench = Bench.load(path)
    for number in range(230):
        bench.react(sms(f"text {number}"))
    assert bench.wait("5s").texts == ["230 200"]


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ('dial: {number: "${{ lists.team }}"}', "'number'"),
        ('dial: "${{ lists.team }}"', "'number'"),
        ('dial: {conference: "team ${{ lists.team }}"}', "'conference'"),
        ('dial: {number: +15550100001, caller_id: "${{ lists.team }}"}', "'caller_id'"),
        ('send: {to: +15550100001, from: "${{ lists.team }}", body: x}', "'from'"),
        ('send: {to: "+1${{ lists.team }}", body: x}', "a text of 'to'"),
        ('call: {to: +15550100001, from: "${{ lists.team }}", say: x}', "'from'"),
        ('call: {to: +15550100001, url: "${{ lists.team }}"}', "'url'"),
        ('enqueue: "${{ lists.team }}"', "'queue'"),
        ('end_call: "${{ lists.team }}"', "'call'"),
        ('notify: {text: x, webhook: "${{ lists.team }}"}', "'webhook'"),
        ('http: "${{ lists.team }}"', "'url'"),
        ('wait_for: {key: "${{ lists.team }}"}', "'key'"),
    ],
)
def test_a_list_where_one_address_is_needed_is_a_mistake_with_its_place_and_mend(
    tmp_path: Path, do: str, what: str
) -> None:
    (found,) = problems(rules(tmp_path, do))
    place = f"6:{do.index('lists') + 9}"
    mend = "take one of them: lists.team[0]"
    assert found == f"{place}: {what} takes one value, and lists.team is a list ({mend})"


@pytest.mark.parametrize(
    "do",
    [
        'dial: "${{ lists.team[0] }}"',
        'reply: "We are ${{ lists.team }}."',
        'say: "${{ lists.team }}"',
        'gather: {say: Who?, input: speech, hints: "${{ lists.team }}"}',
        'send: {to: [+15550100001, "${{ lists.team[1] }}"], body: x}',
    ],
)
def test_a_list_in_prose_and_one_of_a_list_are_good(tmp_path: Path, do: str) -> None:
    assert problems(rules(tmp_path, do)) == []


@pytest.mark.parametrize(
    ("number", "noun"),
    [
        ("sip:alice@example.org", "<Sip>sip:alice@example.org</Sip>"),
        ("sips:alice@example.org:5061", "<Sip>sips:alice@example.org:5061</Sip>"),
        ("client:alice", "<Client>alice</Client>"),
        ("+15550100001", "<Number>+15550100001</Number>"),
        ("+1 (555) 010-0001", "<Number>+1 (555) 010-0001</Number>"),
        ("${{ 'sip:' + event.from + '@example.org' }}", "<Sip>sip:+14155550123@example.org</Sip>"),
    ],
)
def test_the_noun_of_a_dial_is_that_of_its_address(tmp_path: Path, number: str, noun: str) -> None:
    (answer,) = Bench.load(rules(tmp_path, f'dial: "{number}"')).react(incoming_call()).actions
    assert isinstance(answer, AnswerCall)
    assert f"<Dial>{noun}</Dial>" in twiml.document(answer.verbs)


@pytest.mark.parametrize(
    "number", ["alice", "alice@example.org", "http://example.org", "lists.team"]
)
def test_a_dial_to_what_is_no_address_is_a_mistake(tmp_path: Path, number: str) -> None:
    (found,) = problems(rules(tmp_path, f'dial: {{number: "{number}"}}'))
    assert f"{number!r} is no address; write +15551234567, sip:… or client:…" in found
