"""Process of the simulator: bind, print one line of JSON, serve until it is stopped."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ringback.errors import UsageError
from ringback.simulator.app import Simulator, card_line, open_simulator
from ringback.simulator.plan import fault_line, read_plan
from ringback.simulator.server import bind, serve
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
    cert: Path | None = None
    key: Path | None = None
    ahead: float = 0.0


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
        ahead=start.ahead,
        plan=plan,
        ledger_file=start.ledger,
    )


def run(start: Start, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `tell` gets the card, one line of JSON, when it listens.

    Raises ConfigError for a wrong plan, HeldError when the port is taken, UsageError for a
    certificate without its key.
    """
    if bool(start.cert) != bool(start.key):
        raise UsageError("--cert and --key belong together")
    for file in (start.cert, start.key):
        if file is not None and not file.is_file():
            raise UsageError(f"there is no file {file}")
    plug = bind(start.host, start.port)
    host, port = plug.getsockname()[:2]
    scheme = "https" if start.cert else "http"
    simulator = open_simulator(options_of(start), f"{scheme}://{host}:{port}")
    point_numbers(simulator, start.hook_url)
    secure = (str(start.cert), str(start.key)) if start.cert and start.key else None
    asyncio.run(serve(simulator, plug, secure, lambda: announce(card_line(simulator))))


def point_numbers(simulator: Simulator, hook_url: str) -> None:
    """Let every number call the usual routes of a node at this address."""
    if not hook_url:
        return
    base = hook_url.rstrip("/")
    settings = {
        "sms_url": f"{base}/twilio/message",
        "voice_url": f"{base}/twilio/call",
        "status_callback": f"{base}/twilio/call/status",
    }
    numbers = {row.text("phone_number"): settings for row in simulator.world.numbers}
    for record in simulator.world.numbers:
        record.fields.update(settings)
    # A reset goes back to these addresses, too.
    plan = simulator.options.plan
    simulator.options = replace(
        simulator.options, plan=plan | {"numbers": numbers | (plan.get("numbers") or {})}
    )
