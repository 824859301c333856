"""What every test leaves as it was."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logs_stay_loud() -> Iterator[None]:
    """A simulated story turns the program's log down; the next test may want to read it."""
    logger = logging.getLogger("ringback")
    level = logger.level
    yield
    logger.setLevel(level)
