"""Entry to a console: the parts that say who may come in, put together once."""

from dataclasses import dataclass

from ringback.config import Settings
from ringback.console.identity import Identity
from ringback.console.limits import Window
from ringback.console.origins import Origins
from ringback.console.refusals import LONGEST, Refusals
from ringback.console.sessions import Sessions
from ringback.console.signin import SignIn
from ringback.runtime import REAL, iso
from ringback.store.console.access import Access

TRIES_OF_KEY = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may come in. `tries` counts those with a key, for each address."""

    access: Access
    origins: Origins
    sessions: Sessions
    signin: SignIn
    tries: Window
    refusals: Refusals

    def note(self, who: Identity, what: str, subject: str) -> None:
        """Note among the looks what somebody did to what."""
        self.access.look(iso(REAL.now()), who.name, what, subject[:LONGEST], who.peer)


def entry_of(settings: Settings, access: Access, key: str = "") -> Entry:
    """The entry for a console of these settings. `key` signs in whoever started it; without, it is
    the one that a running `ringback dev` has noted in this data folder."""
    origins = Origins(settings.console_url, settings.trusted_proxies)
    sessions = Sessions(settings, access, origins, key=key)
    return Entry(
        access, origins, sessions, SignIn(settings, access), Window(TRIES_OF_KEY, 60.0),
        Refusals(access),
    )  # fmt: skip
