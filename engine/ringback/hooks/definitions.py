"""Definitions of hooks: what a rule file says of the webhooks of another system.

The worker reads the rule files and writes the definitions down; the receiver, which reads no rules,
judges by what is written. Secrets are never among them, only the names of their variables.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ringback.events import HOOK

FILE = "hooks.json"
"""The name of the file in the data folder by which the receiver knows the hooks."""

STANDARD = "standard"
SCHEMES = (STANDARD, "stripe", "github", "shopify", "token")
TIMED = (STANDARD, "stripe")
"""The schemes that sign when a delivery was sent."""
TOLERANCE = 300.0
"""How many seconds the other clock may be apart from ours, where no rule file says."""
LEAST_TOLERANCE, MOST_TOLERANCE = 10.0, 3600.0

NAME = r"[a-z][a-z0-9_-]{0,39}"
MOST_SECRETS = 5
_PATH = re.compile(r"[A-Za-z0-9_$@-]+(?:\.[A-Za-z0-9_$@-]+){0,15}")


@dataclass(frozen=True, slots=True)
class Hook:
    """One other system. `secrets` are the variables that hold its secrets, any of which proves a
    delivery; `phone` and `id` are paths into its JSON, empty where there is none; `tolerance` is
    in seconds."""

    name: str
    secrets: tuple[str, ...]
    scheme: str = STANDARD
    phone: str = ""
    id: str = ""
    tolerance: float = TOLERANCE

    @property
    def type(self) -> str:
        """The type of its events."""
        return f"{HOOK}.{self.name}"


def bad_path(path: str) -> str:
    """What is wrong with a path into JSON; empty when nothing is."""
    if _PATH.fullmatch(path):
        return ""
    return f"{path!r} is no path: write names with dots between them, like data.customer.phone"


def written(hooks: Mapping[str, Hook]) -> str:
    """The definitions as a text for the receiver."""
    return json.dumps([asdict(hooks[name]) for name in sorted(hooks)], indent=1)


def read(text: str) -> dict[str, Hook]:
    """The definitions in such a text. Raises ValueError when it is none."""
    try:
        rows: Sequence[Mapping[str, object]] = json.loads(text)
        found = [Hook(**{**row, "secrets": tuple(row["secrets"])}) for row in rows]  # type: ignore[arg-type]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"this is no list of hooks: {error}") from None
    return {hook.name: hook for hook in found}
