"""Identity of whoever asks: their name, their role, and how they proved it.

The guard puts it into the scope of a request; pages and resources read it from there.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from starlette.requests import HTTPConnection

Role = Literal["read", "operate", "admin"]
Via = Literal["session", "token", "header"]

ROLES: tuple[Role, ...] = get_args(Role)
"""The roles, each of which may do what those before it may."""
SCOPE = "ringback.identity"
"""Where the guard puts it in the scope of a request."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `peer` is the address that the request came from; `unmasked` says that numbers are
    shown whole, and texts where the settings mask them."""

    name: str
    role: Role
    via: Via = "session"
    peer: str = ""
    unmasked: bool = False


def may(identity: Identity, role: Role) -> bool:
    """Whether somebody may do what this role may."""
    return ROLES.index(identity.role) >= ROLES.index(role)


def identity_of(request: HTTPConnection) -> Identity:
    """Who sent a request that the guard let through."""
    identity: Identity = request.scope[SCOPE]
    return identity
