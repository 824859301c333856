"""The manual's page about the gateway: it names all there is, and its examples run."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ringback import errors
from ringback.cli.doctor_checks import CHECKS
from ringback.cli.gateway import gateway
from ringback.gateway import webhook_setup
from ringback.gateway.catalogue import OPERATIONS
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.sync import SyncGateway
from ringback.twilio import explain

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text("utf-8")


def section(heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}$\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, heading
    return found[1]


def row(text: str, first: str) -> str:
    found = re.search(rf"^\| `{re.escape(first)}` \|(.*)$", text, re.M)
    assert found, f"no row for {first}"
    return found[1]


def test_every_command_has_its_place() -> None:
    text = section("From the shell")
    for resource, group in gateway.commands.items():
        assert isinstance(group, click.Group)
        assert re.findall(r"`([a-z-]+)`", row(text, resource)) == list(group.commands)


def test_every_method_has_its_place() -> None:
    text = section("From Python")
    subject = Gateway(Credentials.direct("AC" + "0" * 32, "t" * 32))
    for resource in {name.partition(".")[0] for name, _ in OPERATIONS} | {"connections"}:
        collection = getattr(subject, resource)
        listed = set(re.findall(r"[a-z]+", row(text, resource)))
        public = {name for name in dir(collection) if not name.startswith("_")}
        assert public <= listed


def test_every_error_has_its_place() -> None:
    text = section("Errors")
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.GatewayError):
            assert f"`{name}`" in text


def test_every_cause_of_a_refusal_has_its_place() -> None:
    text = section("Why was a webhook refused?")
    source = Path(explain.__file__).read_text("utf-8")
    kinds = set(explain._SAYS) | set(re.findall(r'Cause\(\s*"([a-z-]+)"', source))
    for kind in kinds - {"none"}:
        assert f"`{kind}`" in text, kind


def test_every_check_of_the_doctor_has_its_place() -> None:
    text = section("Doctor")
    source = Path(CHECKS[0].__code__.co_filename).read_text("utf-8")
    names = set(re.findall(r'Finding\(\s*"([a-z -]+)"', source))
    for name in names | {"settings", "rules", "plugins"}:
        assert name in text, name


def test_the_webhook_setup_is_as_written() -> None:
    text = section("Pointing numbers at a node")
    urls = webhook_setup.wanted("PUBLIC_URL")
    for url in set(urls.values()):
        assert f"`{url}`" in text
    for sid in ("PN" + "0" * 32, "AP" + "0" * 32):
        for name in webhook_setup.values_for(webhook_setup.Target(sid, "x"), urls):
            assert f"`{name}`" in text or name.endswith("_method")


def test_what_is_imported_in_the_examples_exists() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        scope: dict[str, object] = {}
        exec(block, scope)  # it only defines functions; test_gateway_shell.py runs them
        assert scope.get("Gateway", Gateway) is Gateway
        assert scope.get("SyncGateway", SyncGateway) is SyncGateway


@pytest.mark.parametrize("line", re.findall(r"^ringback (gateway .*)$", PAGE, re.M))
def test_every_command_line_can_be_read(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = gateway
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found
    command.make_parser(click.Context(command)).parse_args(words)
