"""Downloads: the bytes of a medium or a recording, which Twilio often gives by a redirect.

The first request carries our credentials and goes to the gateway. Where it leads is another host
that must not see them: it is called without, through the guarded way out, a few hops at most.
https://www.twilio.com/docs/messaging/api/media-resource
"""

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from ringback.errors import BadRequest, Unreadable
from ringback.gateway.pool import Answer, Limits
from ringback.gateway.responses import failure
from ringback.gateway.safe_http import Outbound
from ringback.gateway.transport import Transport

MOST_BYTES = 25 * 1024 * 1024
MOST_HOPS = 3
LIMITS = Limits(connect=5.0, read=15.0, total=120.0, body=MOST_BYTES)
HOSTS = (".twilio.com", ".twiliocdn.com", ".amazonaws.com")
"""Where Twilio keeps what was said and sent."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file: its media type, as the server says, and its bytes."""

    content_type: str
    body: bytes = field(repr=False)


async def download(transport: Transport, path: str) -> Download:
    """Fetch what is at a path of the API, such as `/Accounts/AC…/Recordings/RE….mp3`.

    Raises NotFound and the gateway's other errors, BadRequest for a redirect to where Twilio keeps
    no files, Unreadable for more than 25 MiB.
    """
    answer = await transport.raw(path, LIMITS)
    base = urlsplit(transport.access.base_url)
    target = f"{transport.access.base_url}{path}"
    async with Outbound(allow=[base.netloc], limits=LIMITS) as outbound:
        for _ in range(MOST_HOPS):
            if not 300 <= answer.status < 400:
                break
            target = urljoin(target, answer.headers.get("location", ""))
            host = urlsplit(target).hostname or ""
            if not host.endswith(HOSTS) and urlsplit(target).netloc != base.netloc:
                raise BadRequest(
                    f"the file is said to be at {host[:80]}, where Twilio keeps none",
                    http_status=answer.status,
                    wrote=False,
                )
            answer = await outbound.answer("GET", target)
    return _judged(transport, answer)


def _judged(transport: Transport, answer: Answer) -> Download:
    if not 200 <= answer.status < 300:
        raise failure(answer, transport.access, now=0.0)
    if answer.fault:
        raise Unreadable(f"the file cannot be read: {answer.fault}", http_status=answer.status)
    return Download(answer.headers.get("content-type", ""), answer.body)
