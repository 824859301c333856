"""Disturbances from outside: the clock is set, people say STOP, an operator pauses and resumes.

They have a random generator of their own, and are put into the story's time before it begins.
"""

import asyncio
from functools import partial
from random import Random
from typing import Any

from simulation.faults import Faults
from simulation.story import PEOPLE, SPAN, Story

HOUR = 3600.0
JUMPS = (-6 * HOUR, -3 * HOUR, -HOUR, -1200.0, -150.0, 150.0, 1200.0, HOUR, 3 * HOUR, 24 * HOUR)
"""By how much a wall clock is wrong when it has been set, in seconds."""
TRY_AGAIN = 2.0


def prepare(story: Story, faults: Faults, rng: Random) -> None:
    """Put the drawn disturbances into the story."""
    after = story.twilio.after
    if rng.random() < faults.clock_set:
        for _ in range(rng.randint(1, 4)):
            wrong = rng.choice((0.0, *JUMPS))
            after(rng.uniform(0.0, 1.2 * SPAN), partial(story.set_clock, wrong))
        if rng.random() < 0.7:
            after(2 * SPAN, partial(story.set_clock, 0.0))
    if rng.random() < faults.stop:
        for person in rng.sample(range(PEOPLE), rng.randint(1, 3)):
            words = ("STOP", "START", "STOP")[: rng.choice((1, 2, 3, 3))]
            for word, when in zip(words, sorted(rng.uniform(0, SPAN) for _ in words), strict=True):
                after(when, partial(story.write, word, person))
    if rng.random() < faults.pause:
        for _ in range(rng.randint(1, 2)):
            after(rng.uniform(0.0, SPAN), Operator(story, rng.uniform(1.0, 120.0)).pause)


class Operator:
    """Pauses sending and lets it go on after some seconds, whatever dies meanwhile."""

    def __init__(self, story: Story, seconds: float) -> None:
        self._story = story
        self._seconds = seconds
        self._asked = 0.0

    def pause(self) -> None:
        """Ask for a pause, if there is a worker to ask."""
        self._asked = self._story.clock.now
        if self._story.life is not None:
            self._story.life.ask("pause").add_done_callback(self._paused)
        self._story.twilio.after(self._seconds, self.resume)

    def resume(self) -> None:
        """Ask to go on, until somebody answers."""
        life = self._story.life
        if life is None:
            self._story.twilio.after(TRY_AGAIN, self.resume)
            return
        self._story.resumes()
        life.ask("resume").add_done_callback(self._resumed)

    def _paused(self, answer: "asyncio.Task[Any]") -> None:
        """It counts from the answer on, unless somebody has asked to go on meanwhile."""
        if _good(answer) and self._story.resumed_at < self._asked:
            self._story.pauses()

    def _resumed(self, answer: "asyncio.Task[Any]") -> None:
        if not _good(answer):
            self._story.twilio.after(TRY_AGAIN, self.resume)


def _good(answer: "asyncio.Task[Any]") -> bool:
    return not answer.cancelled() and answer.exception() is None
