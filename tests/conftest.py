"""Fixtures of all tests: the program's log level as it is by default, a certificate for TLS."""

import logging
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from postgres.fixtures import *  # noqa: F403

# The same examples in each run, however busy the machine is; `--hypothesis-profile=thorough` looks
# for new ones.
settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True, database=None)
settings.register_profile("thorough", max_examples=1000, deadline=None, database=None)
settings.load_profile("quick")

IN_MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""What the files of a whole run may need at once, with much to spare, in bytes."""


def pytest_configure() -> None:
    """Folders of tests lie in memory where Linux has room for it: each test that starts a node
    waits for twenty syncs of a disk. That a sync is made, and in time, others count and test."""
    with suppress(OSError):
        if shutil.disk_usage(IN_MEMORY).free > ROOM and os.access(IN_MEMORY, os.W_OK):
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores: the acceptance tests wait for processes. One file that
    is named runs in this process (0): to start others takes longer than most files."""
    files = {Path(named.partition("::")[0]) for named in config.args}
    if len(files) == 1 and files.pop().is_file():
        return 0
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + (cores + 1) // 2


LONG = 1800
"""Tests that may take so many seconds begin first, so that none is left alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, the others in their order."""
    items.sort(key=lambda item: not _is_long(item))


def _is_long(item: pytest.Item) -> bool:
    limit = item.get_closest_marker("timeout")
    return limit is not None and bool(limit.args) and limit.args[0] >= LONG


@pytest.fixture(autouse=True)
def logs_are_loud() -> None:
    """A simulated story turns the program's log down, also in a fixture that a module shares; this
    test may want to read it."""
    logging.getLogger("ringback").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, its own authority, for localhost and `gateway.test`, with its key behind it in
    the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey rsa:2048 -nodes -days 10 -subj /CN=localhost -addext"
    names = "subjectAltName=DNS:localhost,DNS:gateway.test"
    subprocess.run(
        ["openssl", *words.split(), names, "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both
