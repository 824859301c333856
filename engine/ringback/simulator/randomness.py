"""Random numbers and identifiers, all from one seed, one stream for each purpose.

Each stream draws on its own, so that what one part of the simulator does never changes the luck of
another: the fifth message has the same fate however many calls there were before.
"""

import random


class SeededRandom:
    """Seeded chance. The same seed and the same questions in a stream give the same answers."""

    def __init__(self, seed: int, session: str = "") -> None:
        self.seed = f"{seed}:{session}" if session else str(seed)
        self._streams: dict[str, random.Random] = {}

    def stream(self, name: str) -> random.Random:
        """The generator of one stream."""
        found = self._streams.get(name)
        if found is None:
            found = self._streams[name] = random.Random(f"{self.seed}:{name}")
        return found

    def sid(self, prefix: str) -> str:
        """The next SID of a kind: two capital letters and 32 hexadecimal digits."""
        return f"{prefix}{self.stream('sid:' + prefix).getrandbits(128):032x}"

    def token(self, name: str, bits: int = 128) -> str:
        """The next secret of a kind, in hexadecimal."""
        return f"{self.stream('token:' + name).getrandbits(bits):0{bits // 4}x}"

    def uuid(self, name: str) -> str:
        """The next UUID (version 4) of a kind."""
        text = self.token("uuid:" + name)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def between(self, name: str, low: float, high: float) -> float:
        """A number from a stream, cut to the millisecond so that it prints the same everywhere."""
        return round(self.stream(name).uniform(low, high), 3)
