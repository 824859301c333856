"""E-mail of a notice, given to a mail server in one attempt."""

import contextlib
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from ringback.errors import (
    BadRequest,
    GatewayError,
    ServerError,
    Unauthorized,
    Unreachable,
    UsageError,
)
from ringback.runtime import REAL

TIMEOUT = 10.0


def compose(
    sender: str,
    to: Sequence[str],
    text: str,
    *,
    name: str,
    severity: str = "warning",
    key: str = "",
    event_uid: str = "",
) -> EmailMessage:
    """A notice as an e-mail. Its first line is the subject; no text can add a header.

    `name` is the notice's own: a second try is the same mail, and no other notice is.
    """
    message = EmailMessage()
    first = " ".join((text.strip().splitlines() or [""])[0].split())
    message["Subject"] = f"[ringback {severity}] {first[:150]}"
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(REAL.now())
    message["Message-ID"] = f"<{sha256(name.encode()).hexdigest()[:32]}@ringback>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [text, ""]
    if key:
        lines.append(f"About: {key}")
    if event_uid:
        lines.append(f"Event: {event_uid}   (ringback trace {event_uid})")
    message.set_content("\n".join(lines))
    return message


@dataclass(slots=True)
class Progress:
    """Who has a mail, and whom the server refuses for good, with its words."""

    told: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def left(self, message: EmailMessage) -> list[str]:
        """Those to whom it is still to be given."""
        everybody = [each.strip() for each in str(message["To"]).split(",")]
        return [each for each in everybody if each not in self.told and each not in self.refused]


def send(
    address: str,
    message: EmailMessage,
    progress: Progress | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Give an e-mail to the server at `smtp://user:password@host:port`, or `smtps://…`.

    Plain `smtp` turns to TLS when the server offers it; a password is never sent without. Blocks
    for at most some seconds. `progress` goes from one try to the next: who has the mail does not
    get it again. Raises Unreachable, Unauthorized, ServerError (try again: somebody was refused for
    now) or BadRequest (final: somebody does not get it).
    """
    progress = progress or Progress()
    parts = urlsplit(address)
    context = tls or ssl.create_default_context()
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    host = parts.hostname or "localhost"
    try:
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, parts.port or 465, timeout=TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"mail server {host}: {error}", wrote=False) from None
    try:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif parts.scheme == "smtp" and user:
            raise UsageError(f"mail server {host} offers no TLS: the password is not sent to it")
        if user:
            server.login(user, password)
        _give(server, message, progress, host)
    except smtplib.SMTPAuthenticationError as error:
        raise Unauthorized(f"mail server {host} refused the login: {_said(error)}") from None
    except smtplib.SMTPResponseException as error:
        kind = ServerError if error.smtp_code < 500 else BadRequest
        raise kind(f"mail server {host}: {_said(error)}", http_status=error.smtp_code) from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"mail server {host}: {error}", wrote=True) from None
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()


def _give(server: smtplib.SMTP, message: EmailMessage, progress: Progress, host: str) -> None:
    """Give it to those who are left, and judge what the server said of each."""
    wanted = progress.left(message)
    try:
        answers = server.send_message(message, to_addrs=wanted) if wanted else {}
    except smtplib.SMTPRecipientsRefused as error:
        answers = error.recipients
    later = []
    for who, (code, text) in answers.items():
        words = f"{who} ({code} {text.decode('utf-8', 'replace')})"
        if code < 500:
            later.append(words)
        else:
            progress.refused[who] = words
    progress.told.update(who for who in wanted if who not in answers)
    others = f"; {len(progress.told)} others have it" if progress.told else ""
    if later:
        refusal: GatewayError = ServerError(
            f"mail server {host} refused {', '.join(later)} for now{others}"
        )
    elif progress.refused:
        refused = ", ".join(progress.refused.values())
        refusal = BadRequest(f"mail server {host} refused {refused}{others}")
    else:
        return
    refusal.reached = bool(progress.told)
    raise refusal


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    return (
        f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    )
