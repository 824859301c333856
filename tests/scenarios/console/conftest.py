"""Console of a node that has lived, for somebody who sees all and for one who may only read."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.console import Api, lived


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("api")
    kept = dict(os.environ), Path.cwd()
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            del os.environ[name]
    os.chdir(folder)
    asyncio.run(lived(folder))
    yield folder
    os.environ.update(kept[0])
    os.chdir(kept[1])


@pytest.fixture(scope="module")
def api(project: Path) -> Iterator[Api]:
    """One who sees all."""
    found = Api(project, "admin", unmasked=True)
    yield found
    found.close()


@pytest.fixture(scope="module")
def reader(project: Path) -> Iterator[Api]:
    """One who may only read; what the session says of unmasking does not matter."""
    found = Api(project, "read", unmasked=True)
    yield found
    found.close()
