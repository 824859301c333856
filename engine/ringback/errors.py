"""Exceptions of Ringback, and the one shape of a problem that a person should mend.

Each exception knows the exit code that the shell ends with (sysexits where one fits).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in something a person wrote, with its place and its mend.

    `line` and `column` count from 1; 0 means that the place has none. `source` is the text of the
    line, shown with a caret. `hint` says what to write instead, when that is known.
    """

    file: str
    line: int
    column: int
    kind: str
    message: str
    source: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {self.kind}: {self.message}{hint}"


class RingbackError(Exception):
    """Something went wrong that Ringback can name. The message is meant for a person."""

    exit_code = 1


class ConfigError(RingbackError):
    """The configuration cannot be used. Carries every problem found, not only the first."""

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RuleErrors(RingbackError):
    """The rule files or plugins of a project do not load. Carries every problem of every file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class UsageError(RingbackError):
    """The command or the call was put together wrongly."""

    exit_code = 2


class Malformed(RingbackError):
    """The body is not what is sent to this route. The message says what is wrong with it."""


class Conflict(UsageError):
    """Something is not as the caller took it to be. `now` is what is true of it."""

    def __init__(self, message: str, now: Mapping[str, object]) -> None:
        super().__init__(message)
        self.now = dict(now)


class Missing(UsageError):
    """What the caller named is not there."""


class RoleTooSmall(UsageError):
    """Whoever asks may not do this: it wants the `role`."""

    def __init__(self, message: str, role: str) -> None:
        super().__init__(message)
        self.role = role


class HeldError(RingbackError):
    """Another process holds what this one needs to own alone. The message says who."""

    exit_code = 75


class TakenOver(RingbackError):
    """Another node works on in place of this one. The message says who."""


class StorageError(RingbackError):
    """The disk or the database refused. What was asked for is not recorded."""

    exit_code = 74


class DataError(RingbackError):
    """A database file cannot be used as it is: corrupt, foreign or from a newer program."""

    exit_code = 65


class PluginError(RingbackError):
    """A plugin could not be loaded, or broke while it ran. Names the plugin."""

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(f"plugin {plugin}: {message}" if plugin else message)
        self.plugin = plugin


class PluginBlocked(PluginError):
    """Code of a plugin took longer than its limit, or ended the process that it ran in.

    `owner` is the rule, the `plugin.hook` or the `plugin.function` that did it: it earns a strike.
    """

    def __init__(self, plugin: str, message: str, owner: str = "") -> None:
        super().__init__(plugin, message)
        self.owner = owner


class GatewayError(RingbackError):
    """A request through the gateway did not end in a good answer.

    `wrote` says whether a byte of the request may have left: only when it is False is it certain
    that nothing happened. `origin` is `twilio`, `maton` or `network`. `reached` says of a notice to
    several that somebody has it all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int = 0,
        code: int = 0,
        origin: str = "network",
        wrote: bool = True,
        retry_after: float | None = None,
        request_id: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.reached = False
        self.http_status = http_status
        self.code = code
        self.origin = origin
        self.wrote = wrote
        self.retry_after = retry_after
        self.request_id = request_id
        self.remedy = remedy


class BadRequest(GatewayError):
    """Twilio refused the request for good (400, 403, 405, 409, 413, 415, 422): final."""


class Unauthorized(GatewayError):
    """The credentials were refused (401). `origin` says by whom, the message what to do."""


class Forbidden(Unauthorized):
    """The account may send nothing (403, or Twilio's code for one that is suspended): whatever is
    asked for, until a person has settled that."""


class NotFound(GatewayError):
    """No such resource (404)."""


class RateLimited(GatewayError):
    """Too many requests (429). The request was not carried out; `retry_after` is in seconds."""


class NoConnection(GatewayError):
    """Maton has no active Twilio connection for this key (400 without a Twilio body)."""


class ConnectionExpired(GatewayError):
    """The gateway itself failed (500 not from Twilio): often an expired or revoked OAuth grant."""


class ServerError(GatewayError):
    """Twilio or something on the way failed (408, 5xx). A create may have happened all the same."""


class Unreadable(GatewayError):
    """A 2xx whose body cannot be read as the resource. A create has probably happened."""


class Unreachable(GatewayError):
    """No answer: refused, timed out, reset. `wrote` tells whether anything may have arrived."""
