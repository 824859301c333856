"""The manual's page about Twilio's errors, made from the catalogue.

`ringback explain --markdown > docs/errors.md` writes it; a test holds it equal.
"""

from collections.abc import Iterable, Iterator

from ringback.error_codes import (
    AFFECTS,
    CLASS_TABLE,
    FAULTS,
    INSTEAD,
    RANGES,
    ErrorCode,
    listed,
)

_HEAD = """\
# Errors of Twilio

Every code of Twilio's that Ringback knows: what it means, its class, whose fault it is, whether the
same again can help and after how long, and what to do. Twilio's own list is at
<https://www.twilio.com/docs/api/errors>. This page is made from the catalogue by
`ringback explain --markdown`.

- In the shell: `ringback explain 30007`, also for several codes, for words such as
  `ringback explain template`, for a class, and for a message, call, event, action or run:
  `ringback explain SM…` says which error it had. `ringback trace`, `events list` and
  `actions list` have the meaning beside the code; `ringback failures` counts failed texts by it.
- In rules: `event.error_code`, `event.error_class`, `event.remedy`, and `event.error.title`,
  `event.error.fault`, `event.error.affects`, `event.error.retryable` and
  `event.error.retry_after` (seconds).
- In plugins: `event.remedy` and `event.error`, an `ErrorCode` with all that stands here; the same
  for an action in `on_settled`; `explain_error(30007)` for any code.

```yaml
rules:
  - name: our-fault
    on: [message.failed, message.undelivered]
    if: event.error.fault in ['ours', 'account']
    key: ${{ event.error_code }}
    once_within: 1h
    do:
      - notify: "${{ event.error.title }} (${{ event.error_code }}). ${{ event.remedy }}"
cases:
  - name: an unregistered number
    given: [message: {status: undelivered, error: 30034}]
    expect:
      - notify: >-
          US message from a number with no registered campaign (30034). Stop sending from this
          number to the USA: every text fails.
```

A code that is not here is of class `unknown`, or `webhook_fault` when it begins with 11 or 12, and
its remedy is Twilio's page.

## How to read it

**Retry** says whether the same text, call or request may be repeated unchanged. A time means that
it may work after that; "once mended" that it works when somebody has ended the cause, and not
before. *Twice* marks codes where the first may have arrived all the same: a repeat may reach the
person a second time. Texts that failed at a carrier are charged for each try.

**Fault** says who can end it:
"""


def error_page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield from _table(("fault", "it is"), ((f"`{name}`", says) for name, says in FAULTS.items()))
    yield "**Affects** says what else fails of the same cause until it is mended:\n"
    yield from _table(("affects", "what fails"), ((f"`{k}`", v) for k, v in AFFECTS.items()))
    yield "## Classes\n"
    yield from _table(
        ("class", "what its codes have in common", "fault", "affects", "retry", "instead"),
        (
            (
                f"`{name}`", each.meaning, each.fault, each.affects,
                each.retryable, ", ".join(INSTEAD[way] for way in each.instead),
            )
            for name, each in CLASS_TABLE.items()
        ),
    )  # fmt: skip
    yield "A code may differ from its class in all but the meaning. Not classed are:\n"
    yield from _table(
        ("code", "meaning", "why"),
        ((str(each.code), each.title, each.unclassed) for each in listed() if each.unclassed),
    )
    for first, last, about in RANGES:
        yield f"## {first} to {last}: {about}\n"
        yield from _codes(each for each in listed() if first <= each.code <= last)


def _codes(codes: Iterable[ErrorCode]) -> Iterator[str]:
    yield from _table(
        ("code", "meaning", "class", "fault", "affects", "retry", "what to do"),
        (
            (
                f"[{each.code}]({each.url})", each.title, f"`{each.error_class}`", each.fault,
                each.affects, f"{each.wait}{', *twice*' if each.twice else ''}",
                " ".join(each.steps),
            )
            for each in codes
        ),
    )  # fmt: skip


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(each.replace('|', '&#124;') for each in row)} |"
    yield ""
