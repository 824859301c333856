"""How is the box started? Bind, print one line of JSON, serve until told to stop."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import uvicorn

from ringback.errors import HeldError
from ringback.simulator.app import Box, build, card_line, open_box
from ringback.simulator.plan import fault_line, read_plan
from ringback.simulator.wire import Line
from ringback.simulator.world import Options


@dataclass(frozen=True, slots=True)
class Start:
    """How to start: what the command line says. A flag stands above the plan's own word."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int | None = None
    session: str = ""
    speed: float | None = None
    stepped: bool = False
    plan: Path | None = None
    ledger: Path | None = None
    hook_url: str = ""
    faults: tuple[str, ...] = ()


def options_of(start: Start) -> Options:
    """Read the plan and put the flags above it. Raises ConfigError."""
    plan = read_plan(start.plan) if start.plan else {}
    more = [fault_line(text) for text in start.faults]
    plan = plan | {"faults": [*(plan.get("faults") or []), *more]}
    return Options(
        seed=start.seed if start.seed is not None else int(plan.get("seed", 1)),
        session=start.session,
        speed=start.speed if start.speed is not None else float(plan.get("speed", 1.0)),
        stepped=start.stepped,
        plan=plan,
        ledger_file=start.ledger,
    )


def run(start: Start, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `tell` gets the card, one line of JSON, when it listens.

    Raises ConfigError for a wrong plan, HeldError when the port is taken.
    """
    plug = _bind(start.host, start.port)
    host, port = plug.getsockname()[:2]
    box = open_box(options_of(start), f"http://{host}:{port}")
    point_numbers(box, start.hook_url)
    asyncio.run(_serve(box, plug, tell))


def point_numbers(box: Box, hook_url: str) -> None:
    """Let every number call the usual routes of a node at this address."""
    if not hook_url:
        return
    base = hook_url.rstrip("/")
    wishes = {
        "sms_url": f"{base}/twilio/message",
        "voice_url": f"{base}/twilio/call",
        "status_callback": f"{base}/twilio/call/status",
    }
    numbers = {row.text("phone_number"): wishes for row in box.world.numbers}
    for record in box.world.numbers:
        record.fields.update(wishes)
    # A reset goes back to these addresses, too.
    plan = box.options.plan
    box.options = replace(
        box.options, plan=plan | {"numbers": numbers | (plan.get("numbers") or {})}
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every answer waits 40 ms.
    plug = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        plug.bind((host, port))
    except OSError as error:
        plug.close()
        raise HeldError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return plug


class _Server(uvicorn.Server):
    """uvicorn, telling when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End quietly, with exit code 0, on SIGTERM and SIGINT; uvicorn would raise them again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        yield

    def _end(self, number: int) -> None:
        for line in list(self.server_state.connections):
            if isinstance(line, Line) and line.held:
                line.reset()
        self.handle_exit(number, None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def _serve(box: Box, plug: socket.socket, tell: Callable[[str], None]) -> None:
    config = uvicorn.Config(
        build(box),
        http=Line,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )
    await _Server(config, lambda: tell(card_line(box))).serve(sockets=[plug])


if __name__ == "__main__":
    # The command stands a floor above: looked up by name, it is no import of this room.
    import_module("ringback.cli.simulator").simulator()
