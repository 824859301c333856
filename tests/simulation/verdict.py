"""Verdict on one story, or on many together."""

from dataclasses import dataclass, field, fields


@dataclass
class Verdict:
    """What a story came to. All of the first block must be zero; `problems` says where not."""

    lost: int = 0
    doubled: int = 0
    unwanted: int = 0
    stuck: int = 0
    unexplained: int = 0
    false_claim: int = 0
    order_regress: int = 0
    untrue: int = 0
    crashed: int = 0

    events: int = 0
    fetched: int = 0
    intents: int = 0
    sends: int = 0
    kills: int = 0
    freezes: int = 0
    faults: int = 0
    jumps: int = 0
    stops: int = 0
    pauses: int = 0
    fast_doubled: int = 0
    failed: int = 0
    refused: int = 0
    parked_checked: int = 0
    parked_once: int = 0
    parked_other: int = 0
    days: float = 0.0
    stories: int = 1
    traces: int = 0
    """The hashes of their traces, added up: the same for the same stories in any order."""
    problems: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How much is wrong."""
        return (
            self.lost + self.doubled + self.stuck + self.unexplained + self.false_claim
            + self.order_regress + self.untrue + self.crashed + self.unwanted
        )  # fmt: skip

    def add(self, other: "Verdict") -> None:
        """Count another story in."""
        for item in fields(self):
            value = getattr(self, item.name)
            setattr(self, item.name, value + getattr(other, item.name))

    def blame(self, kind: str, what: str) -> None:
        """Count one thing that must not be."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.problems.append(f"{kind}: {what}")
