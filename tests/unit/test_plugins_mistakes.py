"""Mistakes of plugin authors: each is named where it is, with the mend, and not a broken worker."""

from pathlib import Path

import pytest

from ringback.errors import PluginError, RuleErrors
from ringback.plugins.loader import load_plugins
from ringback.plugins.perform import describe
from ringback.testing import Bench, incoming_call, sms

HEAD = (
    "from ringback import Gather, HttpRequest, Say, SendMessage, answer, call, end_call, enqueue\n"
    "from ringback import hookimpl, notify, reply, rule, say, send\n\n\n"
    "async def later():\n    return 'x'\n\n\n"
)


def plugin(tmp_path: Path, body: str, decorator: str = "@rule('message.received')") -> Path:
    path = tmp_path / "shop.py"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    path.write_text(f"{HEAD}{decorator}\ndef answers(event):\n{lines}\n")
    return path


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return reply(event, 42)", "`body` is 42, not a text; write str(42)"),
        ("return reply(event, None)", "`body` is None, not a text"),
        ("return reply(event, ['a', 'b'])", "`body` is a list, not one text"),
        ("return [notify('a'), reply(event, 4.5)]", "`body` is 4.5, not a text; write str(4.5)"),
        ("return send(['+15550100001', '+15550100002'], 'x')",
         "`to` is a list, not one text; return one action for each"),
        ("return send(15550100001, 'x')", "`to` is 15550100001, not a text"),
        ("return send('+15550100001', 'x', media='https://example.org/a.png')",
         "`media` is one text, not a list of them; write ('https://example.org/a.png',)"),
        ("return send('+15550100001', 'x', media=(1,))", "`media` has one that is 1, not a text"),
        ("return call('+15550100001', say=7)", "`verbs` has a say whose `text` is 7, not a text"),
        ("return call('+15550100001', say='x', timeout='long')",
         "`timeout` is 'long', not a whole number"),
        ("return notify(event)", "`text` is an event, not a text; write what of it, as event."),
        ("return send(event, 'x')", "`to` is an event, not a text"),
        ("return call('+15550100001', say=event)", "whose `text` is an event, not a text"),
        ("return HttpRequest('https://a.example', json='{}')", "`json` is '{}'; give the dict"),
        ("return HttpRequest('https://a.example', json={'x': {1}})", "`json` cannot be written"),
        ("return HttpRequest('https://a.example', headers='x')", "`headers` is 'x', not a dict"),
        ("return HttpRequest('https://a.example', headers={'A': 1})",
         "`headers` has 'A', which is 1, not a text; write str(1)"),
        ("return notify('x', severity='bad')",
         "`severity` is 'bad'; it is one of info, warning, error, critical"),
        ("return notify('x', resolved='yes')", "`resolved` is 'yes', not True or False"),
        ("return SendMessage('+15550100001', 'x', policy='never')", "`policy` is 'never'; it is"),
        ("return reply(event, later())", "`body` is not there yet: `await` is missing"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_named_with_the_mend(
    tmp_path: Path, body: str, says: str
) -> None:
    bench = Bench.load(plugin(tmp_path, body))
    with pytest.raises(PluginError) as caught:
        bench.react(sms("hi"))
    assert str(caught.value).startswith("plugin shop: returned a ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("reply('+15550100001', 'x')", "reply was given '+15550100001' in place of the event; to "
         "text a number, return send(number, text)"),
        ("reply(event.from_, 'x')", "reply was given '+1"),
        ("reply(None, 'x')", "reply was given None in place of the event"),
        ("say('x', event)", "say(event, text): say was given 'x'"),
        ("answer(Say('x'))", "answer was given Say("),
        ("enqueue('x', 'support')", "to call a number, return call(number, say=text)"),
        ("end_call(5)", "end_call was given 5 in place of the event"),
        ("end_call(None)", "end_call was given None"),
        ("end_call(event)", "message.received is about no call; listen to call.received"),
        ("answer(event, Say('x'))", "message.received is about no call"),
    ],
)  # fmt: skip
def test_what_stands_in_place_of_the_event_is_named_with_the_line(
    tmp_path: Path, wish: str, says: str
) -> None:
    """The place is the author's own, in the reason of the run."""
    bench = Bench.load(plugin(tmp_path, f"return {wish}"))
    with pytest.raises((TypeError, ValueError)) as caught:
        bench.react(sms("hi"))
    assert says in str(caught.value)
    line = len(HEAD.splitlines()) + 3
    assert describe(caught.value).endswith(f"(shop.py:{line})")


@pytest.mark.parametrize("verbs", ["[Say('x')]", "5", "Say", "'Hello'"])
def test_what_is_no_verb_is_named(tmp_path: Path, verbs: str) -> None:
    body = f"return answer(event, {verbs})"
    bench = Bench.load(plugin(tmp_path, body, "@rule('call.received')"))
    with pytest.raises(PluginError, match=r"`verbs` has .*verb"):
        bench.react(incoming_call())


def test_what_fits_is_let_through(tmp_path: Path) -> None:
    body = (
        "class Name(str):\n    pass\n"
        "return [reply(event, Name('x')), send('+15550100001', 'x', media=['https://e.org/a']),\n"
        "    call('+15550100001', say='x', timeout=20.0)]"
    )
    assert len(Bench.load(plugin(tmp_path, body)).react(sms("hi")).actions) == 3


def test_a_verb_inside_of_a_question_is_looked_at_too(tmp_path: Path) -> None:
    body = "return answer(event, Gather(prompts=(Say(5),)))"
    bench = Bench.load(plugin(tmp_path, body, "@rule('call.received')"))
    with pytest.raises(PluginError, match="has a gather whose `prompts` has a say whose `text` is"):
        bench.react(incoming_call())


def test_what_a_hook_returns_is_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(f"{HEAD}@hookimpl\ndef on_event(event):\n    return notify(5)\n")
    with pytest.raises(PluginError, match="whose `text` is 5, not a text"):
        Bench.load(path).react(sms("hi"))


CONVERSATION = HEAD + "@rule('message.received')\nasync def talk(event, convo):\n"


def conversation(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(CONVERSATION + "".join(f"    {line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ("name = convo.ask('Your name?')", "convo.tell(f'Hi {name}')"),
        ("convo.ask('Your name?')", "convo.tell('Hi')"),
        ("convo.tell('Hi ' + convo.ask('Your name?'))",),
        ("if convo.choose('Yes?', ['yes', 'no']) == 'yes':", "    convo.tell('Good')"),
    ],
)
def test_a_question_that_nobody_awaits_is_found_when_the_plugin_loads(
    tmp_path: Path, lines: tuple[str, ...]
) -> None:
    conversation(tmp_path, *lines)
    (found,) = load_plugins(tmp_path).problems
    assert found.line == 1 + (CONVERSATION + lines[0]).count("\n")
    assert "is not awaited: the question is never asked; write await convo." in str(found)


@pytest.mark.parametrize(
    "use",
    [
        "convo.tell(f'Hi {name}')", "convo.tell('Hi ' + name)", "convo.tell('Hi %s' % name)",
        "convo.tell(str(name))", "convo.tell(name)", "convo.tell(name.strip())",
        "convo.tell('x' if name else 'y')", "convo.tell('x' if name == 'Ada' else 'y')",
        "return reply(event, name)", "convo.tell(', '.join(name))", "convo.tell(name[0])",
    ],
)  # fmt: skip
def test_an_answer_that_is_not_awaited_never_reaches_a_customer(tmp_path: Path, use: str) -> None:
    """Also where no look at the code shows it: the question is asked through another name."""
    path = conversation(tmp_path, "question = convo.ask", "name = question('Your name?')", use)
    bench = Bench.load(path)
    with pytest.raises(PluginError, match=r"`?await`? (is missing|before the question)"):
        bench.react(sms("hi"))


@pytest.mark.parametrize(
    "lines",
    [
        ("name = await convo.ask('Your name?')", "convo.tell(f'Hi {name}')"),
        ("name = convo.ask('Your name?')", "convo.tell(f'Hi {await name}')"),
        ("def name():", "    return convo.ask('Your name?')", "convo.tell(f'Hi {await name()}')"),
    ],
)
def test_an_answer_that_is_awaited_somewhere_is_good(
    tmp_path: Path, lines: tuple[str, ...]
) -> None:
    bench = Bench.load(conversation(tmp_path, *lines))
    assert bench.react(sms("hi")).texts == ["Your name?"]
    assert bench.react(sms("Ada")).texts == ["Hi Ada"]


def test_a_bench_loads_a_package_by_its_folder_and_by_its_first_file(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    first = tmp_path / "shop" / "__init__.py"
    first.write_text(
        f"{HEAD}@rule('message.received')\ndef a(event):\n    return reply(event, 'x')\n"
    )
    for place in (first, first.parent):
        assert Bench.load(place).react(sms("hi")).texts == ["x"]


@pytest.mark.parametrize("name", ["_helper.py", ".hidden.py"])
def test_a_bench_of_what_is_no_plugin_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x = 1\n")
    with pytest.raises(RuleErrors, match="is no plugin: nothing was loaded; a file whose name"):
        Bench.load(tmp_path / name)
