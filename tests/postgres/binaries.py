"""The programs of a PostgreSQL server on this machine.

`python tests/postgres/binaries.py` prints their folder; where there are none it ends with 1.
"""

import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = 15
"""The first version that Ringback supports."""

PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_basebackup")

PLACES = (
    "/usr/lib/postgresql",  # Debian, Ubuntu: a folder for each version, none of them on the PATH
    "/opt/homebrew/opt",
    "/usr/local/opt",
)


@functools.cache
def find_postgres() -> Path | None:
    """The folder of the programs: the first of the PATH that will do, else the newest known."""
    found = (folder for folder in _folders() if _version(folder) >= OLDEST)
    return next(found, None)


def _folders() -> Iterator[Path]:
    if server := shutil.which("postgres"):
        yield Path(server).resolve().parent  # the PATH may have links to some of them only
    if asked := shutil.which("pg_config"):
        done = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(done.stdout.strip())
    known = [path for place in PLACES for path in Path(place).glob("*/bin") if _number(path)]
    yield from sorted(known, key=_number, reverse=True)


def _number(folder: Path) -> int:
    """The version that a folder's name tells: `15/bin`, `postgresql@17/bin`."""
    told = re.fullmatch(r"(?:postgresql@)?(\d+)", folder.parent.name)
    return int(told[1]) if told else 0


def _version(folder: Path) -> int:
    """The major version of the server there, 0 for none that is whole."""
    if not all((folder / program).is_file() for program in PROGRAMS):
        return 0
    asked = [str(folder / "postgres"), "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    told = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(told[1]) if told else 0


if __name__ == "__main__":
    where = find_postgres()
    print(where or f"no PostgreSQL of version {OLDEST} or later")
    sys.exit(where is None)
