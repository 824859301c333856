"""Commands of the manual that make a primary and its synchronous standby, as they stand there."""

import os
import re
from pathlib import Path

import pytest

from postgres.processes import kill, until
from postgres.server import free_port, own_folder, run
from postgres.test_server_doctor import findings
from ringback.cli.finding import OK
from ringback.store.postgres.server_status import make_tables

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.mark.slow
def test_the_pair_of_the_manual_is_good(
    postgres_folder: Path, postgres_binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    first, second = free_port(), free_port()
    script = script.replace("5433", str(first)).replace("5434", str(second))
    monkeypatch.setenv("PATH", f"{postgres_binaries}:{os.environ['PATH']}")
    place = postgres_folder / "manual"
    own_folder(place)
    try:
        run(place, "bash", "-euc", script)
        url = f"postgresql://postgres@127.0.0.1:{first},127.0.0.1:{second}/ringback"
        make_tables(url)
        until(lambda: [each.state for each in findings(url)] == [OK], "in step")
    finally:
        for name in ("standby", "primary"):
            kill(place / name)
