"""Comparison of a rule in shadow with what others did on the same events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ringback.store.queries.action_words import recipient, words

EXAMPLES = 20
KINDS = {
    "same": "others did the same", "other": "others did something else",
    "alone": "nobody did anything",
}  # fmt: skip


def compared(
    pairs: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """How often others did the `same` as the rule would have done (of one kind, to one person, in
    the same words), something `other`, or nothing (`alone`); with `examples`, those that differ
    first."""
    counts: Counter[str] = Counter()
    examples = []
    for shadow, others in pairs:
        kind = _kind(shadow, others)
        counts[kind] += 1
        examples.append(
            {
                "is": kind, "event": shadow["event_uid"], "at": shadow["planned_at"],
                "would": _shown(shadow), "did": [_shown(each) for each in others],
            }
        )  # fmt: skip
    examples.sort(key=lambda each: each["is"] == "same")
    return {
        "actions": len(pairs), **{kind: counts[kind] for kind in KINDS},
        "examples": examples[:EXAMPLES],
    }  # fmt: skip


def _kind(shadow: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    if not others:
        return "alone"
    return "same" if any(_same(each) == _same(shadow) for each in others) else "other"


def _same(action: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(action["kind"]), recipient(action), words(action)


def _shown(action: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rule": action["rule"], "kind": action["kind"], "to": recipient(action),
        "words": words(action), "state": action["state"],
    }  # fmt: skip
