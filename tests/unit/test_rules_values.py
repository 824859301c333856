"""Values: numbers as people write them, the types of JSON, and what a run has just remembered."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.actions import HttpRequest, Remember
from ringback.config import Settings
from ringback.rules.language.numbers import has_number, number, number_text
from ringback.testing import Bench, call_step, incoming_call, sms


def bench(tmp_path: Path, do: str, on: str = "message.received") -> Bench:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "lists: {team: ['+15550100001', '+15550100002']}\n"
        f"rules:\n  - name: it\n    on: {on}\n    do:\n{do}\n"
    )
    return Bench.load(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$9,000", 9000), ("9 000", 9000), ("9\u00a0000", 9000), ("9\u202f000,50", 9000.5),
        ("9.000 EUR", 9000), ("9k", 9000), ("9 k please", 9000), ("2.5K", 2500), ("1,5k", 1500),
        ("1,500 dollars", 1500), ("12345.67", 12345.67), ("1234567.89", 1234567.89),
        ("US$1,500.00", 1500), ("1.234,56 €", 1234.56), ("R$ 1.234.567,89", 1234567.89),
        ("1'234.50 CHF", 1234.5), ("12,34,567.50", 1234567.5), ("2 million", 2_000_000),
        ("3 thousand", 3000), ("-5 degrees", -5), ("-$5.50", -5.5), ("\u22125", -5),
        ("table-4", 4), ("0,125", 0.125), ("0.750 kg", 0.75), ("3,5", 3.5), ("98.6", 98.6),
        ("\uff19\uff0c\uff10\uff10\uff10\u5186", 9000), ("\uffe5\uff11\uff0e\uff15", 1.5),
        (".5 miles", 0.5), ("007", 7), ("9kg", 9), ("5km", 5), ("table for 4", 4),
        ("on 2026-11-20", 2026), ("20.11.2026", 20), ("1,2,3", 1), ("at 14:30", 14),
        ("Dec 25 2026", 25), ("415 555 0310", 415), ("+1 415 555 0310", 1), ("١٢٣", 123),
        ("4,000.", 4000), ("9.000,-", 9000), ("between 2-3", 2), ("2x3", 2),
        ("1.5M", 1_500_000), ("$2M", 2_000_000), ("1.5m", 1.5), ("2 M", 2), ("2Mb", 2),
        ("1,5 Mio.", 1_500_000), ("3bn", 3_000_000_000), ("1/2", 0.5), ("½", 0.5), ("-½", -0.5),
        ("2½", 2.5), ("2 ½ cups", 2.5), ("2 1/2", 2.5), ("a 3/4 inch", 0.75), ("1\u20442", 0.5),
        ("⅔", 2 / 3), ("½ million", 500_000), ("9/10", 9), ("4/5 stars", 4), ("12/31/2026", 12),
        ("1/2/2026", 1), ("3/14", 3), ("10 1/2/2026", 10), ("5%", 5), ("12.5 %", 12.5), ("-5", -5),
        ("٣", 3), ("١٬٥٠٠", 1500), ("१२", 12), ("１２", 12), ("1,5", 1.5), ("1e3", 1), ("3rd", 3),
    ],
)  # fmt: skip
def test_a_number_is_what_it_looks_like_to_people(text: str, value: float) -> None:
    assert number(text) == value
    assert has_number(text)


@pytest.mark.parametrize("text", ["", "nine", "k", "$", ".", "--", "no, thanks", "M", "x²", "/"])
def test_a_text_without_a_number_has_none(text: str) -> None:
    assert not has_number(text)
    with pytest.raises(ValueError, match="no number in the text"):
        number(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("event.body.number()", "1234567.89"), ("12345.67", "12345.67"), ("5.0", "5"),
        ("1e22", "1" + "0" * 22), ("1e-7", "0.0000001"), ("0.1 + 0.2", "0.3"),
        ("1.1 * 3.0", "3.3"), ("-0.0", "0"), ("string(event.body.number())", "1234567.89"),
        ("'about ' + string(12345678.5)", "about 12345678.5"), ("1234567.89 * 10.0", "12345678.9"),
        ("123456789012", "123456789012"), ("1.0 / 3.0", "0.3333333333333333"),
    ],
)  # fmt: skip
def test_a_number_in_a_text_is_neither_rounded_nor_in_powers_of_ten(
    tmp_path: Path, source: str, text: str
) -> None:
    rules = bench(tmp_path, f'      - reply: "${{{{ {source} }}}}"')
    assert rules.react(sms("1234567.89")).texts == [text]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_written_is_the_same_when_it_is_read(value: float) -> None:
    text = number_text(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("5", 5), ('"5"', "5"), ("-0.5", -0.5), ("true", True), ("'true'", "true"), ("null", None),
        ("007", "007"), ("+15550100009", "+15550100009"), ("1e5", "1e5"), ("yes", "yes"),
        ('"${{ event.body.number() }}"', 1234.5), ('"${{ 2.0 + 1.0 }}"', 3),
        ('"${{ event.media_count }}"', 0), ('"${{ event.media_count == 0 }}"', True),
        ('"${{ lists.team }}"', ["+15550100001", "+15550100002"]),
        ('"n = ${{ 5 }}"', "n = 5"), ('"${{ event.at }}"', "2026-03-04T17:00:00Z"),
        ('"${{ [1, 2] }}"', [1, 2]), ("\"${{ {'a': 1.5, 'b': 2.0} }}\"", {"a": 1.5, "b": 2}),
        ('[1, "${{ 1 + 1 }}", "${{ lists.team }}"]', [1, 2, "+15550100001", "+15550100002"]),
        ('{a: {b: "${{ event.body.number() }}"}}', {"a": {"b": 1234.5}}),
    ],
)  # fmt: skip
def test_a_value_in_the_json_of_an_http_step_keeps_its_type(
    tmp_path: Path, written: str, sent: Any
) -> None:
    do = f"      - http: {{url: 'https://example.org/x', json: {{value: {written}}}}}"
    (action,) = bench(tmp_path, do).react(sms("1,234.50")).actions
    assert isinstance(action, HttpRequest)
    assert action.json == {"value": sent}
    assert type(action.json["value"]) is type(sent)


def test_what_is_remembered_stays_a_text(tmp_path: Path) -> None:
    do = "      - remember: {n: 1.50, sum: '${{ 1234567.5 }}', team: '${{ lists.team }}'}"
    made = bench(tmp_path, do).react(sms("x")).actions
    assert [each.value for each in made if isinstance(each, Remember)] == [
        "1.50", "1234567.5", "+15550100001, +15550100002",
    ]  # fmt: skip


def test_a_run_knows_what_it_has_just_remembered_and_forgotten(tmp_path: Path) -> None:
    do = """
      - reply: "1 ${{ remembered('name') }}"
      - remember: {name: "${{ event.body }}"}
      - reply: "2 ${{ remembered('name') }}"
      - remember: {name: "${{ remembered('name') + '!' }}"}
      - choose:
          - if: remembered('name') == event.body + '!'
            do: [{reply: "3 ${{ remembered('name') }}"}]
      - wait: 1h
      - reply: "4 ${{ remembered('name') }}"
      - forget: name
      - reply: "5 ${{ remembered('name') }}"
    """
    rules = bench(tmp_path, do)
    assert rules.react(sms("Ada")).texts == ["1 ", "2 Ada", "3 Ada!"]
    assert rules.wait("1h").texts == ["4 Ada!", "5 "]
    assert rules.react(sms("Eve")).texts == ["1 ", "2 Eve", "3 Eve!"]


def test_a_field_of_the_reply_is_read_by_its_name(tmp_path: Path) -> None:
    do = """
      - record: {max_length: 1m}
      - send: {to: '+15550100001', body: "${{ reply.field('RecordingDuration') }} s"}
    """
    rules = bench(tmp_path, do, "call.received")
    call = incoming_call()
    rules.react(call)
    sid = call.call_sid
    step = call_step(CallSid=sid, RecordingUrl="https://x.test/r", RecordingDuration="7")
    assert rules.react(step).texts == ["7 s"]


def test_a_condition_of_a_rule_cannot_ask_for_a_reply(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules: [{name: it, on: message.received, if: \"reply.field('X') == ''\", do: [hangup]}]"
    )
    with pytest.raises(Exception, match=r"'reply\.field' is not known yet"):
        Bench.load(path)


def test_a_list_fills_the_list_of_a_step_of_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "page.py").write_text(
        "from ringback import hookimpl, notify\n\n\n"
        "def page(people: list[str], text: str):\n"
        "    return [notify(f'{one}: {text}') for one in people]\n\n\n"
        "@hookimpl\ndef register_steps(register):\n    register('page', page)\n"
    )
    (tmp_path / "rules" / "a.yaml").write_text(
        "lists: {team: [a, b]}\nrules:\n  - name: it\n    on: message.received\n"
        '    do: [{page: {people: "${{ lists.team }}", text: "${{ event.media_count }}"}}]\n'
    )
    made = Bench.load(tmp_path).react(sms("x")).actions
    assert [getattr(each, "text", "") for each in made] == ["a: 0", "b: 0"]


def test_an_amount_in_json_has_the_figures_that_a_text_has(tmp_path: Path) -> None:
    """0.1 + 0.2 is 0.3 there too; nothing is rounded."""
    sums = {"0.1 + 0.2": 0.3, "1234567.89 * 10.0": 12345678.9, "1.0 / 3.0": 1 / 3, "1e-7": 1e-7}
    values = ", ".join(f'"${{{{ {each} }}}}"' for each in sums)
    do = f"      - http: {{url: 'https://example.org/x', json: {{sums: [{values}]}}}}"
    (action,) = bench(tmp_path, do).react(sms("x")).actions
    assert isinstance(action, HttpRequest)
    assert action.json == {"sums": list(sums.values())}


@pytest.mark.parametrize("seconds", [1_234_567, 2_592_000.5, 0.25, 90, 1 / 3])
def test_a_span_in_seconds_is_what_a_plugin_says(tmp_path: Path, seconds: float) -> None:
    """Also one of more than eleven days; thousandths of a second are the finest."""
    source = "from ringback import reply, rule\n\n"
    source += (
        f"@rule('message.received', once_within={seconds})\ndef own(event):\n    return None\n"
    )
    (tmp_path / "own.py").write_text(source)
    (rule,) = Bench.load(tmp_path / "own.py").ruleset.rules
    assert rule.once_within == round(seconds, 3)


def test_a_budget_says_its_amounts_in_figures(tmp_path: Path) -> None:
    rule = "{name: r, on: message.received, budget: {price_per_day: 1234567.89}, do: [{reply: R}]}"
    (tmp_path / "rules.yaml").write_text(f"rules:\n  - {rule}\n")
    settings = Settings(project=tmp_path, segment_price=1_000_000.25)
    rules = Bench.load(tmp_path / "rules.yaml", settings=settings)
    rules.react(sms("a"))
    (held,) = rules.react(sms("b", from_="+14155550199")).held
    assert "budget: 1234567.89 a day by rule 'r'" in held.reason
    assert "this text would make it 2000000.5" in held.reason
