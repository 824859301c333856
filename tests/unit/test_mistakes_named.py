"""Mistakes of set-up: each is named where it is, with the mend, by what a person tries."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.config import Settings
from ringback.errors import ConfigError, RuleErrors
from ringback.plugins.manifest import Manifest
from ringback.project import Project
from ringback.settings_mistakes import line_of
from ringback.store.upkeep.locks import hold
from ringback.testing import Bench


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("TWILIO_", "MATON_", "RINGBACK_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("command", ["check", "test"])
def test_check_and_test_outside_of_a_project_say_so(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([command]) == 2
    said = capsys.readouterr()
    assert "is no project: it has no ringback.toml, no rules/ and no plugins/" in said.err
    assert "good" not in said.out


@pytest.mark.parametrize("word", ["cancel_on", "unless"])
def test_a_condition_that_looks_at_the_first_event_and_not_at_what_comes_is_mentioned(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    """In the `if` of both the event that comes is `reply`; that is easily taken for `event`."""
    (folder / "rules").mkdir()
    within = "within: 1h, " if word == "unless" else ""
    rule = "{name: it, on: message.received, %s%s: {on: message.received, if: %s}, do: [wait_for]}"
    for said, mentioned in (("event.body == 'x'", True), ("reply.body == event.body", False)):
        text = f"rules:\n  - {rule % (within, word, said)}\n"
        (folder / "rules" / "all.yaml").write_text(text)
        assert run(["check"]) == 0
        heard = f"(rules/all.yaml:2: rule 'it': {word} does not look at what comes"
        assert (heard in capsys.readouterr().err) is mentioned


def test_a_bench_of_a_folder_that_is_no_project_says_so(folder: Path) -> None:
    """Such as the folder of the rules, or that above the project: of both nothing was loaded."""
    (folder / "shop" / "rules").mkdir(parents=True)
    (folder / "shop" / "rules" / "all.yaml").write_text("rules: []")
    for wrong in (folder, folder / "shop" / "rules"):
        with pytest.raises(RuleErrors, match="is no project: no ringback"):
            Bench.load(wrong)
    Bench.load(folder / "shop")


def test_check_inside_of_a_project_looks_at_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rules").mkdir()
    assert run(["check"]) == 0
    assert "0 rules and 0 plugins, all good" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["message", "hi"], ["call"], ["status", "SM1", "delivered"]], ids=lambda w: w[0]
)
def test_simulate_without_a_node_says_that_there_is_none(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    monkeypatch.setenv("RINGBACK_PORT", str(free_port()))
    assert run(["simulate", *words]) == 74
    said = capsys.readouterr().err
    assert "no node answers at http://127.0.0.1:" in said
    assert "start it: `ringback serve`" in said
    assert "which of our numbers" not in said


class _Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextmanager
def a_node() -> Iterator[int]:
    """Something that says that it is a ready node, on a port."""
    with HTTPServer(("127.0.0.1", 0), _Ready) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "words", [["message", "hi"], ["call"], ["status", "SM1", "delivered"]], ids=lambda w: w[0]
)
def test_simulate_names_a_node_that_may_be_another_projects(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    with a_node() as port:
        monkeypatch.setenv("RINGBACK_PORT", str(port))
        assert run(["simulate", *words]) == 2
        said = f"the node on port {port} does not use the data of this project"
        assert said in capsys.readouterr().err
        with hold(folder / "data", "receiver"):
            assert run(["simulate", *words]) == 2
        ours = capsys.readouterr().err
        assert "which of our numbers?" in ours
        assert said not in ours


def node_finding(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next((row["state"], row["says"]) for row in rows if row["check"] == "node")


def test_the_doctor_knows_the_node_of_another_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rules").mkdir()
    with a_node() as port:
        monkeypatch.setenv("RINGBACK_PORT", str(port))
        state, says = node_finding(capsys)
        assert (state, says) == (
            "bad", f"the node on port {port} is another project's: it does not use our data",
        )  # fmt: skip
        with hold(folder / "data", "receiver"):
            assert node_finding(capsys) == ("ok", f"runs on port {port}")
    with hold(folder / "data", "receiver"):
        state, says = node_finding(capsys)
        assert (state, "but this project has one: the receiver with pid" in says) == ("bad", True)


def test_the_doctor_looks_at_a_dev_with_the_settings_of_dev(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "rules").mkdir()
    dev = folder / "data" / "dev"
    dev.mkdir(parents=True)
    with a_node() as port, hold(dev, "receiver"):
        facts = {
            "pid": os.getpid(), "node_url": f"http://127.0.0.1:{port}",
            "base_url": f"http://127.0.0.1:{free_port()}", "account_sid": "AC" + "0" * 32,
            "auth_token": "0123456789abcdef" * 2, "numbers": ["+12025550100"],
        }  # fmt: skip
        (dev / "dev.json").write_text(json.dumps(facts))
        run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    states = {row["check"]: row["state"] for row in rows}
    assert (states["settings"], states["node"]) == ("ok", "ok")
    assert states["public address"] == "skipped"


TOML = """
# port = 1
port = "eighty"
prot = 8081
public_url = "hooks.example.org"

[accounts]
AC1 = ["x"]
"""


def test_wrong_settings_have_their_line(folder: Path) -> None:
    (folder / "ringback.toml").write_text(TOML)
    (folder / ".env").write_text("# RINGBACK_SENDER=1\nexport RINGBACK_SENDER=2025550142\n")
    with pytest.raises(ConfigError) as caught:
        Settings.load(folder)
    places = [problem.partition(" ")[0] for problem in caught.value.problems]
    assert sorted(places) == [
        ".env:2", "ringback.toml:3:", "ringback.toml:4:", "ringback.toml:5:", "ringback.toml:7:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1), (("b", "c"), 3), (("b", "none"), 2), (("d.e", "f"), 5), (("none",), 0),
        (("x", "y", "z"), 7), (("g", "h"), 9),
    ],
)  # fmt: skip
def test_a_line_of_toml_is_found_by_table_and_key(path: tuple[str, ...], line: int) -> None:
    text = 'a = 1\n[b]\nc = 2\n["d.e"]\nf = 3\n[x.y]\nz = 4\n[g]\n"h" = 1\n# a = 5\n'
    assert line_of(text, path) == line


PLUGIN = """
from pydantic import BaseModel
from ringback import hookimpl


class Config(BaseModel):
    hours: str = "9-17"
    tries: int = 3
    to: list[str] = []


@hookimpl
def on_event(event):
    pass
"""


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[channels.ops]\nkind = "slak"',
         "2:1: config: [channels.ops] kind: is 'slak'; there are: 'webhook', 'pagerduty',"),
        ('[channels.ops]\nurl = "https://e.org"', "1:1: config: [channels.ops] kind: is missing"),
        ('[channels.ops]\nkind = "webhook"\nurl = "e.org"',
         "3:1: config: [channels.ops] url: must be an address that begins with https://"),
        ('[channels.ops]\nkind = "email"\nsmtp = "mail.example.org"\nfrom = "a@b"\nto = ["c@d"]',
         "3:1: config: [channels.ops] smtp: must be smtp://user:password@host:587"),
        ('[channels.ops]\nkind = "email"\nsmtp = "smtp://e.org"\nfrom = "a"\nto = ["c@d"]',
         "4:1: config: [channels.ops] from: must be an e-mail address"),
        ('[channels.ops]\nkind = "webhook"\nurl = "https://e.org"\nsecrets = "x"',
         "4:1: config: [channels.ops] secrets: is no setting here; did you mean 'secret'?"),
        ('[channels.ops]\nkind = "pagerduty"', "1:1: config: [channels.ops] routing_key: is miss"),
        ('[channels.ops]\nkind = "apprise"\nurls = ["json://e.org"]',
         "1:1: config: [channels.ops] needs Apprise, which is not installed: pip install apprise"),
        ('[plugins.shop]\nhourss = "9"',
         "2:1: config: [plugins.shop] hourss: is no setting of this plugin; did you mean 'hours'?"),
        ('[plugins.shop]\nhours = 9', "2:1: config: [plugins.shop] hours: must be a text"),
        ('[plugins.shop]\n\ntries = "x"', "3:1: config: [plugins.shop] tries: must be a whole"),
        ('[plugins.shop]\nto = "x"', "2:1: config: [plugins.shop] to: must be a list"),
        ('[plugins.shop]\nhours = {"$env" = "NOPE"}', "2:1: config: [plugins.shop] hours: the env"),
        ('[plugins.shpo]\nx = 1', "1:1: config: [plugins.shpo] is for a plugin that is not there"),
        ('[plugins.shop]\n[plugins.other]\nvia = "opps"', "2:1: config: [plugins.other] is for a"),
        ('entry_points = ["nothing"]', "1:1: plugin: no installed package offers"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_table_has_its_line_and_plain_words(
    folder: Path, toml: str, says: str
) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "shop.py").write_text(PLUGIN)
    (folder / "ringback.toml").write_text(toml)
    found = [str(each) for each in Project.load(Settings.load(folder)).problems]
    assert any(each.startswith(f"ringback.toml:{says}") for each in found), found
    assert not any("Input should" in each or "valid" in each for each in found)


@pytest.mark.parametrize(
    ("via", "known"), [("log", True), ("webhook", True), ("ops", True), ("opps", False)]
)
@pytest.mark.parametrize("inside", ["%s", "choose: [{if: 'true', do: [%s]}]"])
def test_a_notice_through_a_channel_that_is_not_there_is_a_mistake(
    folder: Path, via: str, known: bool, inside: str
) -> None:
    step = f"{{notify: {{text: x, webhook: 'https://e.org', via: {via}}}}}"
    (folder / "rules").mkdir()
    (folder / "rules" / "a.yaml").write_text(
        "rules:\n  - name: a\n    on: message.received\n    do:\n      - " + inside % step + "\n"
    )
    (folder / "ringback.toml").write_text(
        '[channels.ops]\nkind = "webhook"\nurl = "https://e.org"\n'
    )
    found = [str(each) for each in Project.described(Settings.load(folder), Manifest()).problems]
    wrong = "rules/a.yaml:5:1: name: no channel is called 'opps'; did you mean 'ops'?"
    assert found == ([] if known else [wrong])


def test_the_channel_of_a_plugin_is_looked_for_too(folder: Path) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "shop.py").write_text(PLUGIN.replace("hours: str", "via: str"))
    (folder / "ringback.toml").write_text('[plugins.shop]\nvia = "logg"\n')
    (found,) = Project.load(Settings.load(folder)).problems
    says = "config: [plugins.shop] via: no channel is called 'logg'; did you mean 'log'?"
    assert str(found) == f"ringback.toml:2:1: {says}"


@pytest.mark.parametrize("command", [["check"], ["plugins", "list"]])
def test_a_package_that_is_installed_and_not_listed_is_named(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    place = folder / "site"
    info = place / "ringback_shop-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ringback-shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ringback]\nshop = ringback_shop\n")
    (place / "ringback_shop.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(place)
    (folder / "rules").mkdir()
    run(command)
    said = capsys.readouterr().err
    assert "ringback-shop offers the plugin 'shop', which is not listed" in said
    assert 'entry_points = ["shop"]' in said


@pytest.mark.parametrize(
    ("steps", "mend"),
    [
        (
            "- wait_for: message.received\n        timeout: 1h",
            "it belongs into the step: `wait_for: {on: …, timeout: …}`",
        ),
        ("- reply: a\n        media: b", "it belongs into the step: `reply: {body: …, media: …}`"),
        ("- reply: a\n        stop: b", "begin each step with '- '"),
        ("- reply: a\n        nonsense: b", "begin each step with '- '"),
        (
            "- wait_for: {on: message.received, if: reply.body in ['a']}",
            "put a condition or a text with such signs in quotes",
        ),
    ],
)
def test_a_word_at_the_wrong_depth_is_told_where_it_belongs(
    folder: Path, capsys: pytest.CaptureFixture[str], steps: str, mend: str
) -> None:
    """Beside its step, or in a mapping on one line whose brackets YAML reads as its own."""
    (folder / "rules").mkdir()
    (folder / "rules" / "a.yaml").write_text(
        f"version: 1\nrules:\n  - name: a\n    on: message.received\n    do:\n      {steps}\n"
    )
    assert run(["check"]) == 1
    assert mend in capsys.readouterr().out
