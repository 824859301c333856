"""Reload of a running worker: what it takes over when its files have changed.

Rules and plugins at once, when the plugins have been imported in a process of their own. New
credentials at once, too, so that no caller notices a rotation. For other settings the worker ends
in order, and its supervisor starts one that has them.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Protocol

from ringback.config import Settings
from ringback.errors import ConfigError, Problem, RingbackError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.hooks import definitions_file
from ringback.plugins.manifest import Manifest
from ringback.worker.engine import Engine, Loaded
from ringback.worker.hosts.pool import Pool
from ringback.worker.hosts.server_link import command_for

log = logging.getLogger(__name__)


class Described(Loaded, Protocol):
    """A project whose plugins are imported elsewhere."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """The rules that cannot be used as things are, each with its place."""

    def refusals(self, *, missing: bool) -> list[Problem]:
        """What keeps a node from starting; some plugins may still be `missing`."""


Describe = Callable[[Settings, Manifest], Described]
"""Compiles the rules of a project whose plugins are imported elsewhere, from their manifest."""

CREDENTIALS = frozenset({"auth_tokens", "api_key", "api_secret", "maton_api_key"})
RECEPTION = frozenset({"shared_keys", "trusted_proxies"})
"""Settings that only the receiver looks at."""


async def tell(engine: Engine, loaded: Described) -> None:
    """Let the receiver know the hooks. Name the plugins and rules that were left out: in the log,
    and each plugin as an incident."""
    definitions_file.put(engine.settings.data, loaded.ruleset.language.hooks or {})
    for problem in loaded.problems:
        log.error("%s", problem)
    for rule, place in loaded.left_out.items():
        log.error("rule %s (%s) is left out", rule, place)
    without = ", ".join(loaded.left_out)
    more = f"; left out with it: {without}" if without else ""
    broken = {f"plugin:{each.file}": f"{each}{more}" for each in loaded.plugins.problems}
    await engine.incidents.settle("plugin", broken)


class Reloading:
    """Reads the files of a project once more. `again` gives its settings or raises ConfigError.

    `restart` ends this worker in order for a reason; None when nothing would start another.
    """

    def __init__(
        self,
        settings: Settings,
        describe: Describe,
        again: Callable[[], Settings],
        engine: Engine,
        pool: Pool,
        gateway: Gateway | None,
        restart: Callable[[str], None] | None,
    ) -> None:
        self._settings = settings
        self._describe = describe
        self._again = again
        self._engine = engine
        self._pool = pool
        self._gateway = gateway
        self._restart = restart
        self._tasks: set[asyncio.Task[None]] = set()

    async def rules(self) -> list[str]:
        """Rules and plugins once more; the last good ones stay when there are problems, which are
        answered."""
        return await self._load(self._settings, self._engine.reload)

    def everything(self) -> None:
        """Settings, rules and plugins once more, in a task; what is wrong changes nothing."""
        task = asyncio.ensure_future(self._everything())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _everything(self) -> None:
        try:
            fresh = self._again()
            changed = set(fresh.differing(self._settings)) - RECEPTION
            if changed and changed <= CREDENTIALS and self._only_keys_differ(fresh):
                assert self._gateway is not None
                self._gateway.sign_in(Credentials.from_settings(fresh))
                self._engine.prober.soon()
                self._settings = fresh
                changed = set()
        except ConfigError as error:
            log.error(
                "the new settings are wrong, the old ones stay: %s", "; ".join(error.problems)
            )
            return
        if not changed:
            await self.rules()
            return
        names = ", ".join(sorted(changed))
        if self._restart is None:
            log.warning("restart the worker to use the new %s", names)
        elif not await self._load(fresh, None):
            self._restart(f"to use the new {names}")

    def _only_keys_differ(self, fresh: Settings) -> bool:
        """Whether what was set is set and nothing else, so that only the keys are other ones."""
        return self._gateway is not None and all(
            bool(getattr(fresh, name)) == bool(getattr(self._settings, name))
            for name in CREDENTIALS
        )

    async def _load(self, settings: Settings, adopt: Callable[[Loaded], None] | None) -> list[str]:
        """Import and compile with these settings. The problems; without any, `adopt` gets it."""
        problems: list[Problem] = []
        loaded: list[Described] = []

        def accept(manifest: Manifest) -> bool:
            fresh = self._describe(settings, manifest)
            problems.extend(_against(fresh, self._engine.loaded))
            if problems or adopt is None:
                return False
            adopt(fresh)
            loaded.append(fresh)
            return True

        try:
            await self._pool.reload(accept, command_for(settings, dict(os.environ)))
        except RingbackError as error:
            problems.append(Problem("plugins", 0, 0, "plugin", str(error)))
        for problem in problems:
            log.error("%s", problem)
        if problems:
            log.error("the last good rules stay in use")
        for fresh in loaded:
            await tell(self._engine, fresh)
        return [str(problem) for problem in problems]


def _against(fresh: Described, before: Loaded) -> list[Problem]:
    """What keeps these rules and plugins from being taken into use. A plugin that is left out
    already was tried once more, and stays out; what works is not given up for a plugin or a rule
    that has become wrong."""
    out = {problem.file for problem in before.plugins.problems}
    worse = any(problem.file not in out for problem in fresh.plugins.problems)
    lost = any(rule in before.ruleset.by_name for rule in fresh.left_out)
    return fresh.problems if worse or lost else fresh.refusals(missing=False)
