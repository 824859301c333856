"""The receiver as an ASGI application: mounted, behind a test client, with its lifespan."""

import asyncio
import contextlib
import re
import shutil
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from ringback.cli.http import post_webhook
from ringback.cli.main import run
from ringback.config import Settings
from ringback.errors import ConfigError, HeldError
from ringback.receiver import refusals
from ringback.receiver.app import application, create_app
from ringback.store.log import LogReader, LogRow
from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
BASE = "https://hooks.example.org"
FIELDS = {"AccountSid": ACCOUNT, "MessageSid": "SM" + "a" * 32, "From": "+1555", "To": "+1666"}


def app_for(settings: Any) -> Starlette:
    """The application of these settings, without a worker."""

    async def load() -> Any:
        return settings

    return application(load, worker=False)


@contextlib.asynccontextmanager
async def client_of(outer: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose lifespan runs."""
    transport = httpx.ASGITransport(outer)
    async with (
        outer.router.lifespan_context(outer),
        httpx.AsyncClient(transport=transport, base_url="http://inside") as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, path: str, signed: str) -> int:
    """The status for a form that is posted to a path and signed for an address."""
    headers = {
        "X-Twilio-Signature": sign(TOKEN, signed, list(FIELDS.items())),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await client.post(path, content=urlencode(FIELDS), headers=headers)
    return answer.status_code


def rows(settings: Any) -> list[LogRow]:
    reader = LogReader(settings.data / "log.db")
    try:
        return reader.after(0, 100)
    finally:
        reader.close()


def in_fastapi(receiver: Starlette, prefix: str) -> Any:
    app = FastAPI(lifespan=receiver.router.lifespan_context)
    app.mount(prefix, receiver)
    return app


def in_starlette_twice(receiver: Starlette, prefix: str) -> Any:
    first, _, second = prefix.rpartition("/")
    inner = Starlette(routes=[Mount("/" + second, receiver)])
    return Starlette(routes=[Mount(first, inner)], lifespan=receiver.router.lifespan_context)


@pytest.mark.parametrize(
    ("mount", "prefix"),
    [
        (in_fastapi, "/hooks"),
        (in_fastapi, "/my hooks/ü"),
        (in_starlette_twice, "/api/hooks"),
        (lambda receiver, _: receiver, ""),
    ],
)
async def test_the_address_is_the_public_url_wherever_it_is_mounted(
    receiver_settings: Any, mount: Callable[[Starlette, str], Any], prefix: str
) -> None:
    settings = replace(receiver_settings, public_url=BASE + quote(prefix))
    path = quote(prefix) + "/twilio/message"
    async with client_of(mount(app_for(settings), prefix)) as client:
        assert await post(client, path, BASE + path) == 200
        assert await post(client, path + "?a=%2F", BASE + path + "?a=%2F") == 200
        assert await post(client, path + "?a=/", BASE + path + "?a=%2F") == 403
        assert await post(client, path, "http://inside" + path) == 403
        assert (await client.get(quote(prefix) + "/healthz")).status_code == 200
        assert (await client.get(quote(prefix) + "/metrics")).status_code == 200
    assert [row.trust for row in rows(settings)] == ["signed"]


async def test_a_trusted_proxy_names_the_host_in_front_of_the_mount_point(
    receiver_settings: Any,
) -> None:
    settings = replace(
        receiver_settings, public_url=BASE + "/hooks", trusted_proxies=("127.0.0.0/8",)
    )
    path = "/hooks/twilio/message"
    async with client_of(in_fastapi(app_for(settings), "/hooks")) as client:
        client.headers["X-Forwarded-Host"] = "other.example"
        assert await post(client, path, "https://other.example" + path) == 200
        assert await post(client, path, "https://other.example/twilio/message") == 403


async def test_another_spelling_of_our_part_of_the_path_is_another_path(
    receiver_settings: Any,
) -> None:
    settings = replace(receiver_settings, public_url=BASE + "/hooks")
    async with client_of(in_fastapi(app_for(settings), "/hooks")) as client:
        for path in (
            "/hooks/%74wilio/message",
            "/hooks/twilio/%6Dessage",
            "/hooks/twilio/message/",
        ):
            assert await post(client, path, BASE + path) == 404


async def test_the_shell_finds_a_node_whose_public_address_has_a_path(
    start_receiver: Any, receiver_settings: Any
) -> None:
    """A proxy cuts the path off in front of `serve`; `ringback simulate` has no proxy."""
    receiver = await start_receiver(replace(receiver_settings, public_url=BASE + "/outside"))
    settings = replace(receiver.settings, port=receiver.port)
    form = list(FIELDS.items())
    assert (await asyncio.to_thread(post_webhook, settings, "message", form))[0] == 200


async def test_what_the_environment_hides_is_named_at_a_reload(
    receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise a rotation says "changed: nothing", and the new token is refused."""
    project = receiver.settings.project
    environ = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "MATON_API_KEY": "k" * 40,
               "RINGBACK_PUBLIC_URL": BASE}  # fmt: skip
    (project / ".env").write_text(f"TWILIO_AUTH_TOKEN={TOKEN[::-1]}\n")
    receiver.node.reload(lambda: Settings.load(project, environ))
    assert ".env: TWILIO_AUTH_TOKEN is not used" in caplog.text


@pytest.mark.parametrize("ready", [False, True])
async def test_a_supervisor_asks_the_node_of_the_settings_by_no_proxy(
    start_receiver: Any, receiver_settings: Any, ready: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`ringback healthcheck`: 0 when it is up, 1 with the reason when it is not."""
    receiver = await start_receiver(receiver_settings)
    monkeypatch.setenv("RINGBACK_PORT", str(receiver.port))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    words = ["-C", str(receiver.settings.project), "healthcheck", *(["--ready"] if ready else [])]
    code = await asyncio.to_thread(run, words)
    said = capsys.readouterr()
    if ready:  # there is no worker
        assert (code, said.out) == (1, "")
        assert "worker: " in said.err
    else:
        assert (code, said.out) == (0, "ok\n")
    receiver.node._on_failed()
    await receiver.ended
    assert await asyncio.to_thread(run, words) == 1
    assert "no node answers at http://127.0.0.1:" in capsys.readouterr().err


async def test_a_public_url_without_the_mount_point_is_taken_and_warned_about(
    receiver_settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/hooks/twilio/message"
    async with client_of(in_fastapi(app_for(receiver_settings), "/hooks")) as client:
        assert await post(client, path, BASE + path) == 200
        assert await post(client, path, BASE + path) == 200
        assert await post(client, path, BASE + "/other/twilio/message") == 403
    assert [row.trust for row in rows(receiver_settings)] == ["signed"]
    assert caplog.text.count(f"set RINGBACK_PUBLIC_URL to {BASE}/hooks") == 1


@pytest.mark.parametrize("prefix", ["/hooks", ""])
async def test_a_refusal_is_logged_with_the_mount_point(
    receiver_settings: Any, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    """And without it where it is not mounted; the doctor hears the route alone."""
    app = app_for(receiver_settings)
    async with client_of(in_fastapi(app, prefix) if prefix else app) as client:
        assert await post(client, prefix + "/twilio/message", BASE + "/elsewhere") == 403
        async with asyncio.timeout(10):
            while not refusals.read(receiver_settings.data):
                await asyncio.sleep(0.005)
    assert f"a webhook to {prefix}/twilio/message was refused" in caplog.text
    assert [row["route"] for row in refusals.read(receiver_settings.data)] == ["message"]


async def test_without_its_lifespan_it_refuses_and_says_what_is_missing(
    receiver_settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten = FastAPI()
    forgotten.mount("/hooks", app_for(receiver_settings))
    async with client_of(forgotten) as client:
        assert await post(client, "/hooks/twilio/message", BASE) == 503
        assert (await client.get("/hooks/healthz")).status_code == 200
        ready = await client.get("/hooks/readyz")
        assert ready.status_code == 503
        assert "lifespan=receiver.router.lifespan_context" in ready.json()["problems"]["receiver"]
    assert "lifespan=receiver.router.lifespan_context" in caplog.text


async def test_a_data_folder_that_was_removed_is_named(receiver_settings: Any) -> None:
    """The page that says whether the node is ready says so, and does not fail itself."""
    async with client_of(app_for(receiver_settings)) as client:
        shutil.rmtree(receiver_settings.data)
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert (
        answer.json()["problems"]["log"] == f"{receiver_settings.data}: No such file or directory"
    )


async def test_one_folder_has_one_receiver_and_is_free_afterwards(
    receiver_settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = app_for(receiver_settings), app_for(receiver_settings)
    async with client_of(first) as client:
        with pytest.raises(HeldError, match="receiver with pid"):
            async with client_of(second):
                pass
        assert "start the server with one worker process" in caplog.text
        assert await post(client, "/twilio/message", BASE + "/twilio/message") == 200
    for app in (first, second):
        async with client_of(app) as client:
            assert await post(client, "/twilio/message", BASE + "/twilio/message") == 200
    assert len(rows(receiver_settings)) == 3


async def answer_to(app: Starlette, messages: list[dict[str, Any]], **changed: Any) -> list[Any]:
    """What the application sends to an ASGI server that gives it this scope and these messages."""
    body = urlencode(FIELDS).encode()
    signature = sign(TOKEN, BASE + "/twilio/message", list(FIELDS.items()))
    headers = [
        (b"host", b"inside"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", str(len(body)).encode()),
        (b"x-twilio-signature", signature.encode()),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/twilio/message", "raw_path": b"/twilio/message",
        "query_string": b"", "root_path": "", "headers": headers, "client": None, "server": None,
    }  # fmt: skip
    waiting = iter(messages or [{"type": "http.request", "body": body}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope | changed, receive, send)
    return sent


WITHOUT_HOST = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"9")]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"raw_path": None}, 200),
        ({"http_version": "2", "client": ("::1", 5)}, 200),
        ({"http_version": "1.1", "headers": WITHOUT_HOST}, 400),
        ({"headers": [(b"host", b"x"), (b"content-length", b"1e3")]}, 400),
        ({"headers": [(b"host", b"x"), (b"content-length", "١".encode())]}, 400),
        ({"headers": [(b"host", b"x")] * 101}, 431),
        ({"query_string": b"a" * 17_000}, 431),
        ({"raw_path": b"/twilio/m%65ssage"}, 404),
        ({"path": "/twilio/\ufffd", "raw_path": b"/twilio/%ff"}, 404),
    ],
)
async def test_whatever_the_server_in_front_gives_it_is_answered(
    receiver_settings: Any, changed: dict[str, Any], status: int
) -> None:
    app = app_for(receiver_settings)
    async with client_of(app):
        start, _ = await answer_to(app, [], **changed)
    assert start["status"] == status
    assert len(rows(receiver_settings)) == (status == 200)


async def test_a_client_that_leaves_before_its_body_is_complete_is_not_answered(
    receiver_settings: Any,
) -> None:
    app = app_for(receiver_settings)
    half = {"type": "http.request", "body": b"AccountSid=", "more_body": True}
    async with client_of(app):
        assert await answer_to(app, [half, {"type": "http.disconnect"}]) == []
    assert rows(receiver_settings) == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, and the environment of a node."""
    (tmp_path / "rules").mkdir()
    for name, value in {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "RINGBACK_PUBLIC_URL": BASE + "/hooks",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_the_page_s_lifespan_and_its_test_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second and third example of docs/embedding.md, through Starlette's test client; the first
    one runs in the acceptance tests."""
    page = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text("utf-8")
    _, lifespan, test = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    monkeypatch.setenv("RINGBACK_PUBLIC_URL", "https://your-company.com/hooks")
    names: dict[str, Any] = {"receiver": create_app(project, worker=False), "TOKEN": TOKEN}
    exec(compile(lifespan, "embedding.md", "exec"), names)
    names["app"] = FastAPI(lifespan=names["lifespan"])
    names["app"].mount("/hooks", names["receiver"])
    real = test.replace("AC…", ACCOUNT).replace("SM…", FIELDS["MessageSid"])
    with warnings.catch_warnings():  # newer Starlettes would rather have another HTTP client
        warnings.simplefilter("ignore")
        exec(compile(real, "embedding.md", "exec"), names)
    names["test_a_text_is_taken"]()
    reader = LogReader(project / "data" / "log.db")
    assert [row.route for row in reader.after(0, 10)] == ["message"]
    reader.close()


async def test_a_project_with_mistakes_does_not_start(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "rules" / "bad.yaml").write_text("version: 1\nrules: 7\n")
    app = create_app(project)
    with pytest.raises(ConfigError, match=r"rules/bad\.yaml:2:8"):
        async with client_of(app):
            pass
    monkeypatch.setenv("RINGBACK_SIMULATED", "true")
    with pytest.raises(ConfigError, match="RINGBACK_SIMULATED"):
        async with client_of(app):
            pass
    monkeypatch.delenv("RINGBACK_PUBLIC_URL")
    monkeypatch.delenv("RINGBACK_SIMULATED")
    with pytest.raises(ConfigError, match="public_url is not set"):
        async with client_of(app):
            pass
    assert not (project / "data").exists()
