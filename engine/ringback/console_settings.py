"""Settings of the console: where it listens, who may use it, what it shows.

They are a part of `ringback.config.Settings`. One setting is one field: its metadata names the
environment variables and says how a text is read.
"""

from dataclasses import dataclass, field
from typing import Any


def facts(*env: str, kind: str = "text", secret: bool = False, about: str) -> dict[str, Any]:
    """The metadata of a setting."""
    return {"env": env, "kind": kind, "secret": secret, "about": about}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConsoleSettings:
    """What is set for the console and its JSON API."""

    console_password: str = field(default="", metadata=facts(
        "RINGBACK_CONSOLE_PASSWORD", secret=True,
        about="Password of the person `console`, who may do all; at least 12 letters. It turns the "
        "console on.",
    ))  # fmt: skip
    api_token: str = field(default="", metadata=facts(
        "RINGBACK_API_TOKEN", secret=True,
        about="A token for the JSON API with the role `operate`; at least 24 letters. It turns the "
        "console on.",
    ))  # fmt: skip
    console_host: str = field(default="127.0.0.1", metadata=facts(
        "RINGBACK_CONSOLE_HOST", about="Address of the console, where it has a port of its own.",
    ))  # fmt: skip
    console_port: int = field(default=0, metadata=facts(
        "RINGBACK_CONSOLE_PORT", kind="port",
        about="Port of the console alone; 0: the port of the node answers `/console` too.",
    ))  # fmt: skip
    console_url: str = field(default="", metadata=facts(
        "RINGBACK_CONSOLE_URL", kind="url",
        about="The address at which people reach the console, as https://ops.example.com; needed "
        "behind a proxy.",
    ))  # fmt: skip
    console_mask: str = field(default="numbers", metadata=facts(
        "RINGBACK_CONSOLE_MASK", kind="none|numbers|all",
        about="What the console hides until somebody unmasks it: nothing, numbers, or texts too.",
    ))  # fmt: skip
    console_session_hours: int = field(default=8, metadata=facts(
        "RINGBACK_CONSOLE_SESSION_HOURS", kind="count",
        about="How long one is signed in at most.",
    ))  # fmt: skip
    console_idle_minutes: int = field(default=30, metadata=facts(
        "RINGBACK_CONSOLE_IDLE_MINUTES", kind="count",
        about="Who asks for nothing for so long has to sign in again.",
    ))  # fmt: skip
    console_user_header: str = field(default="", metadata=facts(
        "RINGBACK_CONSOLE_USER_HEADER",
        about="Header in which a trusted proxy names who is signed in there; it turns "
        "the console on, and passwords off.",
    ))  # fmt: skip
