"""Checks of the doctor: whether the node of this project runs, and its hooks have their secrets."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from ringback.cli.finding import BAD, OK, WARN, Finding
from ringback.config import LOOPBACK, Settings
from ringback.gateway import probe
from ringback.gateway.client import Gateway
from ringback.hooks import definitions_file, proof
from ringback.store.upkeep import locks


async def node(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether a node runs here and is ready."""
    host = settings.host if settings.host in LOOPBACK else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    local, prefix = f"http://{shown}:{settings.port}", urlsplit(settings.public_url).path
    echo = await probe.ask(f"{local}/readyz")
    if echo.status == 404 and prefix:  # an application that mounts the receiver has the path here
        echo = await probe.ask(f"{local}{prefix.rstrip('/')}/readyz")
    ours = locks.holder(settings.data, "receiver")
    if echo.status in (200, 503) and not ours:
        says = f"the node on port {settings.port} is another project's: it does not use our data"
        mend = "start this one, on a port of its own: `ringback serve` with RINGBACK_PORT"
        yield Finding("node", BAD, says, mend)
    elif echo.status == 200:
        yield Finding("node", OK, f"runs on port {settings.port}")
    elif echo.status == 503:
        says = f"runs on port {settings.port} but is not ready: {echo.body.strip()[:300]}"
        yield Finding("node", BAD, says, "see the node's log")
    elif echo.status:
        says = f"something else answers on port {settings.port} ({echo.status})"
        yield Finding("node", BAD, says, "set RINGBACK_PORT to a free port for the node")
    elif ours:
        says = f"no node answers on port {settings.port}, but this project has one: {ours}"
        yield Finding("node", BAD, says, "look with the RINGBACK_HOST and RINGBACK_PORT it has")
    else:
        says = f"no node answers on port {settings.port}"
        yield Finding("node", BAD, says, "start it: `ringback serve`, or `ringback dev` to try")


async def hooks(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """Whether the secrets of other systems are set, as the node that runs or ran knows them."""
    known = definitions_file.load(settings.data)
    for hook in known.values():
        wrong = {
            variable: proof.bad_secret(hook, settings.environ.get(variable, ""))
            for variable in hook.secrets
        }
        said = "; ".join(f"{variable} {why}" for variable, why in wrong.items() if why)
        if all(wrong.values()) and not settings.simulated:
            says = f"hook {hook.name}: {said}; what it sends is answered with 503"
            yield Finding("hooks", BAD, says, "put its secret into .env and send SIGHUP")
        elif said and not settings.simulated:
            yield Finding("hooks", WARN, f"hook {hook.name}: {said}", "set it, or take it out")
        else:
            yield Finding("hooks", OK, f"/hook/{hook.name}, {hook.scheme}")
