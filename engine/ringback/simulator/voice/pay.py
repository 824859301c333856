"""The verb Pay: it asks the keypad for a card or a bank account, and charges nothing.

https://www.twilio.com/docs/voice/twiml/pay. Each piece ends with `#`; `*` breaks off. What was
keyed is checked as to its form alone, and leaves as Twilio masks it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ringback.simulator.twiml import Element
from ringback.simulator.voice.documents import Outcome, Page, Program, do
from ringback.simulator.voice.effects import Hear, Notify, PickUp
from ringback.simulator.voice.gather_record import Wants, listen, prompts
from ringback.simulator.voice.ports import Fields
from ringback.simulator.voice.results import HungUp, Interrupted, Key, Speech
from ringback.simulator.voice.sounds import spoken_seconds

CARDS = {"3": "amex", "4": "visa", "5": "mastercard", "6": "discover"}  # by their first digit


@dataclass(frozen=True, slots=True)
class _Piece:
    """One thing to ask for. `shown` is what leaves of it, masked as Twilio masks it."""

    name: str
    error: str
    field: str
    good: Callable[[str], bool]
    shown: Callable[[str], str]


def _luhn(number: str) -> bool:
    if not 12 <= len(number) <= 19:
        return False
    twice = [int(digit) * 2 for digit in number[-2::-2]]
    return (sum(map(int, number[-1::-2])) + sum(n - 9 if n > 9 else n for n in twice)) % 10 == 0


def _last_four(number: str) -> str:
    return "x" * (len(number) - 4) + number[-4:]


def _pieces(verb: Element) -> tuple[_Piece, ...]:
    if verb.get("paymentMethod") == "ach-debit":
        return (
            _Piece("bank-routing-number", "invalid-bank-routing-number", "BankRoutingNumber",
                   lambda keyed: len(keyed) == 9, lambda keyed: keyed),
            _Piece("bank-account-number", "invalid-bank-account-number", "BankAccountNumber",
                   lambda keyed: 4 <= len(keyed) <= 17, _last_four),
        )  # fmt: skip
    least = verb.number("minPostalCodeLength") or 1
    wanted = [
        _Piece("payment-card-number", "invalid-card-number", "PaymentCardNumber",
               _luhn, _last_four),
        _Piece("expiration-date", "invalid-date", "ExpirationDate",
               lambda keyed: len(keyed) == 4 and 1 <= int(keyed[:2]) <= 12, lambda keyed: keyed),
    ]  # fmt: skip
    if verb.flag("securityCode"):
        wanted.append(
            _Piece("security-code", "invalid-security-code", "SecurityCode",
                   lambda keyed: len(keyed) in (3, 4), lambda keyed: "x" * len(keyed))
        )  # fmt: skip
    if verb.flag("postalCode"):
        wanted.append(
            _Piece("postal-code", "invalid-postal-code", "PaymentCardPostalCode",
                   lambda keyed: len(keyed) >= least, lambda keyed: keyed)
        )  # fmt: skip
    return tuple(wanted)


def pay(verb: Element, page: Page) -> Program[Outcome]:
    """Ask for each piece; the action gets what was keyed, masked, with a token or confirmation."""
    yield from do(PickUp())
    taken: dict[str, str] = {}
    result = "success"
    try:
        for piece in _pieces(verb):
            keyed, result = yield from _ask(verb, page, piece, taken)
            if result != "success":
                break
            taken[piece.field] = piece.shown(keyed)
            if piece.name == "payment-card-number":
                taken["PaymentCardType"] = CARDS.get(keyed[0], "")
    except Interrupted as cut:
        if isinstance(cut.event, HungUp) and verb.given("action"):
            yield from page.farewell(verb, "pay", _results(verb, "caller-hung-up", taken))
        raise
    return page.action(verb, "pay", _results(verb, result, taken)) if verb.given("action") else None


def _ask(
    verb: Element, page: Page, piece: _Piece, taken: dict[str, str]
) -> Program[tuple[str, str]]:
    """The keys of one piece, and `success`; or why there are none."""
    error = ""
    for attempt in range(1, verb.number("maxAttempts") + 1):
        keyed = yield from _once(verb, page, piece, attempt, error)
        if keyed is None:
            return "", "caller-interrupted-with-star"
        error = "" if keyed and piece.good(keyed) else (piece.error if keyed else "timeout")
        shown = {piece.field: piece.shown(keyed)} if not error else {}
        yield from _report(verb, page, piece, attempt, error, taken | shown)
        if not error:
            return keyed, "success"
    return "", "too-many-failed-attempts"


def _once(
    verb: Element, page: Page, piece: _Piece, attempt: int, error: str
) -> Program[str | None]:
    """What is keyed after one prompt; None when the star was pressed."""
    wants = Wants(
        keys=True,
        speech=False,
        timeout=float(verb.number("timeout")),
        limit=0,
        finish="#*",
        speech_pause=0.0,
        speech_limit=0.0,
        barge_in=True,
    )
    spoken = _prompt(verb, piece.name, attempt, error)
    first: Key | Speech | None
    if spoken is not None:
        first = yield from prompts(spoken, page, wants)
    else:
        words = f"Please enter your {piece.name.replace('-', ' ')}, then press pound."
        heard = yield from do(Hear("say", words, spoken_seconds(words), keys=True))
        first = heard if isinstance(heard, Key) else None
    answer = yield from listen(wants, first)
    assert not isinstance(answer, Speech)  # it listens for keys alone
    keyed, ended_by = answer
    return None if ended_by == "*" else keyed


def _prompt(verb: Element, piece: str, attempt: int, error: str) -> Element | None:
    """The Prompt for this piece; one that names this attempt or this error before one for all."""
    fitting = [
        prompt
        for prompt in verb.nested("Prompt")
        if piece in prompt.get("for").split()
        and (not prompt.get("attempt") or str(attempt) in prompt.get("attempt").split())
        and (not prompt.get("errorType") or error in prompt.get("errorType").split())
    ]
    return max(fitting, key=lambda each: len(each.written), default=None)


def _report(
    verb: Element, page: Page, piece: _Piece, attempt: int, error: str, known: dict[str, str]
) -> Program[None]:
    url = page.optional(verb.get("statusCallback"))
    if not url:
        return
    about = (("PaymentMethod", verb.get("paymentMethod")), ("For", piece.name))
    fields = (*about, ("Attempt", str(attempt)), *known.items())
    failed = (("ErrorType", error),) if error else ()
    method = verb.get("statusCallbackMethod").upper()
    yield from do(Notify(url, method, (*fields, *failed), "pay"))


def _results(verb: Element, result: str, taken: dict[str, str]) -> Fields:
    """The fields of the action's request."""
    fields = [
        ("Result", result),
        ("PaymentMethod", verb.get("paymentMethod")),
        *taken.items(),
    ]
    if result == "success":
        # One token for one card, as with a connector that knows the customer again.
        token = hashlib.sha256("".join(taken.values()).encode()).hexdigest()[:24]
        charged = float(verb.get("chargeAmount") or 0) > 0
        fields.append(("PaymentConfirmationCode" if charged else "PaymentToken", token))
    return tuple(fields)
