"""Probe of the public address: a webhook that goes out to it and should come back in.

The probe is signed as Twilio signs, but lacks what every real webhook has. So a node that could
prove it answers 400 and records nothing; one that could not answers 403.
"""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from ringback.gateway.pool import Answer, Broken, Limits, NotSent, Pool
from ringback.twilio.signature import HEADER, sign

LIMITS = Limits(connect=5.0, read=10.0, total=12.0, body=64 * 1024)

FIELDS = (
    ("Body", " probe: 1+1 = 2 & grüße\r\n"),
    ("From", "+15550000000"),
    ("To", "+15550000001"),
    ("ToCity", ""),
    ("ToState", ""),
    ("ToZip", ""),
)
"""What is easily broken on the way: plus signs, blanks around a text, umlauts, empty values."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What came back: the status, or 0 with the reason why nothing did."""

    status: int = 0
    body: str = field(default="", repr=False)
    location: str = ""
    reason: str = ""


async def ask(
    url: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
    limits: Limits = LIMITS,
) -> Echo:
    """One request without following redirects; never raises."""
    pool = Pool(1, tls=url.startswith("https:"))
    try:
        return _echo(await pool.exchange(method, url, list(headers), body, limits))
    except (NotSent, Broken) as error:
        return Echo(reason=str(error))
    finally:
        await pool.aclose()


async def signed(public_url: str, account_sid: str, token: str) -> Echo:
    """Send the signed probe to the message route of the node behind a public address."""
    url = public_url.rstrip("/") + "/twilio/message"
    fields = (("AccountSid", account_sid), *FIELDS)
    headers = (
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", "ringback-doctor"),
        (HEADER, sign(token, url, fields)),
    )
    return await ask(url, method="POST", body=urlencode(fields).encode(), headers=headers)


async def secret(public_url: str, account_sid: str, hook_secret: str) -> Echo:
    """Send the probe to the path with the secret, unsigned."""
    url = f"{public_url.rstrip('/')}/twilio/~{hook_secret}/message"
    fields = (("AccountSid", account_sid or "AC" + "0" * 32), *FIELDS)
    headers = (
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", "ringback-doctor"),
    )
    return await ask(url, method="POST", body=urlencode(fields).encode(), headers=headers)


def _echo(answer: Answer) -> Echo:
    text = answer.body[:2000].decode("utf-8", "replace")
    return Echo(answer.status, text, answer.headers.get("location", ""))
