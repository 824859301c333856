"""E-mail of a notice, given to a mail server in one attempt."""

import contextlib
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from ringback.errors import BadRequest, ServerError, Unauthorized, Unreachable, UsageError

TIMEOUT = 10.0


def compose(
    sender: str,
    to: Sequence[str],
    text: str,
    *,
    severity: str = "warning",
    key: str = "",
    event_uid: str = "",
) -> EmailMessage:
    """A notice as an e-mail. Its first line is the subject; no text can add a header."""
    message = EmailMessage()
    first = " ".join((text.strip().splitlines() or [""])[0].split())
    message["Subject"] = f"[ringback {severity}] {first[:150]}"
    message["From"] = sender
    message["To"] = ", ".join(to)
    name = sha256(f"{key}\n{event_uid}\n{text}".encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{name}@ringback>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [text, ""]
    if key:
        lines.append(f"About: {key}")
    if event_uid:
        lines.append(f"Event: {event_uid}   (ringback trace {event_uid})")
    message.set_content("\n".join(lines))
    return message


def send(address: str, message: EmailMessage, *, tls: ssl.SSLContext | None = None) -> None:
    """Give an e-mail to the server at `smtp://user:password@host:port`, or `smtps://…`.

    Plain `smtp` turns to TLS when the server offers it; a password is never sent without. Blocks
    for at most some seconds. Raises Unreachable, Unauthorized, ServerError (try again) or
    BadRequest (final).
    """
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
        server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise Unauthorized(f"mail server {host} refused the login: {_said(error)}") from None
    except smtplib.SMTPResponseException as error:
        kind = ServerError if error.smtp_code < 500 else BadRequest
        raise kind(f"mail server {host}: {_said(error)}", http_status=error.smtp_code) from None
    except smtplib.SMTPRecipientsRefused as error:
        refused = ", ".join(error.recipients)
        raise BadRequest(f"mail server {host} refused every recipient: {refused}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"mail server {host}: {error}", wrote=True) from None
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    return (
        f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
    )
