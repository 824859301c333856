"""Command line of the comparison: `python tests/admission --seeds N`, or one seed in full."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from time import monotonic

sys.path[0] = str(Path(__file__).resolve().parents[1])

from admission.compare import difference  # noqa: E402
from admission.stories import Story, crowded, in_bursts, story  # noqa: E402


def compare(told: Story) -> str:
    """The first difference in a story; empty when there is none."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(difference(told, Path(folder))).why


def main() -> int:
    """Compare as many stories as are asked for; 1 when any of them differs."""
    parser = argparse.ArgumentParser(prog="python tests/admission", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="so many stories (200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="this one story, printed in full")
    parser.add_argument(
        "--bursts", action="store_true", help="what happens without a pause comes in one batch"
    )
    parser.add_argument(
        "--keys", action="store_true", help="bursts of several people, and rules that share keys"
    )
    given = parser.parse_args()
    logging.basicConfig(handlers=[logging.NullHandler()])  # what rules notify is not said here

    def drawn(seed: int) -> Story:
        if given.keys:
            return crowded(seed)
        return in_bursts(story(seed)) if given.bursts else story(seed)

    if given.seed is not None:
        told = drawn(given.seed)
        print(told.rules, *told.steps, dict(told.settings), dict(told.quarantined), sep="\n")
    seeds = (
        [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    )
    began, differ = monotonic(), 0
    for seed in seeds:
        found = compare(drawn(seed))
        differ += bool(found)
        if found:
            print(f"seed {seed}: {found}")
    print(f"{len(seeds)} stories, {differ} differ, {monotonic() - began:.0f} s")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
