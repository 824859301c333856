"""Finding of the doctor: one answer of one check."""

from dataclasses import dataclass

from ringback.errors import GatewayError, RingbackError

OK, WARN, BAD, SKIPPED = "ok", "warn", "bad", "skipped"


@dataclass(frozen=True)
class Finding:
    """One answer: what was looked at, how it is (`ok`, `warn`, `bad`, `skipped`), and the mend."""

    check: str
    state: str
    says: str
    mend: str = ""


def from_error(check: str, error: RingbackError) -> Finding:
    """A failure as an answer, its remedy as the mend."""
    remedy = error.remedy if isinstance(error, GatewayError) else ""
    text = str(error).split("\n")[0]
    if remedy:
        text = text.removesuffix(f"{remedy[:1].upper()}{remedy[1:]}").rstrip(". ")
    return Finding(check, BAD, text, remedy)
