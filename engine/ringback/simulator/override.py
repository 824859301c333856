"""Connection overrides in the fragment of a webhook URL.

https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides

`#ct=2000&rc=3&rp=ct,5xx`: time limits and retries of one delivery.
"""

from dataclasses import dataclass
from urllib.parse import urldefrag

EDGES = frozenset(
    f"{edge}{suffix}"
    for edge in (
        "ashburn", "dublin", "frankfurt", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla",
    )
    for suffix in ("", "-ix")
)  # fmt: skip
POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})
RANGES = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000), "rc": (0, 5)}


@dataclass(frozen=True, slots=True)
class Override:
    """Limits of one delivery: seconds to connect, to read, in all; retries, and after what."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    problem: int = 0

    def retries_after(self, what: str) -> bool:
        """Whether a failure of this kind (`ct`, `rt`, `4xx`, `5xx`) is tried again."""
        return what in self.policy or "all" in self.policy


def read_override(url: str) -> tuple[str, Override]:
    """Split a webhook URL into what is requested and its override.

    A fragment that holds no override is dropped in silence; a wrong value gives Twilio's code in
    `problem`, and the default stands.
    """
    plain, fragment = urldefrag(url)
    numbers: dict[str, int] = {}
    policy = Override().policy
    problem = 0
    for part in fragment.split("&"):
        key, _, value = part.partition("=")
        if key in RANGES:
            low, high = RANGES[key]
            if value.isascii() and value.isdigit() and low <= int(value) <= high:
                numbers[key] = int(value)
            else:
                problem = problem or 11321
        elif key == "rp":
            asked = frozenset(value.split(","))
            if asked <= POLICIES:
                policy = asked
            else:
                problem = problem or 11243
        elif key == "e" and not set(value.split(",")) <= EDGES:
            problem = problem or 11240
    return plain, Override(
        numbers.get("ct", 5000) / 1000,
        numbers.get("rt", 15_000) / 1000,
        numbers.get("tt", 15_000) / 1000,
        numbers.get("rc", 1),
        policy,
        problem,
    )
