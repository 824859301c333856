"""Fixtures of tests that need PostgreSQL. They skip where there is none; in CI they fail."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from postgres.binaries import OLDEST, find_postgres
from postgres.keeper import PRISTINE, run_folder, shared_server
from postgres.server import Server, ended, server

if TYPE_CHECKING:
    from postgres.link import Link
    from postgres.pair import Pair

__all__ = [
    "asynchronous_postgres_pair", "link_to", "own_postgres", "postgres_base", "postgres_binaries",
    "postgres_folder", "postgres_pair", "postgres_url", "shared_postgres",
]  # fmt: skip


@pytest.fixture(scope="session")
def postgres_binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    found = find_postgres()
    if found is None:
        without(f"needs PostgreSQL {OLDEST} or later")
    return found


@pytest.fixture(scope="session")
def postgres_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def postgres_folder(postgres_base: Path, postgres_binaries: Path) -> Iterator[Path]:
    """Where the servers of this test run lie."""
    with run_folder(postgres_base, postgres_binaries) as folder:
        yield folder


@pytest.fixture(scope="session")
def shared_postgres(postgres_base: Path, postgres_folder: Path, postgres_binaries: Path) -> Server:
    """The server of all tests: not to be stopped, nor its settings changed."""
    return shared_server(postgres_base, postgres_folder, postgres_binaries)


@pytest.fixture
def postgres_url(shared_postgres: Server) -> Iterator[str]:
    """A fresh and empty database."""
    url = shared_postgres.create_database()
    yield url
    shared_postgres.drop_database(url)


@pytest.fixture
def own_postgres(postgres_folder: Path, postgres_binaries: Path) -> Iterator[Server]:
    """A server that this test may stop, freeze and kill."""
    place = postgres_folder / uuid.uuid4().hex[:8]
    with ended(server(postgres_binaries, postgres_folder / PRISTINE, place)) as made:
        yield made


@pytest.fixture
def postgres_pair(postgres_folder: Path, postgres_binaries: Path) -> "Iterator[Pair]":
    """A primary and its standby, for which each commit waits."""
    with _pair(postgres_folder, postgres_binaries, synchronous=True) as made:
        yield made


@pytest.fixture
def asynchronous_postgres_pair(postgres_folder: Path, postgres_binaries: Path) -> "Iterator[Pair]":
    """A primary and a standby that follows when it can: a failover loses commits."""
    with _pair(postgres_folder, postgres_binaries, synchronous=False) as made:
        yield made


@pytest.fixture
def link_to() -> "Iterator[Callable[[int], Link]]":
    """A maker of links to ports of this machine."""
    from postgres.link import link

    with ExitStack() as kept:
        yield lambda port: kept.enter_context(link(port))


def _pair(folder: Path, binaries: Path, *, synchronous: bool) -> "AbstractContextManager[Pair]":
    from postgres.pair import pair

    place = folder / uuid.uuid4().hex[:8]
    return pair(binaries, folder / PRISTINE, place, synchronous=synchronous)


def without(reason: str) -> NoReturn:
    """Skip a test for what this machine has not; CI has it, and fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
