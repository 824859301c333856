"""Webhooks of other systems at the receiver: which hook, whether it is proven, what it is known by.

The definitions come from a file in the data folder, which the worker writes when rules come into
force. It is looked at before each delivery, so a hook that was saved is there at once, and those
that were known stay while the worker is away.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ringback.config import LOOPBACK, Settings
from ringback.hooks import proof
from ringback.hooks.definitions import FILE, Hook, read
from ringback.hooks.reading import ROUTE, Facts, at, identity, parsed
from ringback.receiver import responses
from ringback.receiver.responses import Answer
from ringback.receiver.routes import Head
from ringback.runtime import REAL

_logger = logging.getLogger("ringback.receiver")


class Refused(NamedTuple):
    """Why a delivery is not taken: the word under which it is counted, in words, the mend, and the
    answer."""

    counted: str
    why: str
    mend: str = ""
    answer: Answer = responses.FORBIDDEN


class Delivery(NamedTuple):
    """A proven delivery: its trust, what is kept of it beside its body, and the keys by which the
    same one is known in a short memory."""

    trust: str
    facts: Facts
    keys: tuple[str, ...]


class HookProofs:
    """Judges deliveries by the definitions that the worker wrote down."""

    def __init__(self, settings: Settings) -> None:
        self._seen: tuple[int, int, int] | None = None
        self._hooks: Mapping[str, Hook] | None = None
        self._secrets: dict[str, tuple[str, ...]] = {}
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Take secrets and our own number from these settings from now on."""
        self._path = settings.data / FILE
        self._environ = settings.environ
        self._ours = settings.sender
        self._simulated = settings.simulated and settings.host in LOOPBACK
        self._seen = None
        self.look()

    def judge(self, head: Head) -> Refused | None:
        """What to refuse before the body is read."""
        self.look()
        hook = self._named(head.target.route)
        if isinstance(hook, Refused):
            return hook
        if not self._secrets[hook.name]:
            return None if self._open(hook) else self._unprovable(hook)
        why = proof.lacks(hook, head.headers, head.query, head.target.secret)
        return Refused("unsigned", why, _mend(hook)) if why else None

    def take(self, head: Head, body: bytes) -> Delivery | Refused:
        """A complete request, proven and read. Raises Malformed for a body that is no JSON."""
        hook = self._named(head.target.route)
        if isinstance(hook, Refused):  # its rule file was changed meanwhile
            return hook
        secrets, signed = self._secrets[hook.name], ""
        if secrets:
            sent = proof.Sent(head.headers, head.query, head.target.secret, body)
            found = proof.check(hook, secrets, sent, REAL.time())
            if found.why:
                return Refused("proof", found.why, _mend(hook))
            signed = found.delivery
        elif not self._open(hook):
            return self._unprovable(hook)
        trust = "simulated" if self._simulated else "signed"
        value = parsed(body)
        besides = proof.unsigned_id(hook, head.headers)
        if hook.scheme == "token" or not secrets:  # nothing of what is sent is proven
            signed = signed or besides or REAL.uid(hook.name)
        facts = self._facts(hook, value, identity(hook, value, signed, body))
        keys = [f"{head.target.route} {facts.id}"]
        if besides and not at(value, hook.id):
            keys.append(f"{head.target.route} delivery {besides}")
        return Delivery(trust, facts, tuple(keys))

    def _open(self, hook: Hook) -> bool:
        """Whether a hook takes what is not proven: in `dev`, while no secret of it is set. One that
        is set and cannot be used is a mistake, and does not open it."""
        return self._simulated and not any(self._environ.get(each) for each in hook.secrets)

    def _unprovable(self, hook: Hook) -> Refused:
        given = any(self._environ.get(each) for each in hook.secrets)
        why = "its secret cannot be used" if given else "its secret is not set"
        mend = f"put its secret into {' or '.join(hook.secrets)}, in the environment or .env"
        return Refused("unprovable", why, mend, responses.BUSY)

    def _named(self, route: str) -> Hook | Refused:
        if self._hooks is None:
            return Refused("hooks", "the worker has not read the rules yet", "", responses.BUSY)
        hook = self._hooks.get(route.removeprefix(ROUTE))
        return hook or Refused("path", "no rule file has this hook", "", responses.NOT_FOUND)

    def look(self) -> None:
        """Read the definitions when they have changed. What cannot be read changes nothing."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  # a third of the time of a Path
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp == self._seen:
                return
            hooks = read(Path(self._path).read_text("utf-8"))
            self._seen = stamp
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            _logger.error("%s cannot be read, the hooks stay as they were: %s", self._path, error)
            return
        self._hooks = hooks
        self._secrets = {name: self._good(hook) for name, hook in hooks.items()}
        if any(hook.phone for hook in hooks.values()):
            import ringback.rules.hook_contacts  # noqa: F401  # its tables take a moment, not later

    def _good(self, hook: Hook) -> tuple[str, ...]:
        """The secrets of a hook that are set and can be used; what is wrong is said."""
        good = []
        for variable in hook.secrets:
            secret = self._environ.get(variable, "")
            wrong = proof.bad_secret(hook, secret)
            if not wrong:
                good.append(secret)
            elif not self._simulated or secret:
                _logger.warning("hook %s: %s %s", hook.name, variable, wrong)
        return tuple(good)

    def _facts(self, hook: Hook, value: object, known: str) -> Facts:
        if not hook.phone:
            return Facts(known)
        from ringback.rules.hook_contacts import facts_of

        return facts_of(hook, value, known, self._ours)


def _mend(hook: Hook) -> str:
    said = f"the rule file says `scheme: {hook.scheme}`; its secrets are in "
    return f"{said}{', '.join(hook.secrets)}"
