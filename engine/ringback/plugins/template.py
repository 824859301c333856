"""Template for `ringback plugins new`: a plugin that works, and a test that passes."""

import keyword

from ringback.errors import UsageError

_PLUGIN = '''"""{title}: what this plugin does, in one line."""

from ringback import Event, SendMessage, reply, rule


@rule("message.received", if_="event.body.keyword('{word}')", once_within="1m")
def {name}(event: Event) -> SendMessage:
    """Answer a text that has {word} in it."""
    return reply(event, "You wrote {word}.")
'''

_TEST = '''"""The plugin {name}, tried without a network."""

from pathlib import Path

from ringback.testing import Bench, sms

PLUGIN = Path(__file__).parents[1] / "plugins" / "{name}.py"


def test_it_answers() -> None:
    """A text that has {word} in it gets an answer."""
    bench = Bench.load(PLUGIN)
    assert bench.react(sms("{word}")).texts == ["You wrote {word}."]


def test_it_leaves_other_texts_alone() -> None:
    """The reason is the first line of `if`."""
    bench = Bench.load(PLUGIN)
    assert bench.react(sms("something else")).why_not("{name}.{name}") == "if:1"
'''


def files_for(name: str) -> dict[str, str]:
    """The files of a new plugin: paths inside the project, and what to write into each.

    Raises UsageError when the name cannot be a module's name.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise UsageError(
            f"{name!r} cannot be a plugin's name: write small letters, digits and _, such as "
            "parking_info"
        )
    words = {
        "name": name,
        "title": name.replace("_", " ").strip().capitalize(),
        "word": name.replace("_", " ").strip().lower(),
    }
    return {
        f"plugins/{name}.py": _PLUGIN.format(**words),
        f"tests/test_{name}.py": _TEST.format(**words),
    }
