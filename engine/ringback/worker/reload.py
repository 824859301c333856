"""Reload of a running worker: what it takes over when its files have changed.

Rules and plugins at once. New credentials at once, too, so that no caller notices a rotation. For
other settings the worker ends in order, and its supervisor starts one that has them.
"""

import logging
from collections.abc import Callable

from ringback.config import Settings
from ringback.errors import ConfigError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.worker.engine import Engine, Loaded

log = logging.getLogger(__name__)

Load = Callable[[Settings], Loaded]

CREDENTIALS = frozenset({"auth_tokens", "api_key", "api_secret", "maton_api_key"})
RECEPTION = frozenset({"accounts", "shared_keys", "trusted_proxies", "fallback_twiml"})
"""Settings that only the receiver looks at."""


class Reloading:
    """Reads the files of a project once more. `again` gives its settings or raises ConfigError.

    `restart` ends this worker in order for a reason; None when nothing would start another.
    """

    def __init__(
        self,
        settings: Settings,
        load: Load,
        again: Callable[[], Settings],
        engine: Engine,
        gateway: Gateway | None,
        restart: Callable[[str], None] | None,
    ) -> None:
        self._settings = settings
        self._load = load
        self._again = again
        self._engine = engine
        self._gateway = gateway
        self._restart = restart

    async def rules(self) -> list[str]:
        """Rules and plugins once more; the last good ones stay when there are problems, which are
        answered."""
        return self._adopt(self._settings)

    def everything(self) -> None:
        """Settings, rules and plugins once more; what is wrong changes nothing."""
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
            self._adopt(self._settings)
            return
        names = ", ".join(sorted(changed))
        if self._restart is None:
            log.warning("restart the worker to use the new %s", names)
        elif not _logged(self._load(fresh)):
            self._restart(f"to use the new {names}")

    def _only_keys_differ(self, fresh: Settings) -> bool:
        """Whether what was set is set and nothing else, so that only the keys are other ones."""
        return self._gateway is not None and all(
            bool(getattr(fresh, name)) == bool(getattr(self._settings, name))
            for name in CREDENTIALS
        )

    def _adopt(self, settings: Settings) -> list[str]:
        fresh = self._load(settings)
        problems = _logged(fresh)
        if not problems:
            self._engine.reload(fresh)
        return problems


def _logged(fresh: Loaded) -> list[str]:
    """What is wrong with the files, after it was logged."""
    for problem in fresh.problems:
        log.error("%s", problem)
    if fresh.problems:
        log.error("the last good rules stay in use")
    return [str(problem) for problem in fresh.problems]
