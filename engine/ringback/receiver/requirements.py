"""Requirements: what a node needs to serve, beyond settings that can be read."""

from collections.abc import Iterator

from ringback.config import LOOPBACK, Settings
from ringback.errors import ConfigError
from ringback.settings_values import weak


def require_serving(settings: Settings) -> None:
    """Raise ConfigError, one line per problem, unless a node can serve with these settings."""
    problems = [*_proof_problems(settings), *_gateway_problems(settings)]
    loopback = settings.host in LOOPBACK
    if settings.simulated and not loopback:
        problems.append(
            f"host is {settings.host}: simulated mode listens on loopback only; set RINGBACK_HOST "
            "to 127.0.0.1, or leave RINGBACK_SIMULATED unset"
        )
    if not settings.public_url and not settings.simulated:
        problems.append(
            "public_url is not set: Twilio signs the public address, so it must be known; "
            "set RINGBACK_PUBLIC_URL to what Twilio calls, as https://hooks.your-company.com"
        )
    problems += _console_problems(settings)
    if settings.price_per_day and not settings.segment_price:
        problems.append("price_per_day needs the price of a segment: set RINGBACK_SEGMENT_PRICE")
    if problems:
        raise ConfigError([*problems, *settings.notes])  # what is missing may stand there


def _proof_problems(settings: Settings) -> Iterator[str]:
    tokens = [("TWILIO_AUTH_TOKEN", token) for token in settings.auth_tokens]
    tokens += [(f"[accounts] {sid}", t) for sid, many in settings.accounts.items() for t in many]
    tokens += [(f"shared key {key}", secret) for key, secret in settings.shared_keys.items()]
    if not tokens and not settings.hook_secret:
        yield (
            "no proof of where a webhook comes from: set TWILIO_AUTH_TOKEN, or, without the "
            "token, RINGBACK_HOOK_SECRET (`ringback init` writes a fresh one)"
        )
    for name, token in tokens:
        wrong = weak(token, 32)
        if wrong:
            yield f"{name} {wrong}"
    if settings.hook_secret:
        wrong = weak(settings.hook_secret, 24)
        if not wrong and not all(c.isalnum() or c in "-_" for c in settings.hook_secret):
            wrong = "stands in a path: use letters, digits, - and _ only"
        if wrong:
            yield f"RINGBACK_HOOK_SECRET {wrong}"


def _gateway_problems(settings: Settings) -> Iterator[str]:
    if settings.maton_api_key:
        return
    if bool(settings.api_key) != bool(settings.api_secret):
        missing = "TWILIO_API_SECRET" if settings.api_key else "TWILIO_API_KEY"
        yield f"{missing} is missing: an API key needs both its SID and its secret"
    elif not settings.auth_tokens and not settings.api_key:
        yield (
            "no credentials for the gateway: set MATON_API_KEY, or TWILIO_ACCOUNT_SID with "
            "TWILIO_AUTH_TOKEN or TWILIO_API_KEY and TWILIO_API_SECRET"
        )
    if not settings.account_sid and (settings.auth_tokens or settings.api_key):
        yield "TWILIO_ACCOUNT_SID is missing: the direct gateway needs it beside the token"


def _console_problems(settings: Settings) -> Iterator[str]:
    for name, secret, least in (
        ("RINGBACK_CONSOLE_PASSWORD", settings.console_password, 12),
        ("RINGBACK_API_TOKEN", settings.api_token, 24),
    ):
        if wrong := weak(secret, least) if secret else "":
            yield f"{name} {wrong}"
    if settings.console_user_header and not settings.trusted_proxies:
        yield (
            "console_user_header needs the proxy that sets it: name its address in "
            "RINGBACK_TRUSTED_PROXIES"
        )
    if settings.console_port and settings.console_port == settings.port:
        yield "console_port is the port of the node: leave it out, or choose another"
