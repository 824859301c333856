"""Tests of random bits: nobody is given what another has."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from ringback.runtime import Runtime

FORKED = """
import os
from ringback.runtime import REAL
REAL.tag()
if not os.fork():
    print(*[REAL.entropy(120) for _ in range(200)], flush=True)
    os._exit(0)
os.wait()
print(*[REAL.entropy(120) for _ in range(200)])
"""


def test_threads_are_given_bits_of_their_own() -> None:
    runtime = Runtime()

    def some(_: int) -> list[str]:
        return [runtime.tag() for _ in range(2000)]

    with ThreadPoolExecutor(4) as threads:
        found = [tag for tags in threads.map(some, range(4)) for tag in tags]
    assert len(set(found)) == len(found) == 8000


def test_a_forked_process_is_not_given_what_its_parent_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, check=True, text=True
    )
    numbers = done.stdout.split()
    assert len(set(numbers)) == len(numbers) == 400


def test_as_many_bits_come_as_were_asked_for() -> None:
    runtime = Runtime()
    for bits in (8, 80, 120, 8192, 65_536):
        drawn = [runtime.entropy(bits) for _ in range(20)]
        assert max(number.bit_length() for number in drawn) in range(bits - 12, bits + 1)
