"""Length of sounds: one deterministic guess for every kind."""

import re
from collections.abc import Iterator

from ringback.simulator.twiml import Element
from ringback.simulator.voice.documents import Page
from ringback.simulator.voice.effects import Hear

CHARACTERS_PER_SECOND = 15
SHORTEST = 0.5
PLAY_SECONDS = 5.0
TONE_SECONDS = 0.25
ENDLESS = 1000  # loop="0": until somebody hangs up, or so many times

WAIT_MUSIC = "http://com.twilio.sounds.music.s3.amazonaws.com/MARKOVICHAMP-Borghestral.mp3"
MUSIC_SECONDS = 60.0
APOLOGY = "We are sorry, an application error has occurred. Goodbye."


def spoken_seconds(text: str) -> float:
    """Seconds that a voice takes for a text."""
    return max(SHORTEST, round(len(text) / CHARACTERS_PER_SECOND, 1))


def tones_seconds(keys: str) -> float:
    """Seconds for a string of tones; `w` is half a second of silence, `W` a whole one."""
    return sum({"w": 0.5, "W": 1.0}.get(key, TONE_SECONDS) for key in keys)


def _break_seconds(element: Element) -> float:
    total = 0.0
    for child in element.children:
        total += _break_seconds(child)
        found = re.fullmatch(r"(\d{1,5}(?:\.\d{1,3})?)(ms|s)", child.get("time"))
        if child.name == "break" and found:
            total += min(10.0, float(found[1]) / (1000 if found[2] == "ms" else 1))
    return total


def sounds(element: Element, page: Page) -> Iterator[Hear]:
    """What Say, Play or Pause lets the caller hear, one effect for each time round its loop.

    Raises Failure when the address of a sound cannot be made absolute.
    """
    if element.name == "Pause":
        yield Hear("pause", "", float(element.number("length")))
        return
    rounds = element.number("loop") or ENDLESS
    if element.name == "Say":
        seconds = round(spoken_seconds(element.text) + _break_seconds(element), 3)
        one = Hear("say", element.text, seconds)
    elif element.get("digits"):
        keys = element.get("digits")
        one = Hear("tones", keys, tones_seconds(keys))
    else:
        one = Hear("play", page.resolve(element.text), PLAY_SECONDS)
    for _ in range(rounds):
        yield one
