"""Empty past of deliveries: no text of ours has ended."""

from ringback.rules.delivery_rates import DeliveryFacts, Ended
from ringback.rules.retry_policy import FailedText


class NoDeliveries(DeliveryFacts):
    """Nothing was sent."""

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """None."""
        return Ended()

    def pending_texts(self, seconds: float, sender: str = "") -> int:
        """None."""
        return 0

    def left(self, seconds: float) -> int:
        """Nobody."""
        return 0

    def segments_taken(self, seconds: float) -> int:
        """None."""
        return 0

    def failed_text(self, action_uid: str) -> FailedText | None:
        """None."""
        return None
