"""Pytest fixtures of Ringback. Nothing else is imported until one is used."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.testing.bench import Bench
    from ringback.testing.twilio_box import TwilioBox


@pytest.fixture
def bench(pytestconfig: pytest.Config) -> "Bench":
    """The rules and plugins of the project in pytest's root folder, ready to react."""
    from ringback.testing.bench import Bench

    return Bench.load(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def twilio_box_process() -> "Iterator[TwilioBox]":
    """One simulated Twilio for the whole run of pytest; `twilio_box` gives it out afresh."""
    from ringback.testing.twilio_box import running_box

    with running_box() as box:
        yield box


@pytest.fixture
def twilio_box(twilio_box_process: "TwilioBox") -> "TwilioBox":
    """A simulated Twilio, over real HTTP, as it is after its start."""
    twilio_box_process.reset()
    return twilio_box_process
