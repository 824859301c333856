"""Version of the package, as it is installed."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def own_version() -> str:
    """The version of Ringback; empty when it runs without having been installed."""
    try:
        return version("ringback")
    except PackageNotFoundError:
        return ""
