"""Cases beside the rules: they run on the whole project, and each way to be wrong has its place."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringback.errors import RuleErrors
from ringback.testing.cases import parse_moment, run_cases

ROOT = Path(__file__).parents[2]
RULES = """rules:
  - name: hello
    on: message.received
    if: ["event.body != 'bad'", "event.body != 'worse'"]
    do: [{reply: "Hi ${{ event.body }}"}, {notify: {text: x, key: k}}]
  - name: broken
    on: message.received
    if: event.body == 'boom'
    do: [{reply: "${{ int(event.body) }}"}]
cases:
"""


def problems(tmp_path: Path, cases: str) -> list[str]:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES + cases)
    results = run_cases(path)
    assert results
    found = [result.problem for result in results if result.problem is not None]
    return [f"{each.line}:{each.column}: {each.message}" for each in found]


def test_the_cases_of_this_project_are_good() -> None:
    results = run_cases(ROOT)
    assert len(results) >= 6
    assert [str(result.problem) for result in results if not result.good] == []


def test_a_good_case(tmp_path: Path) -> None:
    case = (
        "  - name: good\n    given: [text: Ada]\n    fired: [hello]\n"
        "    expect: [reply: Hi Ada, notify: {key: k}]\n    why: {broken: 'if:1', hello: fired}\n"
    )
    assert problems(tmp_path, case) == []


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("given: [text: Ada]\n    expect: [reply: Hi Eve, notify]", "13:14: body was 'Hi Ada'"),
        ("given: [text: Ada]\n    expect: [reply]", "13:13: besides: notify: x"),
        ("given: [text: Ada]\n    expect: [reply, notify, stop]", "13:29: no rule did this"),
        ("given: [text: Ada]\n    expect: [say: Hi]", "13:14: it was reply: Hi Ada"),
        ("given: [text: Ada]\n    expect: [reply: {x: y}]", "13:14: reply has no 'x'; it has"),
        ("given: [text: Ada]\n    expect: [{a: b, c: d}]", "13:14: one line is one step"),
        ("given: [text: Ada]\n    fired: []", "13:12: fired were hello"),
        ("given: [text: worse]\n    why: {hello: fired}", "13:11: hello: if:2"),
        ("given: [text: Ada, text: worse]\n    why: {hello: fired}", "13:11: hello: if:2"),
        ("given: [text: Ada]\n    why: {nobody: fired}", "13:11: nobody: it did not look"),
        ("given: [txt: Ada]", "12:13: 'txt' is nothing that can happen; did you mean 'text'?"),
        ("given: [Ada]", "12:13: one line is one thing that happens, like `text: Hello` or "),
        ("given: [wait: soon]", "12:13: 'soon' is not a span of time"),
        ("given: [text: A]\n    at: 2026-11-20 22:00", "13:9: '2026-11-20 22:00' has no time zone"),
        ("given: [message: Hello]", "12:13: 'Hello' is no status of a message of ours; known: "),
        ("given: [message: deliverd]", "12:13: 'deliverd' is no status of a message of ours; did"),
        ("given: [message: {error: 30003}]", "12:13: 'status' is missing; a message of ours is"),
        ("given: [message: {status: failed, error: x}]", "12:13: an error is a number of Twilio's"),
        ("given: [message: [delivered]]", "12:13: ['delivered'] cannot be read here; write it"),
        ("given: [text: [a, b]]", "12:13: ['a', 'b'] cannot be read here; write it like `text: "),
        ("given: [call: hello]", "12:13: 'hello' cannot be read here; write it like `call: {}`"),
        ("given: [call_status: hung]", "12:13: 'hung' is no status of a call; known: initiated, "),
        ("given: [call_status: {}]", "12:13: 'status' is missing; a call is one of initiated, "),
        ("given: [dialed: nope]", "12:13: 'nope' is no status of a call that was dialed; known: "),
        ("given: [schedule: nobody]", "12:13: 'nobody' is not the name of a rule with a schedule"),
        ("given: [silence: 3]", "12:13: '3' cannot be read here; write it like `silence: {}`"),
        ("given: [keys: [1, 2]]", "12:13: ['1', '2'] cannot be read here; write it like `keys: "),
        ("given: []", "12:12: 'given' must not be empty"),
        ("given: [text: Ada]\n    expects: []", "13:5: unknown key 'expects'"),
    ],
)  # fmt: skip
def test_each_way_to_be_wrong_has_its_place(tmp_path: Path, case: str, problem: str) -> None:
    (found,) = problems(tmp_path, f"  - name: wrong\n    {case}\n")
    assert found.startswith(problem)


HTTP = """rules:
  - name: order
    on: message.received
    do:
      - http:
          url: https://example.org/x
          json: {a: {b: 5, c: [x, "${{ 1.5 }}"], n: null}, urls: ["${{ event.from }}"], ok: true}
cases:
"""


@pytest.mark.parametrize(
    ("json", "problem"),
    [
        ("{ok: true}", ""),
        ("{a: {b: 5}}", ""),
        ("{a: {c: [x, 1.5]}, urls: +14155550123}", ""),
        ("{a: {n: null}, urls: [+14155550123]}", ""),
        ("{a: {b: 6}}", "json.a.b was 5"),
        ("{a: {c: [x, y]}}", "json.a.c 2 was 1.5"),
        ("{a: {c: [x]}}", "json.a.c was ['x', 1.5]"),
        ("{a: {d: 5}}", "json.a has no 'd'; it has b, c, n"),
        ("{a: 5}", "json.a was {"),
        ("{b: 5}", "json has no 'b'; it has a, ok, urls"),
    ],
)
def test_of_a_nested_json_a_case_names_what_it_looks_at(
    tmp_path: Path, json: str, problem: str
) -> None:
    path = tmp_path / "rules.yaml"
    case = f"  - {{name: one, given: [text: x], expect: [http: {{json: {json}}}]}}\n"
    path.write_text(HTTP + case)
    (result,) = run_cases(path)
    assert (str(result.problem.message) if result.problem else "").startswith(problem)
    assert result.good is not bool(problem)


PEOPLE = """rules:
  - name: keys
    on: call.gathered
    if: event.field('Direction') == 'outbound-api'
    do: [{send: {to: "${{ event.to }}", body: "You pressed ${{ event.digits }}."}}]
  - name: pressed
    on: call.gathered
    if: event.field('Direction') == 'inbound'
    do: [{send: {to: "${{ event.from }}", body: "In ${{ event.digits }}."}}]
  - name: forward
    on: message.received
    if: event.body.begins_with('tell')
    do: [{send: {to: +15550100001, body: "${{ event.body }}"}}, {wait: 1m}, {reply: Told.}]
  - name: say
    on: message.received
    if: event.body == 'hi'
    do: [{send: {to: "${{ event.from }}", from: "${{ event.to }}", body: Hello.}}]
  - name: alarm
    on: action.failed
    do: [{notify: "${{ event.to }}: ${{ event.error_class }} (${{ event.field('Rule') }})"}]
  - name: again
    on: message.undelivered
    if: event.error_code == 30003
    do: [{call: {to: "${{ event.to }}", say: Please look.}}]
cases:
"""


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("keys: {Digits: '1234', placed: true}", "send: You pressed 1234."),
        ("keys: {Digits: '1', placed: true, to: +15550100002}", "send: {to: +15550100002}"),
        ("keys: {Digits: '12'}", "send: In 12."),
        ("keys: '12'", "send: In 12."),
        ("text: hi", "send: Hello."),
        ("text: hi", "reply: Hello."),
        ("text: hi, wait: 1m", "send"),
        ("text: tell x, text: {from: +15550100003, body: y}, wait: 1m",
         "send: {to: +15550100001}, reply: Told."),
        ("text: tell x, fails: 30003",
         "send, call: {to: +15550100001}, notify: '+15550100001: recipient_unreachable (forward)'"),
        ("text: tell x, fails: {error: 21610}",
         "send, notify: '+15550100001: recipient_opted_out (forward)'"),
        ("text: tell x, text: hi, fails: {to: +15550100001, error: 21610}",
         "send, send, notify: '+15550100001: recipient_opted_out (forward)'"),
    ],
)  # fmt: skip
def test_a_case_presses_keys_in_our_calls_lets_sends_fail_and_says_send_as_the_rule(
    tmp_path: Path, given: str, expect: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"{PEOPLE}  - {{name: one, given: [{given}], expect: [{expect}]}}\n")
    (result,) = run_cases(path)
    assert result.problem is None, result.problem


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("fails: 30003", "nothing was sent that could fail"),
        ("text: hi, fails: {to: +15550100009}", "nothing was sent to +15550100009 that could"),
        ("text: hi, fails: {code: 1}", "fails has no 'code'; it has error, to, status, reason"),
    ],
)
def test_a_failure_of_nothing_is_a_mistake_of_the_case(
    tmp_path: Path, given: str, says: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"{PEOPLE}  - {{name: one, given: [{given}], expect: []}}\n")
    (result,) = run_cases(path)
    assert says in str(result.problem)


def test_why_is_the_verdict_on_the_last_event(tmp_path: Path) -> None:
    """Also of a rule that fired before, such as one of which a run is still under way."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - {name: q, on: message.received, mode: queued, max: 1, do: [{reply: one}, "
        "{wait: 1h}, {reply: two}]}\ncases:\n  - name: no place in the queue\n"
        "    given: [text: a, text: b, wait: 5m]\n    fired: [q]\n    why: {q: queued}\n"
    )
    assert [str(result.problem) for result in run_cases(path) if not result.good] == []


def test_a_run_that_fails_fails_its_case(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "  - name: wrong\n    given: [text: boom]\n")
    assert found.startswith("12:13: broken: failed: step `reply` (line 9)")


def test_each_case_begins_with_nothing_in_the_past(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - {name: once, on: message.received, once_within: 1d, do: [{notify: x}]}\n"
        "cases:\n  - {name: a, given: [text: x], expect: [notify]}\n"
        "  - {name: b, given: [text: x, text: y], expect: [notify]}\n"
    )
    assert [result.good for result in run_cases(path)] == [True, True]


def test_rules_that_do_not_load_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{name: a, on: nope, do: [stop]}]\ncases: []\n")
    with pytest.raises(RuleErrors, match="unknown event type"):
        run_cases(path)


def test_cases_that_are_no_list_say_so(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors, match="11:3: schema: 'cases' needs a list"):
        problems(tmp_path, "  name: x\n")


@pytest.mark.parametrize(
    "text", ["soon", "2026-13-01 00:00 UTC", "2026-11-20 22:00 Mars/Olympus", ""]
)
def test_moments_that_cannot_be_read_say_so(text: str) -> None:
    with pytest.raises(ValueError, match="America/New_York"):
        parse_moment(text)


def test_moments() -> None:
    winter = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
    assert parse_moment("2026-11-20 22:00 America/New_York") == winter
    assert parse_moment("2026-11-21T03:00:00Z") == winter


def test_a_project_without_rules_has_no_cases(tmp_path: Path) -> None:
    (tmp_path / "ringback.toml").touch()
    assert run_cases(tmp_path) == []
    (tmp_path / "rules" / "deep").mkdir(parents=True)
    (tmp_path / "rules" / "deep" / "a.yml").write_text(
        "rules: [{name: a, on: message.received, do: [{notify: x}]}]\n"
        "cases: [{name: one, given: [text: x], expect: [notify: x]}]\n"
    )
    assert [(each.file, each.good) for each in run_cases(tmp_path)] == [("rules/deep/a.yml", True)]


def test_what_is_chosen_by_chance_does_not_depend_on_the_cases_before(tmp_path: Path) -> None:
    """So that a case can send back the code that its rule has made."""
    path = tmp_path / "code.yaml"
    case = "  - {name: NAME, given: [text: a, text: b], expect: [reply: one, reply: two]}\n"
    path.write_text(
        "rules:\n  - {name: it, on: message.received, do: [{reply: '${{ random_digits(9) }}'}]}\n"
        f"cases:\n{case.replace('NAME', 'first')}{case.replace('NAME', 'last')}"
    )
    first, last = run_cases(path)
    (alone,) = run_cases(path, pick=["last"])
    assert first.story == last.story == alone.story
    assert first.story[1] != first.story[3]
