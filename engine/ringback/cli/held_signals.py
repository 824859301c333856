"""Signals that wait while a node starts: SIGTERM and SIGHUP, for a loop that heeds them.

The system drops what the first process of a container does not handle, and elsewhere they would end
the start of a node in its middle.
"""

import _signal  # type: ignore[import-not-found]  # `signal` without its enums

_HELD = (_signal.SIGTERM, _signal.SIGHUP)


def hold_signals() -> None:
    """Let them wait from now on."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _HELD)


def let_signals_through() -> None:
    """Let them wait no longer."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _HELD)
