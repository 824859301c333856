"""The command `dev`: a node and a simulated Twilio, wired together, on this machine alone.

It supervises two processes: the simulator, and `ringback serve` with the simulator's credentials.
Real credentials are hidden from the node, and its data are kept apart from those of a real node.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from ringback.cli.http import ask
from ringback.cli.output import style
from ringback.cli.project_context import DEV_FOLDER, HIDDEN, here, live_dev
from ringback.cli.serve import project_argument
from ringback.cli.simulate_target import STRANGER
from ringback.cli.watched_files import stamps
from ringback.config import Settings
from ringback.errors import HeldError, RingbackError
from ringback.private_files import make_file, make_folder
from ringback.runtime import CLOCK, ClockFile

READY = "ringback: serving on "
START_SECONDS = 30.0
DRAIN_SECONDS = 15.0


@click.command()
@project_argument
@click.option(
    "--port", default=None, help="Port of the node; default: the configured or a free one."
)
@click.option(
    "--notify",
    is_flag=True,
    help="Let notices and http steps go out for real; without it they are shown.",
)
@click.option("--no-open", is_flag=True, help="Open no browser; the address is printed.")
def dev(project: Path | None, port: str | None, notify: bool, no_open: bool) -> int:
    """Run a node and a simulated Twilio here; needs no account and no settings.

    Edit rules and plugins while it runs: they are loaded again at once. Ctrl-C ends everything.
    """
    settings = here().settings(project, port=port)
    other = live_dev(settings.data)
    if other:
        raise HeldError(f"`ringback dev` runs here already, with pid {other['pid']}")
    return asyncio.run(_Dev(settings, notify, opens=not no_open).run())


class _Dev:
    def __init__(self, settings: Settings, notify: bool, *, opens: bool) -> None:
        self._settings = settings
        self._notify = notify
        self._data = settings.data / DEV_FOLDER
        self._note = self._data / "dev.json"
        self._clock = self._data / "clock"
        self._stop = asyncio.Event()
        self._opens = opens
        self._page = self._data / "console.html"
        self._key = secrets.token_urlsafe(24)

    async def run(self) -> int:
        """Start both processes, stay until a signal or one of them ends, stop both."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        for note in self._settings.notes:
            click.echo(f"ringback: {note}", err=True)
        make_folder(self._settings.data)
        make_folder(self._data)
        make_file(self._clock)
        simulator = node = None
        try:
            simulator, facts = await self._start_simulator()
            node, address = await self._start_node(facts)
            await asyncio.to_thread(self._wire, facts, address)
            await self._worker_answers(node)
            self._announce(facts, address)
            if self._opens:
                from ringback.cli.browser import open_browser

                open_browser(f"{address}/console/in#{self._key}", self._page)
            return await self._stay(simulator, node)
        except _Stopped:
            return 0
        finally:
            self._note.unlink(missing_ok=True)
            self._page.unlink(missing_ok=True)
            for process in (node, simulator):
                if process is not None:
                    await _end(process)

    async def _start_simulator(self) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        session = os.urandom(6).hex()
        # What stands in the node's journal must not lie in its future: a clock once moved stays so.
        ahead = str(ClockFile(self._clock).ahead)
        process = await self._spawn(
            ["simulator", "--port", "0", "--session", session, "--ahead", ahead],
            dict(os.environ),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        line = await self._first(process.stdout.readline(), process, "the simulator")
        try:
            facts: dict[str, Any] = json.loads(line)
        except ValueError:
            await _end(process)
            raise RingbackError(f"the simulator did not start (it said {line!r})") from None
        _keep(_forward(process.stdout, lambda _: None))
        return process, facts

    async def _start_node(self, facts: dict[str, Any]) -> tuple[asyncio.subprocess.Process, str]:
        port = _free_port(self._settings)
        flags = {
            "data": str(self._data),
            "host": "127.0.0.1",
            "port": str(port),
            "public_url": f"http://127.0.0.1:{port}",
            "simulated": "true",
            "account_sid": str(facts["account_sid"]),
            "auth_tokens": str(facts["auth_token"]),
            "gateway_url": str(facts["base_url"]),
            "control_url": str(facts["control_url"]),
            "sender": str(facts["numbers"][0]),
            "notify": str(self._notify),
            "console_mask": self._mask(),
            **dict.fromkeys(("console_port", "console_url", "console_user_header"), ""),
            **dict.fromkeys(HIDDEN, ""),
        }
        settings = Settings.load(self._settings.project, os.environ, flags)
        environ = settings.child_environ(os.environ) | {CLOCK: str(self._clock)}
        process = await self._spawn(
            ["serve", str(settings.project)], environ, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def hear(line: bytes) -> None:
            if line.startswith(READY.encode()) and not ready.done():
                ready.set_result(line)
            elif not line.startswith(READY.encode()):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()

        forwarding = _keep(_forward(process.stderr, hear))
        try:
            await self._first(ready, process, "the node")
        except BaseException:
            await _end(process)
            await forwarding
            raise
        return process, settings.public_url

    def _mask(self) -> str:
        """Nothing is masked of simulated people, unless somebody has said what is."""
        said = self._settings.sources.get("console_mask", "default") != "default"
        return self._settings.console_mask if said else "none"

    async def _spawn(
        self,
        arguments: list[str],
        environ: dict[str, str],
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a command of ours in a session of its own: Ctrl-C reaches us alone, and we end the
        others in order."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringback.cli.main", *arguments,
            env=environ, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
            stdout=stdout, stderr=stderr,
        )  # fmt: skip

    async def _first(
        self, waited: Awaitable[bytes], process: asyncio.subprocess.Process, who: str
    ) -> bytes:
        """What comes first: the line that says that a process is ready, its end, or ours."""
        line = asyncio.ensure_future(waited)
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait(
                (line, ended, stopped), timeout=START_SECONDS, return_when="FIRST_COMPLETED"
            )
            if stopped.done():
                raise _Stopped
            if line.done() and line.result():
                return line.result()
            if ended.done():
                raise _Failed(f"{who} did not start", ended.result())
            raise RingbackError(f"{who} did not start within {START_SECONDS:.0f} s")
        finally:
            for task in (line, ended, stopped):
                task.cancel()

    def _wire(self, facts: dict[str, Any], address: str) -> None:
        """Point the simulated numbers at the node as `ringback connect` would, and tell other
        shells where everything is."""
        from ringback.gateway.webhook_setup import Target, values_for, wanted

        base = str(facts["base_url"])
        urls = wanted(address, tail=self._settings.callback_tail)
        for number in facts["numbers"]:
            ask(base, f"/_sim/numbers/{number}", values_for(Target("PN", number), urls))
        ask(base, "/_sim/webhooks", {"debugger_url": f"{address}/twilio/debugger"})
        note = {
            "pid": os.getpid(),
            "node_url": address,
            "clock": str(self._clock),
            "console_key": self._key,
            **{key: facts[key] for key in ("base_url", "account_sid", "auth_token", "numbers")},
        }
        fresh = self._note.with_suffix(".new")
        make_file(fresh)
        fresh.write_text(json.dumps(note) + "\n", "utf-8")
        fresh.rename(self._note)

    async def _worker_answers(self, node: asyncio.subprocess.Process) -> None:
        """Wait until rules and plugins are loaded, so that the first text finds them."""
        from ringback.ipc import WorkerAway, ask_once, socket_path

        loop = asyncio.get_running_loop()
        end = loop.time() + START_SECONDS
        while loop.time() < end and node.returncode is None and not self._stop.is_set():
            with contextlib.suppress(WorkerAway):
                await ask_once(socket_path(self._data), {"op": "status"}, 1.0)
                return
            await asyncio.sleep(0.05)

    def _announce(self, facts: dict[str, Any], address: str) -> None:
        numbers = ", ".join(facts["numbers"])
        notices = "; notices do go out" if self._notify else ", and notices are only shown"
        click.echo(
            f"""
{style("ringback dev", "green")} is up: node {address}, simulated Twilio {facts["base_url"]}
The console: {address}/console/in#{self._key}
Our numbers here: {numbers}. Nothing leaves this machine for a phone network{notices}.

In another shell, in this folder:
  ringback simulate message "What are your hours?"   text us; the reply comes back
  ringback simulate call                             call us, and hear what a caller hears
  ringback trace {STRANGER}                        see why each rule did or did not fire
  ringback events tail                               watch what comes in
  ringback simulate clock +1h                        move the clock: time-outs and waits are due

Rules and plugins in {self._settings.project} are loaded again when you save them. Ctrl-C ends.
"""
        )

    async def _stay(
        self, simulator: asyncio.subprocess.Process, node: asyncio.subprocess.Process
    ) -> int:
        stopped = asyncio.ensure_future(self._stop.wait())
        ends = {asyncio.ensure_future(simulator.wait()), asyncio.ensure_future(node.wait())}
        watching = asyncio.ensure_future(self._watch())
        following = asyncio.ensure_future(self._follow())
        try:
            await asyncio.wait({stopped, *ends}, return_when="FIRST_COMPLETED")
            if self._stop.is_set():
                return 0
            who = "the node" if node.returncode is not None else "the simulator"
            code = node.returncode or simulator.returncode or 1
            raise _Failed(f"{who} has ended", code)
        finally:
            for task in (stopped, watching, following, *ends):
                task.cancel()

    async def _follow(self) -> None:
        """Print every event as it comes, one line each."""
        from ringback.cli.trace import headline
        from ringback.store.queries.questions import Questions

        with Questions(self._data) as asked:
            last = asked.last_event_id()
            while True:
                for event in asked.events(after=last, follow=True, limit=200):
                    last = event["id"]
                    click.echo(headline(event))
                await asyncio.sleep(0.3)

    async def _watch(self) -> None:
        """Tell the worker to load rules and plugins again when a file of theirs has changed."""
        from ringback.ipc import WorkerAway, ask_once, socket_path

        root = self._settings.project
        seen = stamps(root)
        while True:
            await asyncio.sleep(0.5)
            now = stamps(root)
            if now == seen:
                continue
            changed = sorted(p for p in {**now, **seen} if now.get(p) != seen.get(p))
            seen = now
            names = ", ".join(str(path.relative_to(root)) for path in changed)
            if any(path.parent == root for path in changed):
                click.echo(f"{names} changed: restart `ringback dev` to use the new settings")
            if all(path.parent == root for path in changed):
                continue
            try:
                by = {"who": "ringback dev", "role": "admin", "via": "dev"}
                message = {"op": "reload", "by": by}
                answer = await ask_once(socket_path(self._data), message, 60.0)
            except WorkerAway:
                answer = {}  # it starts again just now, and then reads what is there
            problems = answer.get("problems") or ([answer["error"]] if "error" in answer else [])
            click.echo(f"{names}: {'not loaded, the old ones stay' if problems else 'loaded'}")


class _Stopped(Exception):
    """Somebody asked us to stop while we were starting."""


class _Failed(RingbackError):
    """A process of ours ended by itself. Ends `dev` with the same code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code if code > 0 else 1


_kept: set[asyncio.Future[None]] = set()


def _keep(work: Any) -> "asyncio.Future[None]":
    """Run in the background, held until it is done."""
    task: asyncio.Future[None] = asyncio.ensure_future(work)
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    return task


async def _forward(stream: asyncio.StreamReader, hear: Callable[[bytes], None]) -> None:
    while line := await stream.readline():
        hear(line)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process in good order; kill it when it takes too long."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), DRAIN_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def end_with_parent() -> None:
    """In the child: ask Linux for a SIGTERM should we die without a chance to clean up."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _free_port(settings: Settings) -> int:
    """The configured port; a free one when nobody has chosen and the usual one is taken."""
    chosen = settings.sources.get("port", "default") != "default"
    for port in (settings.port, *([] if chosen else [0])):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise HeldError(f"port {settings.port} is in use; choose another with --port")
