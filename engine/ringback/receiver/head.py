"""What is known of a request before its body has come?"""

from collections.abc import Mapping
from typing import NamedTuple

from ringback.receiver.routes import Target

SIGNATURE = b"x-twilio-signature"
SETTINGS = b"x-twilio-webhooks-signature-settings"
Headers = Mapping[bytes, bytes]


class Head(NamedTuple):
    """A request without its body. Header names are lower-case, paths as they came. `doubled` says
    that a header which must be alone came twice."""

    method: bytes
    target: Target
    path: bytes
    query: bytes
    headers: Headers
    doubled: bool = False
    peer: str = ""
