"""Finding of the doctor: one answer of one check."""

from dataclasses import dataclass

OK, WARN, BAD, SKIPPED = "ok", "warn", "bad", "skipped"


@dataclass(frozen=True)
class Finding:
    """One answer: what was looked at, how it is (`ok`, `warn`, `bad`, `skipped`), and the mend."""

    check: str
    state: str
    says: str
    mend: str = ""
