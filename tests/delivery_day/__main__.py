"""Days of deliveries: `python tests/delivery_day --seeds 5` prints how well the watch did."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from random import Random
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[1]))

from delivery_day.day import Day
from delivery_day.troubles import judged, troubles


def main() -> int:
    """Play days, and print precision, recall and delays; 1 when something was missed or false."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many days")
    parser.add_argument("--first", type=int, default=1, help="the seed of the first")
    parser.add_argument("--texts", type=int, default=100_000, help="how many texts a day has")
    parser.add_argument("--quiet", action="store_true", help="nothing goes wrong")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    bad = 0
    for seed in range(given.first, given.first + given.seeds):
        planted = () if given.quiet else troubles(Random(f"troubles {seed}"))
        with tempfile.TemporaryDirectory() as folder:
            seen = asyncio.run(Day(seed, Path(folder), planted, given.texts).play())
        found = judged(planted, seen)
        bad += len(found.false) + len(found.missed)
        delays = ""
        if found.to_open:
            delays = (
                f", opened after {mean(found.to_open):.1f} min (at most {max(found.to_open):.0f}), "
                f"over after {mean(found.to_end):.1f} (at most {max(found.to_end):.0f})"
            )
        print(
            f"seed {seed}: precision {found.precision:.2f}, recall {found.recall:.2f}{delays}"
            if planted else f"seed {seed}: {len(seen)} incidents on a quiet day"
        )  # fmt: skip
        for trouble in found.missed:
            print(f"  missed: {trouble.name} ({trouble.key}), minute {trouble.start}")
        for each in found.false:
            print(f"  false: {each.key}, minute {each.opened:.0f} to {each.resolved:.0f}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
