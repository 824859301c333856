"""Past as choices ask for it: a secret to draw from, and whose turn it was last."""

from typing import Protocol


class ChoiceFacts(Protocol):
    """What is asked for choices. By itself it knows no secret, and no turn was taken."""

    def draw_key(self) -> str:
        """The secret from which choices by chance are made."""
        return ""

    def turn(self, name: str, place: str, before: int) -> int:
        """The next turn of a list, behind `before`, at this place of a run."""
        return before + 1
