"""The catalogue of Twilio's error codes, by the name that it has beside the rest of the dialect."""

from ringback.error_codes import CLASSES, ErrorCode, error_class, listed
from ringback.error_codes import explain_error as explain

__all__ = ["CLASSES", "NOT_IN_PROGRESS", "ErrorCode", "error_class", "explain", "listed"]

NOT_IN_PROGRESS = 21220
"""An update of a call that has ended, or that nobody has answered yet."""
