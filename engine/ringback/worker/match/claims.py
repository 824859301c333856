"""Claims under an identity: who has it when a claimed webhook and another one both name it.

A claim may be false. It proves nothing of whoever else names the same SID, so it uses up no
identity: what says otherwise is recorded beside it, and what is proven takes the identity.
"""

from dataclasses import replace
from hashlib import blake2b

from ringback.events import Event
from ringback.store.session import ReadSession

_CORE = ("Body", "NumMedia")
"""What a text that was fetched back has of the fields of its webhook."""


class BatchClaims:
    """The claims of a batch of events, and those of the journal that its events name again.

    `twins` are claims (uid) that a proven event says again, with its trust. Of those that a proven
    event contradicts, `displaced` has the ones of the journal by the uid of that event, `renamed`
    the identities (by uid) that those of the batch have from now on.
    """

    def __init__(self, session: ReadSession) -> None:
        self._session = session
        self._batch: dict[str, Event] = {}
        self._taken: set[str] = set()
        self.twins: list[tuple[str, str]] = []
        self.displaced: dict[str, str] = {}
        self.renamed: dict[str, str] = {}

    def noted(self, event: Event) -> None:
        """An event of the batch is new."""
        if event.trust == "claimed":
            self._batch[event.dedupe_key] = event

    def beside(self, event: Event) -> Event | None:
        """What is to be recorded of an event whose identity is on record; None for nothing."""
        key = event.dedupe_key
        claim = self._batch.get(key)
        if claim is None and key not in self._taken:
            claim = self._session.claimed_twin(key)
        if claim is None:
            return None
        if event.trust == "claimed":
            own = f"{key}~{_digest(event)}"
            return None if claim.fields == event.fields else replace(event, dedupe_key=own)
        if _agrees(claim, event):
            self.twins.append((claim.uid, event.trust))
            return None
        self._taken.add(key)
        if self._batch.pop(key, None) is None:
            self.displaced[event.uid] = claim.uid
        else:
            self.renamed[claim.uid] = f"{key}~{claim.uid}"
        return event


def _agrees(claim: Event, proven: Event) -> bool:
    """Whether a proven event says all that the claim says. One that was fetched back says less."""
    if (claim.sender, claim.recipient, claim.status) != (
        proven.sender, proven.recipient, proven.status,
    ):  # fmt: skip
        return False
    if proven.source == "repair":
        same = all(_said(claim, name) == _said(proven, name) for name in _CORE)
        return same and claim.media == proven.media and claim.error_code == proven.error_code
    return dict(claim.fields) == dict(proven.fields)


def _said(event: Event, name: str) -> str:
    """The value of a field; a number that is not given is 0."""
    return event.fields.get(name, "").strip() or "0"


def _digest(event: Event) -> str:
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(event.fields.items()))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
