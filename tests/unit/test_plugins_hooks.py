"""The hooks: each is declared, used by a bundled plugin, documented with its arguments, tested."""

import inspect
import logging
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ringback.actions import AnswerCall, Notify
from ringback.plugins import hookspecs
from ringback.plugins.context import Context, context_for
from ringback.plugins.loader import PluginSet, hook_callers, load_plugins
from ringback.rules.language.scope import NoFacts
from ringback.runtime import REAL
from ringback.testing.events import incoming_call, message_status, settled
from ringback.verbs import Enqueue, Say

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundled() -> PluginSet:
    """The plugins of this repository, as a project loads them."""
    return load_plugins(ROOT / "plugins")


def caller(found: PluginSet, hook: str, plugin: str):  # type: ignore[no-untyped-def]
    """The function of one plugin for a hook, with its context."""
    for each, function in hook_callers(found, hook):
        if each.name == plugin:
            context = context_for(plugin, each.config, clock=REAL, store=NoFacts())
            return function, context
    raise AssertionError(f"{plugin} has no {hook}")


def test_the_bundled_plugins_load_without_a_problem(bundled: PluginSet) -> None:
    """All of them, under their names."""
    assert bundled.problems == []
    assert [plugin.name for plugin in bundled.plugins] == [
        "auto_reply", "call_queue", "delivery_alerts", "missed_call", "opt_out",
        "retry_failed",
    ]  # fmt: skip


def test_hooks_lists_exactly_the_specs() -> None:
    """`HOOKS` is what pluggy knows, with exactly the arguments that the design fixes."""
    specs = {
        name: list(inspect.signature(value).parameters)
        for name, value in vars(hookspecs).items()
        if hasattr(value, "ringback_spec")
    }
    assert specs == {
        "on_event": ["event", "ctx"],
        "on_settled": ["action", "ctx"],
        "register_steps": ["register"],
        "register_functions": ["register"],
        "register_commands": ["cli"],
        "startup": ["ctx"],
        "shutdown": ["ctx"],
    }
    assert tuple(specs) == hookspecs.HOOKS


@pytest.mark.parametrize("hook", hookspecs.HOOKS)
def test_each_hook_is_used_documented_and_tested(bundled: PluginSet, hook: str) -> None:
    """A bundled plugin implements it, the manual has it as a heading, a test bears its name."""
    assert hook_callers(bundled, hook)
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    manual = (ROOT / "docs" / "plugins.md").read_text()
    assert re.search(rf"^### `{hook}\({arguments}\)`$", manual, re.MULTILINE)
    assert f"test_hook_{hook}" in Path(__file__).read_text()
    assert inspect.getdoc(getattr(hookspecs, hook))


def test_hook_on_event(bundled: PluginSet) -> None:
    """It sees every type of event, and what it returns is an action like a rule's."""
    on_event, ctx = caller(bundled, "on_event", "delivery_alerts")
    assert on_event(event=message_status("delivered"), ctx=ctx) is None
    notice = on_event(event=message_status("failed", error_code=20003), ctx=ctx)
    assert isinstance(notice, Notify)
    assert notice.key == "delivery/account/20003"


def test_hook_on_settled(bundled: PluginSet) -> None:
    """It hears the end of an action, with what became of it and why."""
    on_settled, ctx = caller(bundled, "on_settled", "delivery_alerts")
    assert on_settled(action=settled(), ctx=ctx) is None
    notice = on_settled(action=settled(state="parked", reason="no evidence", rule="a.b"), ctx=ctx)
    assert notice.text == "send_message of rule a.b waits for a decision: no evidence"


def test_hook_register_steps(bundled: PluginSet) -> None:
    """The step of a plugin is known by its name and gives actions."""
    (step,) = [step for step in bundled.steps if step.name == "hold"]
    event = incoming_call()
    assert step.run(event, {"queue": "support", "say": "Hello."}) == (
        AnswerCall(event.call_sid, (Say("Hello."), Enqueue("support"))),
    )


def test_hook_register_functions(bundled: PluginSet) -> None:
    """The function of a plugin is known by its name and types."""
    (function,) = [each for each in bundled.functions if each.name == "opt_out_word"]
    assert (function.args, function.returns) == (("string",), "string")
    assert function.call(" Stop ") == "STOP"


def test_hook_register_commands(bundled: PluginSet) -> None:
    """The command of a plugin is a command of the shell."""

    @click.group()
    def cli() -> None: ...

    for _, register in hook_callers(bundled, "register_commands"):
        register(cli=cli)
    runner = CliRunner()
    assert runner.invoke(cli, ["opt-out-word", "STOP"]).output == "STOP\n"
    assert runner.invoke(cli, ["opt-out-word", "STOP 12345"]).output == "an ordinary text\n"


def test_hook_startup(tmp_path: Path) -> None:
    """It may refuse a configuration that is right by itself but cannot work."""
    table = {"delivery_alerts": {"via": "webhook"}}
    found = load_plugins(ROOT / "plugins", config=table)
    startup, ctx = caller(found, "startup", "delivery_alerts")
    with pytest.raises(ValueError, match="needs url"):
        startup(ctx=ctx)
    found.close()


def test_hook_shutdown(bundled: PluginSet, caplog: pytest.LogCaptureFixture) -> None:
    """It is the last word of a plugin; its log carries the plugin's name."""
    shutdown, ctx = caller(bundled, "shutdown", "delivery_alerts")
    with caplog.at_level(logging.INFO):
        shutdown(ctx=ctx)
    (record,) = caplog.records
    assert record.name == "ringback.plugin.delivery_alerts"
    assert record.getMessage() == "0 messages failed in the last 900 s"


def test_the_context_speaks_of_the_contact(bundled: PluginSet) -> None:
    """The other side of an event, of an action, or of a conversation given as text."""
    ctx: Context = caller(bundled, "startup", "auto_reply")[1]
    event = message_status("delivered")
    contact = ctx.contact(event)
    assert (contact.ours, contact.number) == (event.ours, event.theirs)
    assert ctx.contact(settled()).conversation == ctx.contact(event.conversation).conversation
    assert (contact.message_count, contact.last_inbound(), contact.recall("x", "y")) == (
        0, None, "y",
    )  # fmt: skip
    assert contact.remember("day", "Monday").value == "Monday"
    assert contact.forget("day").value is None
