"""Command line of the planted faults: `python tests/planted`."""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from planted.table import faults  # noqa: E402
from planted.trial import trials  # noqa: E402


def main() -> int:
    """Plant what the arguments ask for. 0 when each fault is noticed, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python tests/planted",
        description="Plant faults in copies of the product; a test must fail for each.",
    )
    parser.add_argument("--only", action="append", default=[], help="only faults with this in it")
    parser.add_argument("--third", type=int, choices=(0, 1, 2), help="only this third of them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--no-control", action="store_true", help="do not run the tests without a fault first"
    )
    given = parser.parse_args()
    chosen = [
        fault for fault in faults()
        if not given.only or any(word in fault.name for word in given.only)
    ]  # fmt: skip
    if given.third is not None:
        chosen = chosen[given.third :: 3]
    wrong = 0
    for result in trials(chosen, given.processes, controlled=not given.no_control):
        wrong += bool(result.problem)
        says = f"WRONG: {result.problem}" if result.problem else ", ".join(result.noticed_by)
        print(f"{result.seconds:6.1f} s  {result.name}: {says or 'all tests pass'}", flush=True)
    print(f"{len(chosen)} faults, {wrong} wrong")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
