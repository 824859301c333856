"""The fixtures that Ringback brings to pytest. Nothing else is imported until one is used."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ringback.testing.bench import Bench


@pytest.fixture
def bench(pytestconfig: pytest.Config) -> "Bench":
    """The rules and plugins of the project in pytest's root folder, ready to react."""
    from ringback.testing.bench import Bench

    return Bench.load(pytestconfig.rootpath)
