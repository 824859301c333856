"""Command line of the simulation: `python tests/simulation --seeds N`, or one seed with its trace.

Python puts this folder in front of the import path, where our `twilio` would stand before the
official package; the folder above it, from which the package is imported, takes its place.
"""

import argparse
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

sys.path[0] = str(Path(__file__).resolve().parents[1])

from simulation.batch import run_all, run_story, server_of_stories  # noqa: E402
from simulation.verdict import Verdict  # noqa: E402

if TYPE_CHECKING:
    from postgres.server import Server

COMMAND = "python tests/simulation"
MUST_BE_ZERO = (
    ("lost", "acknowledged and not acted on, or reported sent and never made"),
    ("doubled", "made twice at Twilio, or run twice"),
    ("unwanted", "sent to somebody after a STOP, or in a pause"),
    ("stuck", "not at an end when the world had come to rest"),
    ("unexplained", "an end without a reason, an event without a webhook"),
    ("false_claim", "a record taken for another's"),
    ("order_regress", "a status or a proof that went back"),
    ("untrue", "told and not so: an outcome, an error, a verdict, a contact, an incident"),
    ("crashed", "an exception that nobody expected"),
)
COUNTED = (
    ("stories", "seeds"), ("events", "events"), ("intents", "actions planned"),
    ("fetched", "events fetched back, for want of a webhook"),
    ("sends", "messages and calls made"), ("kills", "kills of the worker"),
    ("freezes", "times it stood still"), ("faults", "faults of Twilio"),
    ("jumps", "times the wall clock was set"), ("stops", "people who said STOP"),
    ("pauses", "pauses of an operator"),
    ("failed", "actions failed, each with its reason"), ("refused", "refused by the gate"),
    ("parked_checked", "parked under `checked`"), ("parked_once", "parked under `at_most_once`"),
    ("fast_doubled", "doubled by contract: made twice under `fast`, seen too late"),
    ("parked_other", "parked, notices and the like"),
)  # fmt: skip


def table(verdict: Verdict, seconds: float) -> str:
    """A verdict as a table."""
    lines = [f"{getattr(verdict, name):>12,}  {meaning}" for name, meaning in COUNTED]
    lines.append(f"{verdict.days:>12,.1f}  days of simulated time")
    lines.append(f"{seconds:>12,.1f}  seconds")
    lines.append(f"trace {verdict.traces % 2**64:016x}")
    lines.append("")
    lines += [
        f"{getattr(verdict, name):>12,}  {name.replace('_', ' ')}: {meaning}"
        for name, meaning in MUST_BE_ZERO
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what the arguments ask for. 0 when nothing is wrong, 1 otherwise."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=300, help="how many stories")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--intents", type=int, default=50, help="texts that come in per story")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="begin no more stories after so long")
    parser.add_argument("--settle", type=float, default=60.0, help="the settle time in seconds")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    given = parser.parse_args()
    started = monotonic()
    with server_of_stories() if given.store == "postgres" else nullcontext() as server:
        verdict = _told(given, server, started)
    print(table(verdict, monotonic() - started))
    for problem in verdict.problems[:20]:
        print(problem)
    if verdict.problems:
        store = "" if given.store == "sqlite" else f" --store {given.store}"
        seed = verdict.problems[0].removeprefix("seed ").partition(":")[0]
        settle = "" if given.settle == 60.0 else f" --settle {given.settle:g}"
        print(
            f"\nreplay it: {COMMAND} --seed {seed} --intents {given.intents}{settle}{store} --trace"
        )
    return 1 if verdict.bad else 0


def _told(given: argparse.Namespace, server: "Server | None", started: float) -> Verdict:
    """The stories that the arguments ask for, as one verdict."""
    if given.seed is not None:
        return run_story(
            given.seed, given.intents, settle_seconds=given.settle,
            show=print if given.trace else None, server=server,
        )[0]  # fmt: skip
    verdict = Verdict(stories=0)
    seeds = range(given.first, given.first + given.seeds)
    with suppress(KeyboardInterrupt):
        for verdict in run_all(seeds, given.intents, given.processes, given.settle, server):
            if given.seconds and monotonic() - started > given.seconds:
                break
            print(
                f"\r{verdict.stories}/{given.seeds} stories, {verdict.bad} wrong", end="",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    print(file=sys.stderr)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
